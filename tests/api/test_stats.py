"""/v2/stats/self and /v2/stats/leader, /debug/vars and /metrics: what a member says of itself."""

import json
import math
import re
import struct
from dataclasses import replace

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.debug import Debug
from api.metrics import Metrics
from api.stats import Stats, go_duration, go_number
from raft.peers import Counters
from tests.api.fake_node import ONE, THREE, TWO, cluster, node_of, read, request, whole

GET = request("GET", "/v2/stats/x")


async def test_a_leader_of_itself() -> None:
    """Goal: fields, their order and what is left out. Method: a member that leads and has neither
    sent nor received anything."""
    backend = cluster(ONE)
    body = whole(await Stats(backend).self_(GET)).body.decode()
    shown = re.sub(r'"(startTime|uptime)":"[^"]+"', r'"\1":"-"', body)
    assert shown == (
        '{"name":"m","id":"25d6ce33763c5524","state":"StateLeader","startTime":"-",'
        '"leaderInfo":{"leader":"25d6ce33763c5524","uptime":"-","startTime":"-"},'
        '"recvAppendRequestCnt":0,"sendAppendRequestCnt":0}'
    )
    answer = whole(await Stats(backend).leader(GET))
    assert answer.body == b'{"leader":"25d6ce33763c5524","followers":{}}'


async def test_a_follower() -> None:
    """Goal: state, leader, count and rates of what it receives. Method: three appends in a second;
    then a second of silence; then the leader is gone."""
    backend = cluster(ONE, TWO)
    node = node_of(backend)
    node.status = replace(node.status, leader=TWO, is_leader=False, state="StateFollower")
    for _ in range(3):
        node.now_ns += 500_000_000
        node.traffic.received(TWO, 100)
    shown = read(await Stats(backend).self_(GET))
    assert (shown["state"], shown["leaderInfo"]["leader"]) == ("StateFollower", f"{TWO:x}")
    assert (shown["recvAppendRequestCnt"], shown["sendAppendRequestCnt"]) == (3, 0)
    assert (shown["recvPkgRate"], shown["recvBandwidthRate"]) == (3, 300)
    assert "sendPkgRate" not in shown
    assert list(shown)[5:8] == ["recvAppendRequestCnt", "recvPkgRate", "recvBandwidthRate"]
    node.now_ns += 1_000_000_001
    shown = read(await Stats(backend).self_(GET))
    assert "recvPkgRate" not in shown
    assert "recvBandwidthRate" not in shown
    node.status = replace(node.status, leader=0, state="StateCandidate")
    shown = read(await Stats(backend).self_(GET))
    assert (shown["state"], shown["leaderInfo"]["leader"]) == ("StateCandidate", "")


async def test_a_leaders_followers() -> None:
    """Goal: every other member by its hex id, in the order of texts; one that was never reached has
    the largest minimum; only the leader answers. Method: one reached twice, one never."""
    backend = cluster(THREE, ONE, TWO)
    traffic = node_of(backend).traffic
    traffic.acknowledged(ONE, 0.001)
    traffic.acknowledged(ONE, 0.003)
    traffic.failed(TWO)
    answer = whole(await Stats(backend).leader(GET))
    assert answer.status == 200
    assert answer.body == (
        b'{"leader":"ff32f4b39b9c47bd","followers":{'
        b'"25d6ce33763c5524":{"latency":{"current":3,"average":2,"standardDeviation":1,'
        b'"minimum":1,"maximum":3},"counts":{"fail":0,"success":2}},'
        b'"6ae27f9fa2984b1d":{"latency":{"current":0,"average":0,"standardDeviation":0,'
        b'"minimum":9223372036854776000,"maximum":0},"counts":{"fail":1,"success":0}}}}'
    )
    node = node_of(backend)
    node.status = replace(node.status, leader=ONE, is_leader=False, state="StateFollower")
    answer = whole(await Stats(backend).leader(GET))
    assert (answer.status, answer.body) == (403, b'{"message":"not current leader"}')


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (3.0, b"3"),
        (0.000211, b"0.000211"),
        (0.0000001, b"1e-7"),
        (1.5e-10, b"1.5e-10"),
        (1e-6, b"0.000001"),
        (15.776162, b"15.776162"),
        (float(1 << 63), b"9223372036854776000"),
        (1e20, b"100000000000000000000"),
        (1e21, b"1e+21"),
        (1262.3496113315716, b"1262.3496113315716"),
    ],
)
def test_numbers_as_go_writes_them(value: float, text: bytes) -> None:
    """Goal: Go's spelling of a float64. Method: its switch between forms, captured numbers."""
    assert spelled(value) == text


