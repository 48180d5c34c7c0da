"""member replace: it does it whole, or refuses and says why."""

import json
import shlex
from collections.abc import Iterator

import pytest

from tests.clients.waiting import until
from tests.pyetcdctl.running import run
from tests.server.members import EtcdMember, Member, cluster


@pytest.fixture(params=[EtcdMember, Member], ids=["etcd", "pyetcd"])
def members(request: pytest.FixtureRequest) -> Iterator[list[Member]]:
    """A cluster of three that has settled: a younger one refuses to be changed."""
    with cluster(3, request.param) as started:
        until(lambda: all(is_well(member) for member in started), "all are well", deadline_s=40)
        yield started


def is_well(member: Member) -> bool:
    """Whether it feels healthy."""
    return member.ask("GET", "/health").status == 200


def test_a_dead_member_is_replaced(members: list[Member]) -> None:
    """Goal: a member whose disk is lost is replaced by running two commands: ours, and the one it
    prints. Method: kill one, replace it by name, start the new one with the options printed, and
    wait until it serves what was written before."""
    kept, gone = members[:2], members[2]
    assert kept[0].put("/written", "before").status == 201
    gone.kill()
    until(lambda: all(is_well(member) for member in kept), "two are well", deadline_s=40)
    urls = ",".join(member.url for member in kept)
    said = run(urls, "member", "replace", gone.identity.name)
    assert (said.code, said.err) == (0, "")
    assert f"{gone.identity.name} is unreachable" in said.out
    assert 'ETCD_INITIAL_CLUSTER_STATE="existing"' in said.out
    command = shlex.split(said.out.rstrip().splitlines()[-1])
    assert command[0] == "etcd"
    options = [word for word in command[1:] if not word.startswith("--data-dir")]
    new = type(gone)(gone.identity.name)
    new.client_port, new.peer_port, new.identity = gone.client_port, gone.peer_port, gone.identity
    new.args = ("--heartbeat-interval=50", "--election-timeout=500", *options)
    try:
        new.start()
        until(lambda: value(new) == "before", "the new one has what was written", deadline_s=40)
        listed = run(urls, "member", "list").out
        assert listed.count(f"name={gone.identity.name} ") == 1
        assert listed.count("\n") == 3
    finally:
        new.discard()


def value(member: Member) -> str:
    """What it has of the key written before."""
    answer = member.ask("GET", "/v2/keys/written")
    return json.loads(answer.body)["node"]["value"] if answer.status == 200 else ""


def test_it_refuses_to_risk_the_quorum(members: list[Member]) -> None:
    """Goal: with one member down, another one is not taken out: nothing is changed, and the reason
    is said. Method: kill one and try to replace another one; then count the members."""
    members[2].kill()
    until(lambda: all(is_well(member) for member in members[:2]), "two are well", deadline_s=40)
    urls = ",".join(member.url for member in members[:2])
    said = run(urls, "member", "replace", members[0].identity.name)
    assert said.code == 1
    assert said.err == (
        "Refused: without m1 1 of 3 members are healthy, but the quorum is 2 until the new member "
        "runs. Mend another member first.\n"
    )
    assert run(urls, "member", "list").out.count("\n") == 3


def test_bad_input(url: str) -> None:
    """Goal: mistakes have sentences. Method: no operand, nobody of that name, a peer URL that is
    none, the only member."""
    assert run(url, "member", "replace").err.startswith("Provide the name or ID of a member")
    said = run(url, "member", "replace", "nobody")
    assert said.code == 1
    assert said.err.startswith('There is no member "nobody"; the members are ')
    assert run(url, "member", "replace", "x", "ftp://h:1").err.startswith("URL scheme must be")
    name = run(url, "member", "list").out.split("name=")[1].split()[0]
    said = run(url, "member", "replace", name)
    assert said.code == 1
    assert "0 of 1 members are healthy, but the quorum is 1" in said.err
    assert said.err.endswith("Add a member first (`member add`).\n")
    assert run("http://127.0.0.1:1", "member", "replace", "x").code == 2
