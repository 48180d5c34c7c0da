"""The simulated network: order, loss, cuts, broken connections, the door."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from raft import Identity, Peer
from raft.births import Births
from raft.messages import Beat, Message
from tests.simulation.loop import MS, NS_PER_S, Process, VirtualLoop
from tests.simulation.network import Network, Transport, Weather

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Nobody:
    """Looks at nothing."""

    def sent(self, sender: int, receiver: int, message: Message) -> None:
        """Do nothing."""

    def arrives(self, sender: int, receiver: int, message: Message, data: bytes) -> None:
        """Do nothing."""


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.births: dict[int, dict[int, int]] = {}

    def received(self, member: int, message: Message) -> None:
        assert isinstance(message, Beat)
        self.told.append(("received", member, message.round))

    def connected(self, member: int, *, births: Mapping[int, int]) -> None:
        self.told.append(("connected", member))
        self.births[member] = dict(births)

    def disconnected(self, member: int) -> None:
        self.told.append(("disconnected", member))

    def removed(self) -> None:
        self.told.append(("removed",))

    def rounds(self) -> list[int]:
        """What arrived, in order."""
        return [what[2] for what in self.told if what[0] == "received"]  # type: ignore[misc]


class Room:
    """A few members that know each other."""

    def __init__(self, loop: VirtualLoop, members: int = 2, seed: str = "room") -> None:
        self.loop = loop
        self.network = Network(loop, seed, Nobody())
        self.listeners: dict[int, Listener] = {}
        self.transports: dict[int, Transport] = {}
        self.processes: dict[int, Process] = {}
        self.removed: set[int] = set()
        # By which birth a member is on record; its own is its number.
        self.births: dict[int, int] = {}
        for number in range(1, members + 1):
            self.enter(number, members)
        self.pass_time()

    def enter(self, number: int, members: int) -> None:
        """Let a member come, or come again."""
        process = self.processes[number] = Process(self.loop, str(number))
        listener = self.listeners[number] = Listener()
        births = Births(Identity(1, number, number), lambda other: self.births.get(other, 0))
        transport = Transport(
            self.network, number, process, self.removed.__contains__, lambda: births
        )
        self.transports[number] = transport
        process.run(transport.start, listener)
        others = [Peer(n, ()) for n in range(1, members + 1) if n != number]
        process.run(transport.set_members, others)

    def send(self, sender: int, receiver: int, *rounds: int) -> list[bool]:
        """Send some beats."""
        transport = self.transports[sender]
        return [self.processes[sender].run(transport.send, receiver, Beat(1, r)) for r in rounds]

    def pass_time(self, time_ns: int = NS_PER_S) -> None:
        """Let time pass."""
        self.loop.run_until(self.loop.now_ns + time_ns)


@pytest.fixture
def room() -> Iterator[Room]:
    """Two members that are connected."""
    loop = VirtualLoop(lambda: 0)  # type: ignore[abstract]
    with loop.running():
        yield Room(loop)


def test_messages_arrive_once_and_in_order(room: Room) -> None:
    """Goal: a calm network promises what the seam does. Method: many messages at once."""
    assert room.listeners[1].told == [("connected", 2)]
    assert room.listeners[2].told == [("connected", 1)]
    assert all(room.send(1, 2, *range(100)))
    room.pass_time()
    assert room.listeners[2].rounds() == list(range(100))


def test_a_rough_network_loses_doubles_and_swaps(room: Room) -> None:
    """Goal: out of order, all three things happen. Method: many messages."""
    weather = Weather(in_order=False, loss=0.1, double=0.1, swap=0.5)
    room.network.weather = weather
    room.network.in_flight_max = 1000
    room.send(1, 2, *range(300))
    room.pass_time()
    rounds = room.listeners[2].rounds()
    assert rounds != sorted(rounds)
    assert len(set(rounds)) < 300
    assert len(rounds) > len(set(rounds))


def test_a_broken_connection_loses_what_is_on_its_way(room: Room) -> None:
    """Goal: both ends learn of it, nothing sent before arrives after, and they connect again.
    Method: break it with messages on their way."""
    room.send(1, 2, 1, 2)
    room.network.reset(1, 2)
    room.pass_time()
    room.send(1, 2, 3)
    room.pass_time()
    assert room.listeners[2].told[1:] == [("disconnected", 1), ("connected", 1), ("received", 1, 3)]
    assert room.listeners[1].told[1:] == [("disconnected", 2), ("connected", 2)]


def test_a_cut_link_holds_until_it_is_mended(room: Room) -> None:
    """Goal: a one-way cut stops one direction, and what waited arrives late. Method: cut, send both
    ways, mend."""
    room.network.cut(1, 2)
    room.send(1, 2, 1)
    room.send(2, 1, 7)
    room.pass_time()
    assert room.listeners[2].rounds() == []
    assert room.listeners[1].rounds() == [7]
    room.network.mend(1, 2)
    room.pass_time()
    assert room.listeners[2].rounds() == [1]


def test_no_connection_comes_to_be_over_a_cut_link(room: Room) -> None:
    """Goal: connecting needs both directions. Method: break a connection with one direction cut;
    mend it later."""
    room.network.cut(2, 1)
    room.network.reset(1, 2)
    room.pass_time()
    assert not room.network.connected(1, 2)
    assert room.send(1, 2, 1) == [False]
    room.network.mend_all()
    room.pass_time()
    assert room.network.connected(1, 2)


def test_what_the_dead_have_sent_may_arrive(room: Room) -> None:
    """Goal: a death breaks connections; the last messages arrive or not, and the others learn of it
    afterwards. Method: many deaths; each outcome must come."""
    outcomes = set()
    for number in range(20):
        room.send(1, 2, number)
        room.processes[1].kill()
        room.network.leave(1, orderly=False)
        room.pass_time()
        told = room.listeners[2].told
        outcomes.add(("received", 1, number) in told)
        assert told[-1] == ("disconnected", 1)
        room.enter(1, 2)
        room.pass_time()
        assert told[-1] == ("connected", 1)
    assert outcomes == {True, False}


def test_a_full_connection_refuses(room: Room) -> None:
    """Goal: queues are bounded. Method: send to a process that is stopped."""
    room.network.in_flight_max = 3
    room.processes[2].stop()
    assert room.send(1, 2, 1, 2, 3, 4) == [True, True, True, False]
    room.processes[2].go_on()
    room.pass_time()
    assert room.send(1, 2, 5) == [True]


def test_the_removed_are_told_so_at_the_door(room: Room) -> None:
    """Goal: whoever was removed is told when it connects, and is not let in. Method: remove one
    member in the eyes of the other."""
    room.transports[2].members = frozenset()
    room.removed.add(1)
    room.network.reset(1, 2)
    room.pass_time()
    assert ("removed",) in room.listeners[1].told
    assert not room.network.connected(1, 2)


def test_strangers_may_come_and_the_unwanted_are_let_go(room: Room) -> None:
    """Goal: a member that one end wants is connected; one that no end wants is not. Method: change
    the sets of members of one end after the other."""
    room.processes[1].run(room.transports[1].set_members, [])
    room.pass_time()
    assert room.network.connected(1, 2)
    room.processes[2].run(room.transports[2].set_members, [])
    room.pass_time()
    assert not room.network.connected(1, 2)


def test_each_end_says_which_births_it_knows(room: Room) -> None:
    """Goal: whoever connects hears by which birth the other end is known, and by which it is.
    Method: one of two is on record, the other one by another birth than its own; a new connection.
    """
    room.births |= {1: 1, 2: 77}
    room.network.reset(1, 2)
    room.pass_time()
    assert room.listeners[1].births == {2: {1: 1}}
    assert room.listeners[2].births == {1: {1: 1, 2: 77}}


def arrival_ns(*others: int) -> int:
    """When a message from 1 to 2 arrives if 1 has sent something to others just before."""
    loop = VirtualLoop(lambda: 0)  # type: ignore[abstract]
    with loop.running():
        room = Room(loop, members=3)
        room.network.weather = replace(room.network.weather, delay_ns=100 * MS)
        for other in others:
            room.send(1, other, 1)
        room.send(1, 2, 1)
        began_ns = loop.now_ns
        assert loop.run_while(lambda: not room.listeners[2].rounds(), began_ns + NS_PER_S)
        return loop.now_ns - began_ns


def test_links_draw_their_own_luck() -> None:
    """Goal: how a message fares does not depend on what is sent over other links before. Method:
    the same message after another one and alone."""
    assert arrival_ns() == arrival_ns(3)
