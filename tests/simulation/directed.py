"""A world led by hand: schedules that are written down, for named regression tests.

    with stage(3) as s:
        a, b, c = s.members
        s.elect(a)
        s.hold(a, c)                      # what a sends c waits from now on
        write = s.write(a, "k", "v")
        s.until(lambda: write.outcome == OK, "b is enough")
        s.drop(a, c)                      # and never arrives
        s.crash(a)
        s.elect(b)
        s.judge()                         # heal, converge, compare: as at the end of every seed

All laws of the simulation are watched on the way. Time passes as in any world, but the election
time-out is long (ELECTION_MS), so nobody stands for election unless told to (`time_out`, `elect`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kvstore.commands import AddMember, RemoveMember, Set, encode
from raft import Timing
from raft.messages import Change
from tests.simulation import judgement
from tests.simulation.clients import OK, Operation
from tests.simulation.loop import MS
from tests.simulation.member import Member, peer_of
from tests.simulation.moods import Mood
from tests.simulation.network import Weather
from tests.simulation.world import World, laboratory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from raft.messages import Message

HEARTBEAT_MS = 100
ELECTION_MS = 10_000
# What `until` waits for at the most; nothing that needs no election takes longer.
PATIENCE_MS = 5_000

CALM = Mood(
    "directed",
    timing=Timing(HEARTBEAT_MS, ELECTION_MS),
    weather=Weather(delay_ns=MS // 2, reconnect_ns=MS, notice_ns=MS),
    clock_rate_min_ppm=1_000_000,
    clock_rate_max_ppm=1_000_000,
)


class Stage:
    """A few members, and what to do with them."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def members(self) -> list[Member]:
        """All members, in the order of their ids."""
        return [self.world.members[number] for number in sorted(self.world.members)]

    # -- time -------------------------------------------------------------------------------

    def run(self, milliseconds: int = 20) -> None:
        """Let time pass."""
        self.world.run_for(milliseconds * MS)

    def until(
        self, condition: Callable[[], object], what: str, milliseconds: int = PATIENCE_MS
    ) -> None:
        """Let time pass until the condition holds; AssertionError if it does not come to be."""
        if not self.world.run_while(lambda: not condition(), milliseconds * MS):
            raise AssertionError(f"not within {milliseconds} ms: {what}")

    def time_out(self, member: Member, election_timeouts: float = 2.1) -> None:
        """Let a member's clock go ahead: it has not heard of anybody for so long.

        At 2.1 it stands for election; at 1.0 it only forgets that it has heard of a leader.
        """
        member.live.process.skip(int(election_timeouts * ELECTION_MS * MS))

    # -- elections --------------------------------------------------------------------------

    def elect(self, member: Member) -> None:
        """Let a member lead, with the votes of whom it can reach; a lone one does so anyway."""
        if leads(member):
            return
        self.time_out(member)
        if not self.world.run_while(lambda: not leads(member), 10 * HEARTBEAT_MS * MS):
            # Others have heard of a leader lately; let that be long ago.
            for other in self.world.up:
                if other is not member and not leads(other):
                    self.time_out(other, 1.0)
            self.time_out(member)
        self.until(lambda: leads(member), f"member {member.id} leads")

    # -- messages ---------------------------------------------------------------------------

    def hold(self, sender: Member, receiver: Member) -> None:
        """From now on what one member sends another one waits."""
        self.world.network.link(sender.id, receiver.id).by_hand = True

    def held(self, sender: Member, receiver: Member) -> list[Message]:
        """What waits, oldest first."""
        link = self.world.network.link(sender.id, receiver.id)
        return [parcel.message for parcel in link.queue]

    def deliver(self, sender: Member, receiver: Member, count: int | None = None) -> None:
        """Deliver the oldest so many that wait (None: all), and let them be acted on."""
        link = self.world.network.link(sender.id, receiver.id)
        for _ in range(len(link.queue) if count is None else count):
            self.world.network.deliver(link.queue.popleft())
        self.run(1)

    def drop(self, sender: Member, receiver: Member, count: int | None = None) -> None:
        """Lose the oldest so many that wait (None: all), in silence."""
        link = self.world.network.link(sender.id, receiver.id)
        for _ in range(len(link.queue) if count is None else count):
            link.queue.popleft()

    def release(self, sender: Member, receiver: Member) -> None:
        """Deliver what waits, and hold nothing any more."""
        self.world.network.link(sender.id, receiver.id).by_hand = False
        self.deliver(sender, receiver)

    def inject(self, sender: Member, receiver: Member, message: Message) -> None:
        """Let a message arrive as if the sender had sent it, now."""
        receiver.live.transport.receive(sender.id, message)
        self.run(1)

    def cut(self, *side: Member) -> None:
        """Cut some members off from all others; their connections break."""
        for one in side:
            for other in self.members:
                if other not in side:
                    self.world.network.cut(one.id, other.id)
                    self.world.network.cut(other.id, one.id)
                    self.world.network.reset(one.id, other.id)
        self.run()

    def mend(self) -> None:
        """Undo all cuts, and connect."""
        self.world.network.mend_all()
        self.run()

    def reset(self, one: Member, other: Member) -> None:
        """Break a connection, lose what is on its way, and connect again."""
        for sender, receiver in ((one, other), (other, one)):
            self.drop(sender, receiver)
        self.world.network.reset(one.id, other.id)
        self.until(lambda: self.world.network.connected(one.id, other.id), "connected again")

    # -- members ----------------------------------------------------------------------------

    def crash(self, member: Member, *, power: bool = True) -> None:
        """End a member's life."""
        member.crash(power=power)
        self.until(lambda: not member.up, "dead")

    def boot(self, member: Member, *, force_new: bool = False) -> None:
        """Begin another life, and connect."""
        member.boot(force_new=force_new)
        self.run()

    def give_up(self, member: Member) -> None:
        """Never boot a dead member again."""
        member.gone = True

    def add(self, via: Member) -> Member:
        """Add a member, and boot it."""
        number = max(self.world.members) + 1
        peer = peer_of(number)
        command = encode(AddMember(number, peer.urls))
        asked = self.world.clients.change(via, Change("add", peer), command)
        self.done(asked)
        member = self.world.add(number)
        self.boot(member)
        return member

    def remove(self, member: Member, via: Member) -> Operation:
        """Ask for a member to be removed."""
        command = encode(RemoveMember(member.id))
        return self.world.clients.change(via, Change("remove", peer_of(member.id)), command)

    # -- clients ----------------------------------------------------------------------------

    def write(self, member: Member, key: str, value: str) -> Operation:
        """Ask a member to set a key."""
        return self.world.clients.write(member, Set(f"/{key}".encode(), value.encode()))

    def read(self, member: Member, key: str) -> Operation:
        """Ask a member for a key, with quorum=true."""
        return self.world.clients.read(member, f"/{key}".encode())

    def done(self, *operations: Operation) -> None:
        """Wait until these have worked."""
        for operation in operations:
            self.until(lambda o=operation: o.outcome == OK, f"{operation} works")  # type: ignore[misc]

    def has(self, member: Member, key: str, value: str) -> bool:
        """Whether a member's state holds a value, right now."""
        node = member.live.machine.store.tree.nodes.get(f"/{key}".encode())
        return node is not None and node.value == value.encode()

    # -- the end ----------------------------------------------------------------------------

    def judge(self) -> None:
        """Heal and boot everything, and judge as at the end of a seed; raises Violation."""
        judgement.judge(self.world)


def leads(member: Member) -> bool:
    """Whether a member says that it leads."""
    return member.life is not None and member.life.node.status.is_leader


@contextmanager
def stage(members: int, seed: str = "directed", **mood: Any) -> Iterator[Stage]:
    """Run so many members, booted and connected; `mood` replaces fields of a calm Mood."""
    changed = {name: getattr(CALM, name) for name in CALM.__dataclass_fields__} | mood
    with laboratory():
        world = World(seed, Mood(**changed), members=members)
        with world.running():
            found = Stage(world)
            for member in found.members:
                member.boot()
            found.run()
            yield found
