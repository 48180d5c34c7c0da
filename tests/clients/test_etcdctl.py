"""Debian's etcdctl sees no difference between pyetcd and a real etcd."""

import pytest

from tests.clients.etcdctl import NAMES, PLAIN, Outcome, tell
from tests.clients.reachable import reachable
from tests.oracle import Pyetcd, RealEtcd
from tests.oracle.process import free_port

TTL_SLACK_S = 1

Told = dict[str, Outcome]


@pytest.fixture(scope="module")
def told() -> tuple[Told, Told]:
    """The tale as told by a real etcd, and by pyetcd on the same ports."""
    ports = (free_port(), free_port())
    with reachable(RealEtcd, ports) as etcd:
        expected = tell(etcd)
    with reachable(Pyetcd, ports) as pyetcd:
        return expected, tell(pyetcd)


@pytest.mark.parametrize("name", NAMES)
def test_same_outcome(name: str, told: tuple[Told, Told]) -> None:
    """Goal: exit code and every printed byte equal. Method: one long session against each server;
    only the digits of times are masked, and a TTL may differ by a second."""
    expected, got = told[0][name], told[1][name]
    assert got.masked() == expected.masked()
    assert len(got.ttls) == len(expected.ttls)
    for left, right in zip(got.ttls, expected.ttls, strict=True):
        assert abs(left - right) <= TTL_SLACK_S


def test_the_tale_is_not_all_failure(told: tuple[Told, Told]) -> None:
    """Goal: equal is not equally broken. Method: count exit codes, and look at what matters."""
    codes = [outcome.code for outcome in told[1].values()]
    assert codes.count(0) > len(PLAIN) // 2
    assert {0, 1, 4} <= set(codes)
    by_arguments = {outcome.arguments: outcome for outcome in told[1].values()}
    assert by_arguments[("get", "/message")].out == "hello\n"
    assert by_arguments[("cluster-health",)].out.endswith("cluster is healthy\n")
    assert "isLeader=true" in by_arguments[("member", "list")].out
    assert told[1]["_watch_forever"].out.count("[") == 5
    assert told[1]["_exec_watch"].out.startswith("set /job/1 run me ")
