"""Goal: leases and data path hold on a store of three members, whatever is lost of it.

Method: the members run on the hosts that lease from them, as in the talk; daemons are given all
three endpoints. `PYETCD_OUTAGE_S=60 pytest tests/flannel/test_three_members.py` makes the outage as
long as that.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.waiting import until
from tests.flannel.daemon import DEADLINE_S, Daemon
from tests.flannel.hosts import Container, Host, as_root, network
from tests.flannel.stores import Members, Operator

if TYPE_CHECKING:
    import subprocess

pytestmark = as_root

OUTAGE_S = float(os.environ.get("PYETCD_OUTAGE_S", "4"))
PINGS_PER_S = 20
DAEMONS = 12
SUBNETS = tuple(f"172.24.{number}.0-24" for number in range(1, 8))


class Pings:
    """What goes on between two containers all the time."""

    def __init__(self, one: Container, two: Container, output: Path) -> None:
        self._output = output
        line = ["ping", "-i", str(1 / PINGS_PER_S), "-W", "2", two.address]
        self._process: subprocess.Popen[bytes] = one.start(line, output)

    def replies(self) -> int:
        """How many have been answered so far."""
        return self._output.read_text().count("bytes from")

    def stop(self) -> tuple[int, int]:
        """End; how many were sent and how many answered."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", self._output.read_text())
        assert found, self._output.read_text()
        return int(found[1]), int(found[2])


@dataclass(frozen=True, slots=True)
class Scene:
    """Two daemons and their containers."""

    hosts: list[Host]
    members: Members
    operator: Operator
    daemons: list[Daemon]
    pings: Pings

    def leases(self) -> dict[str, str]:
        """The subnets by the address of their host."""
        return {host.address: self.operator.lease_of(host.address) for host in self.hosts[:2]}


def _daemon(host: Host, directory: Path, members: Members, operator: Operator) -> Daemon:
    endpoints = f"-etcd-endpoints={','.join(members.urls)}"
    return Daemon(host, directory, endpoints, f"-etcd-prefix={operator.prefix}", "-iface=eth1")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Containers on the first two hosts, pinging; the third host has no daemon yet."""
    with network(3) as (_, hosts, contain):
        members = Members(hosts, tmp_path).start()
        operator = members.operator()
        operator.configure(Network="172.24.0.0/16", Backend={"Type": "vxlan"})
        daemons = [_daemon(host, tmp_path, members, operator).start() for host in hosts[:2]]
        one, two = [
            contain(daemon.host, daemon.ready().subnet_env()["FLANNEL_SUBNET"], daemon.mtu)
            for daemon in daemons
        ]
        until(lambda: one.reaches(two), "the containers reach each other", deadline_s=DEADLINE_S)
        yield Scene(hosts, members, operator, daemons, Pings(one, two, tmp_path / "pings"))


@contextmanager
def _nothing_lost(scene: Scene) -> Iterator[None]:
    """While this goes on every ping is answered, and all is as it was afterwards."""
    before = scene.leases()
    assert all(before.values())
    yield
    sent, answered = scene.pings.stop()
    assert answered >= sent - 1, "the last one may have been under way"
    assert scene.leases() == before
    assert all(daemon.process.poll() is None for daemon in scene.daemons)


def test_the_leader_is_lost(scene: Scene, tmp_path: Path) -> None:
    """The member that leads is killed: leases are told of and taken all the same."""
    with _nothing_lost(scene):
        scene.members.kill(scene.members.leader())
        _a_third_joins(scene, tmp_path)


def test_all_members_are_away(scene: Scene, tmp_path: Path) -> None:
    """All members are killed, and come back after OUTAGE_S: the data path stays, leases are kept,
    and daemons hear what is new."""
    with _nothing_lost(scene):
        scene.members.kill()
        for daemon in scene.daemons:
            daemon.says("client: etcd cluster is unavailable or misconfigured")
        enough = scene.pings.replies() + OUTAGE_S * PINGS_PER_S
        until(lambda: scene.pings.replies() >= enough, "pings", deadline_s=OUTAGE_S + DEADLINE_S)
        scene.members.start()
        _a_third_joins(scene, tmp_path)


def _a_third_joins(scene: Scene, directory: Path) -> None:
    """A daemon on the third host gets a lease, and the others learn of it."""
    third = _daemon(scene.hosts[2], directory, scene.members, scene.operator).start().ready()
    subnet = scene.operator.lease_of(third.host.address).replace("-", "/")
    for daemon in scene.daemons:
        daemon.says(f"Subnet added: {subnet} via {third.host.address}")


def test_twelve_daemons_race_for_seven_subnets(tmp_path: Path) -> None:
    """Exactly seven win, no subnet has two, the others end and say why; one that is
    started again takes what has become free."""
    with network(DAEMONS) as (_, hosts, _contain):
        members = Members(hosts[:3], tmp_path).start()
        operator = members.operator()
        first, last = (f"172.24.{number}.0" for number in (1, 7))
        operator.configure(
            Network="172.24.0.0/16", SubnetMin=first, SubnetMax=last, Backend={"Type": "host-gw"}
        )
        daemons = [_daemon(host, tmp_path, members, operator).start() for host in hosts]
        until(
            lambda: all(re.search("Lease acquired|out of subnets", one.log()) for one in daemons),
            "each has a lease or says why not",
            deadline_s=DEADLINE_S,
        )
        losers = [daemon for daemon in daemons if "out of subnets" in daemon.log()]
        winners = [daemon for daemon in daemons if daemon not in losers]
        assert len(winners) == len(SUBNETS)
        assert {daemon.exits() for daemon in losers} == {1}
        leases = operator.subnets()
        assert sorted(leases) == sorted(SUBNETS)
        for daemon in winners:
            daemon.ready()
            mine = operator.lease_of(daemon.host.address)
            expected = mine.replace(".0-24", ".1/24")
            assert daemon.subnet_env()["FLANNEL_SUBNET"] == expected
        operator.delete(f"subnets/{operator.lease_of(winners[0].host.address)}")
        assert winners[0].exits() == 0
        losers[0].start().ready()
        assert sorted(operator.subnets()) == sorted(SUBNETS)
        assert {daemon.stop() for daemon in (*winners[1:], losers[0])} == {0}
