"""One member of the simulated cluster: a disk, an identity, and the lives that it leads on them.

A life is a process (loop.Process) with a real raft.Node and a real state machine. It ends by a
crash (with or without loss of power), by a fault of its disk, by its own orderly stop, or because
the member was removed.

Laws that are watched:

* "an intact disk is started from": only damage, and an error of the disk, keep a member from it.
* "no member fails by itself": only a sync that failed is a reason to die.
* "only the removed go".
"""

from __future__ import annotations

import asyncio
import random
import traceback
from typing import TYPE_CHECKING

from kvstore import Reply, birth_of, is_removed
from kvstore.commands import AddMember, PublishMember, RemoveMember, SetClusterVersion, encode
from raft import (
    BIRTH_BITS,
    Bootstrap,
    DataLost,
    Identity,
    JournalCorrupt,
    Node,
    NodeConfig,
    Peer,
    ProposalFailed,
    Refused,
    SnapshotCorrupt,
)
from raft.errors import STOPPED
from tests.simulation.canon import WatchedMachine
from tests.simulation.disk import SNAP, WAL, MemberDisk, Mount
from tests.simulation.loop import NS_PER_S, Process
from tests.simulation.network import Transport
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.clients import Operation
    from tests.simulation.loop import VirtualLoop
    from tests.simulation.world import World

CLUSTER_ID = 0xC1
# The wall clock at the beginning of the world.
EPOCH_NS = 1_700_000_000 * NS_PER_S


def peer_of(number: int) -> Peer:
    """How a member is known to others at first."""
    return Peer(number, (f"http://member{number}:2380",))


def _removals(others: tuple[Peer, ...]) -> list[bytes]:
    """The commands that record that others are no members any more."""
    return [encode(RemoveMember(peer.id)) for peer in others]


class ImpatientConfig(NodeConfig):
    """Requests time out earlier than etcd's, so that it happens often and is over soon."""

    @property
    def request_timeout_ms(self) -> int:
        """Return a second and two election time-outs."""
        return 1000 + 2 * self.timing.election_ms


class Clocks:
    """The clocks of one life: the raft.clock.Clock."""

    def __init__(self, process: Process, loop: VirtualLoop, ahead_ns: int) -> None:
        self.monotonic_ns = process.monotonic_ns
        self._loop = loop
        # How far the wall clock is ahead of the world's time.
        self.ahead_ns = ahead_ns

    def wall_ns(self) -> int:
        return EPOCH_NS + self._loop.now_ns + self.ahead_ns


