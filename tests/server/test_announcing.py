"""What a member has committed about itself at each start, and who sets the cluster's version."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast
from unittest import mock

import pytest

from kvstore import Machine, Reply, cluster_version, register
from kvstore.commands import AddMember, SetClusterVersion, encode
from raft import Identity, Node, ProposalFailed
from server.announcing import agree_on_version, announce, catch_up
from server.options import load

ME = 0x25D6CE33763C5524
DEADLINE_S = 10.0


@dataclass
class FakeNode:
    """A node that fails what it is told to fail, and commits the rest at once."""

    machine: Machine = field(default_factory=Machine)
    identity: Identity = field(default_factory=lambda: Identity(7, ME))
    is_leader: bool = True
    barriers_to_fail: int = 0
    proposals_to_fail: int = 0
    barriers: int = 0
    proposals: int = 0
    leaders: list[int] = field(default_factory=lambda: [0])
    """Who leads when it is looked at: the next one at each failed barrier, the last one stays."""
    disk_full: bool = False

    @property
    def status(self) -> SimpleNamespace:
        """Whether it leads, and who does."""
        leader = self.leaders[min(max(self.barriers, 1), len(self.leaders)) - 1]
        return SimpleNamespace(is_leader=self.is_leader, leader=leader)

    @property
    def driver(self) -> SimpleNamespace:
        """Whether its disk is full."""
        return SimpleNamespace(disk_full=self.disk_full)

    async def read_barrier(self) -> None:
        """Fail, or find a leader."""
        self.barriers += 1
        if self.barriers <= self.barriers_to_fail:
            raise ProposalFailed("etcdserver: request timed out")

    async def propose(self, command: bytes, *, reserved: bool = False) -> Reply:
        """Fail, or commit."""
        assert reserved, "there is room for it on a full disk"
        self.proposals += 1
        if self.proposals <= self.proposals_to_fail:
            raise ProposalFailed("etcdserver: request timed out")
        return self.machine.apply(0, 0, [command])[0]


def as_node(fake: FakeNode) -> Node[Reply]:
    """The fake as what it stands for."""
    return cast("Node[Reply]", fake)


async def test_a_member_is_announced_until_it_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """Goal: no leader and failed proposals only delay it, said once; then name and URLs are there.
    Method: two failures of each kind."""
    node = FakeNode(barriers_to_fail=2, proposals_to_fail=2)
    node.machine.apply(0, 0, [encode(AddMember(ME, ("http://a:1",)))])
    options = load(
        [
            "--name=m1",
            "--listen-client-urls=http://127.0.0.1:1",
            "--advertise-client-urls=http://b:1,http://c:1",
        ],
        {},
    )
    with mock.patch("server.announcing._RETRY_S", 0):
        await announce(as_node(node), node.machine, options.config)
    (member,) = register(node.machine.store.tree)
    assert (member.name, member.client_urls) == ("m1", ("http://b:1", "http://c:1"))
    assert (node.barriers, node.proposals) == (3, 3)
    assert caplog.text.count("there is no leader yet; this member is not announced yet") == 1
    assert caplog.text.count("could not publish this member") == 1
    assert node.machine.store.index == 2


FULL = ", and the disk of this member's data directory is full"
BEHIND = "member abc leads, but has not brought this one up to date yet"
UNSURE = "this member leads, but no majority has confirmed that yet"


async def test_what_is_waited_for_is_said_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Goal: nobody is told that there is no leader while there is one, and a full disk is named.
    Method: no leader, another one twice, itself; each with room and without."""
    for disk_full in (False, True):
        node = FakeNode(barriers_to_fail=4, leaders=[0, 0xABC, 0xABC, ME], disk_full=disk_full)
        node.machine.apply(0, 0, [encode(AddMember(ME, ("http://a:1",)))])
        await announce(as_node(node), node.machine, load([], {}).config)
        full = FULL if disk_full else ""
        said = [text for text in caplog.messages if "not announced" in text]
        assert said == [
            f"{words}{full}; this member is not announced yet"
            for words in ("there is no leader yet", BEHIND, UNSURE)
        ]
        caplog.clear()


async def test_who_begins_to_serve_says_what_it_may_lack(caplog: pytest.LogCaptureFixture) -> None:
    """Goal: the same words when reads are served before a barrier was passed; none when it was.
    Method: a barrier that never comes back, with each leader; one that is passed."""

    loop = asyncio.get_running_loop()
    for leader, words in ((0, "there is no leader yet"), (0xABC, BEHIND), (ME, UNSURE)):
        node = FakeNode(leaders=[leader])
        barrier: asyncio.Future[None] = loop.create_future()
        with mock.patch.object(node, "read_barrier", mock.Mock(return_value=barrier)):
            await catch_up(as_node(node), 0.001)
            assert caplog.messages == [f"{words}: serving reads of what this member knows"]
            caplog.clear()
            barrier.set_result(None)
            await catch_up(as_node(node), DEADLINE_S)
        assert caplog.messages == []


async def test_the_leader_sets_the_version_once() -> None:
    """Goal: set if there is none, by the leader; never again. Method: twice on a leader."""
    node = FakeNode()
    for _ in range(2):
        await agree_on_version(as_node(node), node.machine)
    assert cluster_version(node.machine.store.tree) == "3.4.0"
    assert (node.proposals, node.machine.store.index) == (1, 1)


async def test_the_others_wait_for_it_and_whoever_comes_to_lead_sets_it() -> None:
    """Goal: a follower proposes nothing; it goes on when the version is there, or sets it once it
    leads. Method: one where the version comes, one that becomes leader."""
    for comes_to_lead in (False, True):
        node = FakeNode(is_leader=False)
        waiting = asyncio.create_task(agree_on_version(as_node(node), node.machine))
        await asyncio.sleep(0)
        assert (waiting.done(), node.proposals) == (False, 0)
        if comes_to_lead:
            node.is_leader = True
        else:
            node.machine.apply(0, 0, [encode(SetClusterVersion("3.4.0"))])
        async with asyncio.timeout(DEADLINE_S):
            await waiting
        assert node.proposals == int(comes_to_lead)
        assert cluster_version(node.machine.store.tree) == "3.4.0"
