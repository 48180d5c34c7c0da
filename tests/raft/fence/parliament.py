"""Engines led by hand: every message, sync, turn and tick is a line of the test.

Each member is a real raft.engine.Engine on a real Log over a real Journal on a simulated disk.
Messages are encoded when they are sent and decoded when they are delivered; in between they wait in
one queue per direction, which the test may look into, thin out, double or put in another order.

Laws that are watched, whatever a test is about:

* One leader a term.
* What is committed at an index is the same for everyone and for ever.
* What a leader commits is on the disks of a majority of its voters at that moment.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from raft import batch, messages
from raft.batch import Batch, Peer
from raft.births import Births
from raft.core import Timing
from raft.engine import Engine
from raft.journal import Identity, Journal, Recovered
from raft.log import Log
from raft.membership import Membership
from tests.raft.member import HandClock
from tests.raft.simulated_disk import SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raft.messages import Message

MessageT = TypeVar("MessageT")

CLUSTER_ID = 0xC1
WAL = "/wal"
SEGMENT_BYTES = 64 << 10
TIMING = Timing()
HEARTBEAT_MS, ELECTION_MS = TIMING.heartbeat_ms, TIMING.election_ms
NS_PER_MS = 1_000_000
# More deliveries than any of these schedules needs: who needs more goes round in circles.
STEPS_MAX = 10_000


class Even(random.Random):
    """Chance that always lies in the middle."""

    def random(self) -> float:
        return 0.5


def peer(member: int, url: str = "") -> Peer:
    """How a member is known to others."""
    return Peer(member, (url or f"http://member{member}:2380",))


def entry(command: bytes, peers: Iterable[int] | None = None) -> bytes:
    """A log entry of one command, a configuration if it names members."""
    members = None if peers is None else tuple(map(peer, peers))
    return batch.encode(Batch(0, 0, [(0, 0)], [command], members))


def command(data: bytes) -> bytes:
    """The command in such an entry; b"" for a no-op."""
    found = batch.decode(data)
    return found.commands[0] if found is not None else b""


@dataclass
class Seat:
    """One member: its disk, which outlives it, and the engine on it."""

    id: int
    founders: tuple[int, ...]
    clock: HandClock = field(default_factory=HandClock)
    disk: SimulatedDisk = field(default_factory=SimulatedDisk)
    has_room: bool = True
    # What it has on record of all members' births.
    births: dict[int, int] = field(default_factory=dict)
    # (term, data) by index, as of the last sync.
    on_disk: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    # What was applied in this life, by index, and what waits for its own sync.
    applied: dict[int, bytes] = field(default_factory=dict)
    committed: deque[tuple[int, bytes]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.disk.mkdir(WAL)
        self.boot()

    def boot(self) -> None:
        """Begin a life on what is on the disk."""
        self.begin(*self.open())

    def open(self) -> tuple[Journal, Recovered]:
        """Open the journal, or begin one as a founder or as one that joins."""
        first = (entry(b"", self.founders), 1, 1)
        return Journal.open(
            self.disk,
            WAL,
            identity=Identity(CLUSTER_ID, self.id),
            first=(first,) if self.founders else (),
            segment_bytes=SEGMENT_BYTES,
        )

    def begin(self, journal: Journal, recovered: Recovered) -> None:
        """Begin a life on an open journal."""
        self.journal = journal
        self.log = Log(self.journal, recovered, Membership(0, ()), 0)
        self.engine = Engine(
            self.id,
            log=self.log,
            applied=self.log.first_index,
            timing=TIMING,
            clock=self.clock,
            chance=Even(),
            births=Births(Identity(CLUSTER_ID, self.id), lambda member: self.births.get(member, 0)),
            has_room=lambda _size_bytes: self.has_room,
        )
        self.applied, self.committed = {}, deque()
        self.remember()

    def remember(self) -> None:
        """All of the log is on disk."""
        self.on_disk = {index: (term, data) for data, index, term in self.log.entries}

    @property
    def terms(self) -> list[tuple[int, int]]:
        """The log: (index, term) of each entry."""
        return [(index, term) for _data, index, term in self.log.entries]

    @property
    def commands(self) -> list[bytes]:
        """The commands in the log."""
        return [command(data) for data, _index, _term in self.log.entries if command(data)]

    @property
    def applied_commands(self) -> list[bytes]:
        """The commands applied in this life."""
        return [command(data) for data in self.applied.values() if command(data)]


class Parliament:
    """Several engines and what lies between them. All members begin connected."""

    def __init__(self, *members: int, joiners: Sequence[int] = ()) -> None:
        self.seats = {member: Seat(member, members) for member in members}
        self.seats |= {member: Seat(member, ()) for member in joiners}
        self.links: defaultdict[tuple[int, int], deque[bytes]] = defaultdict(deque)
        self.up = set(self.seats)
        self._connected: set[tuple[int, int]] = set()
        self._leaders: dict[int, int] = {}
        self._canon: dict[int, tuple[int, bytes]] = {}
        # How many messages of each kind were delivered.
        self.delivered = Counter[str]()
        for one in self.seats:
            for other in self.seats:
                if one < other:
                    self.connect(one, other)

    def __getitem__(self, member: int) -> Seat:
        return self.seats[member]

    def engine(self, member: int) -> Engine:
        """A member's engine."""
        return self.seats[member].engine

    # -- what lies between them --------------------------------------------------------------

    def connect(self, one: int, other: int) -> None:
        """Let two members have a new connection."""
        if (one, other) in self._connected:
            return
        self._connected |= {(one, other), (other, one)}
        for me, them in ((one, other), (other, one)):
            self.engine(me).connected(them)
            self._ship(me)

    def disconnect(self, one: int, other: int) -> None:
        """Break the connection of two members; what is on its way is lost."""
        if (one, other) not in self._connected:
            return
        self._connected -= {(one, other), (other, one)}
        for me, them in ((one, other), (other, one)):
            self.links[me, them].clear()
            if me in self.up:
                self.engine(me).disconnected(them)
                self._ship(me)

    def partition(self, *groups: Iterable[int]) -> None:
        """Let only members of the same group be connected."""
        parts = [set(group) for group in groups]
        for one in self.seats:
            for other in self.seats:
                if one < other and {one, other} <= self.up:
                    together = any({one, other} <= part for part in parts)
                    (self.connect if together else self.disconnect)(one, other)

    def heal(self) -> None:
        """Let everyone who is up be connected with everyone."""
        self.partition(self.up)

    def on_the_way(self, sender: int, receiver: int) -> list[Message]:
        """What waits between two members."""
        return [messages.decode(data) for data in self.links[sender, receiver]]

    def deliver(self, sender: int, receiver: int, count: int = STEPS_MAX) -> list[Message]:
        """Deliver the first so many messages of a direction; return them."""
        link = self.links[sender, receiver]
        delivered: list[Message] = []
        while link and len(delivered) < count:
            delivered.append(messages.decode(link.popleft()))
            self.tell(sender, receiver, delivered[-1])
        return delivered

    def tell(self, sender: int, receiver: int, message: Message) -> None:
        """Deliver a message that is in no queue."""
        self.delivered[type(message).__name__] += 1
        self.engine(receiver).receive(sender, messages.decode(messages.encode(message)))
        self._ship(receiver)

    def take(self, sender: int, receiver: int, kind: type[MessageT]) -> list[MessageT]:
        """Take the messages of a kind off a direction; return them."""
        taken: list[MessageT] = []
        left: deque[bytes] = deque()
        for data in self.links[sender, receiver]:
            message = messages.decode(data)
            if isinstance(message, kind):
                taken.append(message)
            else:
                left.append(data)
        self.links[sender, receiver] = left
        return taken

    def drop(self, sender: int, receiver: int) -> None:
        """Lose, in silence, all that is on its way in a direction."""
        self.links[sender, receiver].clear()

    def double(self, sender: int, receiver: int) -> None:
        """Let all that is on its way in a direction arrive twice."""
        self.links[sender, receiver].extend(list(self.links[sender, receiver]))

    def reverse(self, sender: int, receiver: int) -> None:
        """Let what is on its way in a direction arrive in the opposite order."""
        self.links[sender, receiver].reverse()

    def _ship(self, member: int) -> None:
        """Put what a member has to say on its way."""
        engine = self.engine(member)
        outbox = engine.desk.take_outbox()
        self._send(member, outbox)
        if engine.is_leader:
            assert self._leaders.setdefault(engine.term, member) == member, "two in one term"

    def _send(self, member: int, parcels: list[tuple[int, Message]]) -> None:
        for receiver, message in parcels:
            if (member, receiver) in self._connected:
                self.links[member, receiver].append(messages.encode(message))

    # -- what a member does ------------------------------------------------------------------

    def propose(self, leader: int, text: bytes, peers: Iterable[int] | None = None) -> int:
        """Append an entry on the leader and tell the others; return its index."""
        index = self.engine(leader).propose(entry(text, peers))
        self.engine(leader).leading.send_appends()
        self._ship(leader)
        return index

    def sync(self, member: int) -> None:
        """Make durable what a member has written, and release what it had promised."""
        seat = self.seats[member]
        covered = seat.log.begin_sync()
        seat.journal.sync()
        seat.log.synced(covered)
        seat.remember()
        held = seat.engine.desk.take_held()
        self._send(member, held)

    def turn(self, member: int) -> list[bytes]:
        """Let a member commit and apply; return the commands it has applied now."""
        seat, engine = self.seats[member], self.engine(member)
        assert not (engine.is_leader and seat.journal.pending), "no turn before the sync"
        voters = seat.log.membership.voters
        engine.following.resume()
        committed = engine.turn()
        self._check_commit(seat, committed, voters)
        seat.committed.extend(committed)
        applied: list[bytes] = []
        while seat.committed and seat.committed[0][0] <= seat.log.durable:
            index, data = seat.committed.popleft()
            seat.applied[index] = data
            if command(data):
                applied.append(command(data))
        engine.leading.send_appends()
        engine.leading.send_commits()
        self._ship(member)
        return applied

    def _check_commit(
        self, seat: Seat, committed: list[tuple[int, bytes]], voters: frozenset[int]
    ) -> None:
        """What a leader commits is on the disks of a majority of those who were voters then."""
        for index, data in committed:
            term = seat.log.term_at(index)
            known = self._canon.setdefault(index, (term, data))
            assert known == (term, data), f"two entries {index} are committed"
            if seat.engine.is_leader:
                there = sum(
                    self.seats[voter].on_disk.get(index) == (term, data) for voter in voters
                )
                assert 2 * there > len(voters), f"entry {index} is on {there} of {len(voters)}"

    def tick(self, member: int, after_ms: int = 0) -> None:
        """Let time pass for a member."""
        self.pass_time(after_ms, member)
        self.engine(member).tick()
        self._ship(member)

    def pass_time(self, time_ms: int, *members: int) -> None:
        """Let time pass for members (for all if none are named) without their noticing yet."""
        for member in members or self.seats:
            self.seats[member].clock.now_ns += time_ms * NS_PER_MS

    def crash(self, member: int, keep: random.Random | None = None) -> None:
        """Lose power: what was not synced is gone (or some of it, as `keep` draws)."""
        for other in self.seats:
            self.disconnect(member, other)
        self.up.discard(member)
        self.seats[member].disk.crash(keep)

    def restart(self, member: int) -> None:
        """Start a member that has crashed; it is connected with nobody yet."""
        self.seats[member].boot()
        self.up.add(member)

    # -- what several do ---------------------------------------------------------------------

    def run(self, *members: int) -> None:
        """Deliver, sync and turn, of these members or all who are up, until nothing happens.

        No time passes.
        """
        among = sorted(set(members or self.up) & self.up)
        for _ in range(STEPS_MAX):
            before = self.delivered.total()
            for member in among:
                for other in among:
                    self.deliver(other, member)
                self.sync(member)
                self.turn(member)
            waiting = any(self.links[one, other] for one in among for other in among)
            if self.delivered.total() == before and not waiting:
                return
        raise AssertionError("they never come to rest")

    def elect(self, member: int, *voters: int) -> None:
        """Have a member stand and be elected by these (by all who are up if none are named)."""
        among = {member, *(voters or self.up)}
        self.pass_time(ELECTION_MS, *among)
        for other in among:
            # Who led until now has not heard of a majority for an election time-out.
            self.sync(other)
            self.turn(other)
        self.tick(member, ELECTION_MS)
        self.run(*among)
        assert self.engine(member).is_leader, "it was not elected"

    def beat(self, leader: int, *among: int) -> None:
        """Let a heartbeat's time pass and everyone answer."""
        self.pass_time(HEARTBEAT_MS, *(among or self.up))
        self.sync(leader)
        self.tick(leader, 1)
        self.turn(leader)
        self.run(*among)