class Life:
    """One process of a member, and all that is in it."""

    def __init__(self, member: Member) -> None:
        """A process that is there, and has not begun to recover."""
        world, luck = member.world, member.luck
        self.member = member
        self.process = Process(
            world.loop,
            member,
            origin_ns=luck.randrange(10_000 * NS_PER_S),
            rate_ppm=world.clock_rate_ppm(luck),
        )
        self.clocks = Clocks(self.process, world.loop, world.wall_clock_ahead_ns(luck))
        self.mount = Mount(
            member.disk,
            world.loop,
            self.process,
            on_power_loss=self._power_lost,
            on_opened=member.journal.opened,
            on_snapshot_read=member.journal.snapshot_read,
        )
        self.machine = WatchedMachine(world.canon, member.journal, spend=world.loop.spend)
        self.transport = Transport(
            world.network, member.id, self.process, self._is_removed, lambda: self.node._births
        )
        self.node: Node[Reply]

    def birth_of(self, number: int) -> int:
        """By which birth its state machine knows a member; 0 for none."""
        return birth_of(self.machine.store.tree, number)

    def _is_removed(self, number: int) -> bool:
        return is_removed(self.machine.store.tree, number)

    def start(self, *, force_new: bool) -> None:
        """Recover and join; raises what raft.Node does."""
        member = self.member
        world, mood = member.world, member.world.mood
        has_data = any(name.endswith(".log") for name in member.disk.listdir(WAL))
        founders = [] if has_data else member.founders
        commands = [encode(AddMember(peer.id, peer.urls)) for peer in founders]
        self.node = Node(
            self.machine,
            ImpatientConfig(
                WAL,
                SNAP,
                snapshot_count=mood.snapshot_count,
                trailing_commands=mood.trailing_commands,
                segment_bytes=mood.segment_bytes,
                timing=mood.timing,
            ),
            identity=None if has_data else Identity(CLUSTER_ID, member.id, member.birth()),
            bootstrap=Bootstrap(tuple(founders), commands) if founders else None,
            on_fatal=self._die,
            clock=self.clocks,
            disk=self.mount,
            transport=self.transport,
            chance=random.Random(member.luck.random()),
            is_removed=self._is_removed,
            birth_of=self.birth_of,
            on_removed=self._removed,
            force_new=_removals if force_new else None,
        )
        world.leadership.begins(member.id)
        self.node.start()
        self.machine.started = True

    # -- death ------------------------------------------------------------------------------

    def crash(self, *, power: bool) -> None:
        """Die now, or, held up by a disk, as soon as what the disk was asked for has happened."""
        loop, process = self.member.world.loop, self.process
        if process.alive and process.busy_until_ns > loop.now_ns:
            loop.schedule(process.busy_until_ns, self._crash, power)
        else:
            self._crash(power)

    def _crash(self, power: bool) -> None:
        if not self.process.alive:
            return
        if self.process.busy_until_ns > self.member.world.loop.now_ns:
            self.crash(power=power)
        else:
            self.member.ended("crash" if power else "kill", power=power)

    def _power_lost(self) -> None:
        """The disk has lost its power under an operation."""
        self.member.ended("power loss", power=True)

    def _die(self, error: BaseException) -> None:
        """The node says that it cannot go on: the process ends."""
        if not self.process.alive:
            return
        member = self.member
        if isinstance(error, DataLost):
            member.refuse(error)
            return
        member.ended("fatal", power=member.luck.random() < 0.5)
        explained = isinstance(error, OSError) and self.mount.failed_ns is not None
        if not explained and not isinstance(error, Violation):
            last = traceback.extract_tb(error.__traceback__)[-1]
            detail = f"member {member.id}: {error!r} at {last.filename}:{last.lineno}"
            member.world.accuse("no member fails by itself", detail)

    def _removed(self) -> None:
        """The node says that the member was removed."""
        member, world = self.member, self.member.world
        member.gone = True
        world.tell("gone", member.id)
        if member.id not in world.removals():
            world.accuse("only the removed go", f"member {member.id} was not removed")
        # A moment to tell others, as the server gives itself, and then the end.
        self.process.at(world.loop.now_ns + world.election_ns, self._stop)

    def stop(self) -> None:
        """Be told to stop (SIGTERM)."""
        self.process.at(self.member.world.loop.now_ns, self._stop)

    def _stop(self) -> None:
        stopping = asyncio.ensure_future(self.node.stop())
        stopping.add_done_callback(self._stopped)

    def _stopped(self, stopping: asyncio.Task[None]) -> None:
        if (error := stopping.exception()) is not None:
            self._die(error)
        else:
            self.member.ended("stopped", power=False)