def spelled(value: float) -> bytes:
    """What becomes of a number in an answer."""
    return orjson.dumps(go_number(value))


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
@example(5e-324)
def test_a_number_is_itself_when_read_back(value: float) -> None:
    """Goal: nothing is rounded. Method: read the JSON; the same bits."""
    back = float(json.loads(spelled(value)))
    assert struct.pack("d", back) == struct.pack("d", value)
    assert math.isfinite(back)


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"),
        (999, "999ns"),
        (2_139_961, "2.139961ms"),
        (39_164_438_440, "39.16443844s"),
        (3_723_500_000_000, "1h2m3.5s"),
        (60_000_000_000, "1m0s"),
    ],
)
def test_durations_as_go_writes_them(duration_ns: int, text: str) -> None:
    """Goal: time.Duration's spelling. Method: the contract's examples and edges."""
    assert go_duration(duration_ns) == text


async def test_debug_vars_shows_progress() -> None:
    """Goal: raft.status as etcd has it: hex ids, state, each member's progress, one's own too, only
    on the leader. Method: a leader of three, then a candidate."""
    backend = cluster(ONE, TWO, THREE)
    node = node_of(backend)
    node.progress = {THREE: (5, 6, "StateProbe"), TWO: (7, 8, "StateReplicate")}
    body = read(await Debug(backend).vars(GET))
    assert body["raft.status"] == {
        "id": f"{ONE:x}",
        "term": 2,
        "vote": f"{ONE:x}",
        "commit": 7,
        "lead": f"{ONE:x}",
        "raftState": "StateLeader",
        "applied": 7,
        "progress": {
            f"{ONE:x}": {"match": 7, "next": 8, "state": "StateReplicate"},
            f"{TWO:x}": {"match": 7, "next": 8, "state": "StateReplicate"},
            f"{THREE:x}": {"match": 5, "next": 6, "state": "StateProbe"},
        },
        "leadtransferee": "0",
    }
    node.progress = {}
    node.status = replace(node.status, leader=0, is_leader=False, state="StateCandidate", vote=0)
    status = read(await Debug(backend).vars(GET))["raft.status"]
    assert (status["raftState"], status["lead"], status["vote"]) == ("StateCandidate", "0", "0")
    assert status["progress"] == {}


async def test_metrics_of_a_cluster() -> None:
    """Goal: who leads, how often that changed, what goes between members, who is connected. Method:
    a follower with one live connection out of two."""
    backend = cluster(ONE, TWO, THREE)
    node = node_of(backend)
    node.status = replace(node.status, leader=TWO, is_leader=False, state="StateFollower")
    node.leader_changes = 3
    node.reachable_s = {TWO: 1.0}
    backend.peer_counters = lambda: {TWO: Counters(10, 20, 0), THREE: Counters(0, 0, 4)}
    text = whole(await Metrics(backend).handle(GET)).body.decode()
    for line in (
        "etcd_server_has_leader 1.0",
        "etcd_server_is_leader 0.0",
        "etcd_server_leader_changes_seen_total 3.0",
        f'etcd_network_peer_sent_bytes_total{{To="{TWO:x}"}} 10.0',
        f'etcd_network_peer_received_bytes_total{{From="{TWO:x}"}} 20.0',
        f'etcd_network_peer_sent_bytes_total{{To="{THREE:x}"}} 0.0',
        f'pyetcd_peer_connect_failures_total{{To="{THREE:x}"}} 4.0',
        f'etcd_network_active_peers{{Local="{ONE:x}",Remote="{TWO:x}"}} 1.0',
    ):
        assert f"\n{line}\n" in text, line
    assert f'Remote="{THREE:x}"' not in text