class Member:
    """A member through all its lives."""

    def __init__(self, world: World, number: int, *, founders: tuple[Peer, ...] = ()) -> None:
        """`founders`: the first members, of whom this is one; none for a member that joins."""
        self.world = world
        self.id = number
        self.founders = founders
        self.disk = MemberDisk(f"{world.seed}/{number}")
        self.disk.pace = world.mood.pace
        self.journal = world.journals.of(number)
        self.luck = random.Random(f"{world.seed}/{number}/member")
        self.life: Life | None = None
        self.lives = 0
        # It has learnt that it was removed; or does not start from its damaged disk.
        self.gone = False
        self.refuses: Exception | None = None
        # Where it has asked for its name to be recorded.
        self.publications: list[Operation] = []

    def birth(self) -> int:
        """Draw the number of a log that is begun now."""
        seed = f"{self.world.seed}/{self.id}/birth/{self.lives}"
        return random.Random(seed).getrandbits(BIRTH_BITS) or 1

    @property
    def up(self) -> bool:
        """Whether it runs (or is stopped, but not dead)."""
        return self.life is not None

    @property
    def live(self) -> Life:
        """The life of a member that is up."""
        assert self.life is not None, f"member {self.id} is down"
        return self.life

    @property
    def can_boot(self) -> bool:
        """Whether it is down, and may come up again."""
        return self.life is None and not self.gone and self.refuses is None

    @property
    def serves(self) -> bool:
        """Whether it runs and can act now."""
        return (
            self.life is not None
            and not self.life.process.stopped
            and self.life.process.busy_until_ns <= self.world.loop.now_ns
        )

    def boot(self, *, force_new: bool = False) -> None:
        """Begin a life, if the disk lets it.

        `force_new`: as --force-new-cluster does, as the only member there is.
        """
        world = self.world
        assert not self.up
        self.lives += 1
        world.tell("boot", self.id)
        life = self.life = Life(self)
        # To recover takes no time; the member is held up afterwards instead.
        with world.loop.aside() as took:
            try:
                life.process.run(lambda: life.start(force_new=force_new))
            except (JournalCorrupt, SnapshotCorrupt, Refused) as error:
                self.refuse(error)
            except OSError:
                if life.process.alive:
                    self.ended("born dead", power=False)
        world.loop.raise_failure()
        if life.process.alive:
            life.process.busy_until_ns = world.loop.now_ns + took.ns
            self._publish()

    def _publish(self) -> None:
        """Record what a server records when it starts, and not before it has a leader's entries."""
        life = self.live

        async def publish() -> None:
            while True:
                try:
                    await life.node.read_barrier()
                    break
                except ProposalFailed as failure:
                    if str(failure) == STOPPED:
                        return
            name, urls = f"member{self.id}", (f"http://member{self.id}:2379",)
            record = self.world.clients.record
            self.publications.append(
                record(self, PublishMember(self.id, name, urls, life.node.identity.birth))
            )
            if self.lives == 1:
                record(self, SetClusterVersion("3.4.0"))

        life.process.at(self.world.loop.now_ns, lambda: asyncio.ensure_future(publish()))

    @property
    def known_since(self) -> int:
        """The index of the first entry by which others know that it was started; 0 for none."""
        return min((done.index for done in self.publications if done.index), default=0)

    def refuse(self, error: Exception) -> None:
        """It does not start, or go on: because of a damage that was done."""
        if not self.live.process.alive:
            return
        if not self.journal.damaged:
            self.world.accuse("an intact disk is started from", f"member {self.id}: {error}")
        self.refuses = error
        self.journal.lost = True
        self.ended("refuses", power=False)

    def wipe(self, *, founders: tuple[Peer, ...], counts: bool) -> None:
        """Have an empty disk, and be started as if it were new from now on.

        `counts`: others may let it take part before they know, once it has all that it had.
        """
        assert not self.up
        self.disk = MemberDisk(f"{self.world.seed}/{self.id}/{self.lives}")
        self.disk.pace = self.world.mood.pace
        self.founders = founders
        self.journal.wiped(counts=counts)
        self.world.tell("wipe", self.id)

    def crash(self, *, power: bool) -> None:
        """End its life, if it has one."""
        if self.life is not None:
            self.life.crash(power=power)

    def ended(self, how: str, *, power: bool) -> None:
        """Its life is over; with the power goes what was not synced."""
        process, self.life = self.live.process, None
        process.kill()
        self.world.network.leave(self.id, orderly=False)
        self.world.clients.ended(process)
        if power:
            self.disk.crash(self.luck)
        else:
            self.disk.kill()
        self.world.tell(how, self.id)
