"""A member that lives many lives on one simulated disk, each ended by a power loss.

The member is a real `raft.Node` with a real store on a real event loop; only the disk is simulated
(tests/raft/simulated_disk.py): it forgets at each crash what was not synced, keeping random sectors
of it. The log's segments and its trailing window are made small, so that rolls and compactions
happen all the time.

What a life is judged by, at its beginning and at its end:
* the log recovered is a continuation of what had been applied before;
* a second store, fed with that log alone, is equal to the member's, and gives the same replies:
  each acknowledged command is in the log with the reply (modifiedIndex, X-Etcd-Index, body) that
  was given, and nothing is half there;
* after a failure of the disk no further reply leaves.
"""

import asyncio
import errno
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar
from unittest import mock

from kvstore import Machine, Reply
from kvstore.commands import (
    AddMember,
    Command,
    CompareAndDelete,
    CompareAndSwap,
    Create,
    CreateInOrder,
    Delete,
    Set,
    Update,
    encode,
)
from raft import Bootstrap, Identity, Node, NodeConfig, Peer, Timing, batch
from raft.disk import Disk
from raft.journal import Entry, Journal, Recovered
from tests.raft.simulated_disk import PowerLoss, SimulatedDisk, SimulatedFile

ME = Identity(7, 9)
WAL, SNAP = "/wal", "/snap"
SEGMENT_BYTES = 32 << 10
ROOM_KEPT_BYTES = 2 << 10
TRAILING_COMMANDS = 120
SNAPSHOT_COUNT = 50
OUTSTANDING_MAX = 40
LIFE_S = 10.0
KEYS = 12


class Lost(AssertionError):
    """An acknowledged command is not there, or not as it was acknowledged."""


class SmallJournal(Journal):
    """A journal of small segments that remembers what it was given."""

    recovered: ClassVar[Recovered]
    appended: ClassVar[list[Entry]]

    @classmethod
    def open(
        cls,
        disk: Disk,
        directory: str,
        *,
        identity: Identity | None,
        first: Sequence[Entry] = (),
        segment_bytes: int = SEGMENT_BYTES,
    ) -> tuple[Journal, Recovered]:
        """Open, and keep what was found for the judge."""
        opened = super().open(
            disk, directory, identity=identity, first=first, segment_bytes=SEGMENT_BYTES
        )
        SmallJournal.recovered = opened[1]
        SmallJournal.appended = list(opened[1].entries)
        return opened

    def append(self, entry: Entry, *, commit: int) -> None:
        """Append, and keep the entry for the judge."""
        super().append(entry, commit=commit)
        SmallJournal.appended.append(entry)


@contextmanager
def small() -> Iterator[None]:
    """Make segments and the trailing window small."""
    with (
        mock.patch("raft.node.Journal", SmallJournal),
        mock.patch("raft.appender._ROOM_KEPT_BYTES", ROOM_KEPT_BYTES),
    ):
        yield


class LossyDisk(SimulatedDisk):
    """A disk that answers with an I/O error from the loss of power on, and can be lazy.

    Lazy, it has forgotten the meaning of fdatasync: the fault that must be seen.
    """

    lazy = False

    def operate(self) -> None:
        """Count an operation; fail if the power is gone."""
        try:
            super().operate()
        except PowerLoss:
            raise OSError(errno.EIO, "the power is gone") from None

    def open(self, path: str, create: bool = False) -> SimulatedFile:
        """Open a file that lies while the disk is lazy."""
        super().open(path, create)
        return LazyFile(self, self._inode(path))


class LazyFile(SimulatedFile):
    """A file of such a disk."""

    def sync(self) -> None:
        """Do nothing, or what a sync does."""
        assert isinstance(self._disk, LossyDisk)
        if not self._disk.lazy:
            super().sync()


class DiskClock:
    """The system's time, in which each sync seems to take a given time."""

    def __init__(self, disk: SimulatedDisk, sync_ns: int) -> None:
        self._disk = disk
        self._sync_ns = sync_ns

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._disk.syncs * self._sync_ns

    def wall_ns(self) -> int:
        return time.time_ns()


@dataclass
class Figures:
    """What happened, to be printed and to show that it was something."""

    lives: int = 0
    acknowledged: int = 0
    unknown: int = 0
    repaired: int = 0
    snapshots: int = 0
    compacted_to: int = 0
    born_dead: int = 0
    failed_syncs: int = 0

    def add(self, other: "Figures") -> None:
        """Add up."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Lives:
    """One member's history over all its lives."""

    chance: random.Random
    disk: LossyDisk = field(default_factory=LossyDisk)
    figures: Figures = field(default_factory=Figures)
    acknowledged: dict[bytes, Reply] = field(default_factory=dict)
    log: list[bytes] = field(default_factory=list)
    """Every entry's data, from index 1 on, as far as it was recovered or written."""
    applied: int = 0
    """The highest index that was ever applied."""
    number: int = 0
    own: list[bytes] = field(default_factory=list)
    """Keys that may be deleted, once each."""
    fail_syncs: bool = True
    fail_recovery: float = 0.3
    """How likely the power fails while a member recovers."""

    def __post_init__(self) -> None:
        self.disk.mkdir(WAL)
        self.disk.mkdir(SNAP)

    def run(self, lives: int) -> None:
        """Live so often, and once more in peace."""
        with small():
            for _ in range(lives):
                asyncio.run(Life(self).live())
                self.crash()
            asyncio.run(Life(self, peaceful=True).live())

    def crash(self) -> None:
        """Lose power, and now and then only the process."""
        if self.chance.random() < 0.15:
            self.disk.kill()
        else:
            self.disk.crash(self.chance if self.chance.random() < 0.8 else None)

    # -- the judge --------------------------------------------------------------------------

    def learn(self, recovered: Recovered, appended: list[Entry]) -> None:
        """Extend what is known of the log by what was recovered, and by what was added since."""
        if not appended:
            return
        first = recovered.entries[0][1] if recovered.entries else appended[0][1]
        if first - 1 > len(self.log):
            raise Lost(f"the log begins at {first}, but ended at {len(self.log)}")
        known = self.log[: first - 1]
        for data, index, _term in appended:
            del known[index - 1 :]
            known.append(data)
        if known[: self.applied] != self.log[: self.applied]:
            raise Lost(f"entries up to {self.applied} had been applied; now others are there")
        self.log = known

    def judge(self, node: Node[Reply], machine: Machine) -> None:
        """Compare the member with a store made of the log alone; AssertionError or Lost."""
        if node.applied_index < self.applied:
            raise Lost(f"applied up to {node.applied_index}, before the crash {self.applied}")
        self.applied = node.applied_index
        reference = Machine()
        replies: dict[bytes, Reply] = {}
        for data in self.log[: self.applied]:
            entry = batch.decode(data)
            if entry is not None:
                given = reference.apply(entry.stamp_ns, entry.wall_ns, entry.commands)
                replies.update(zip(entry.commands, given, strict=True))
        for command, reply in self.acknowledged.items():
            if replies.get(command) != reply:
                raise Lost(f"{command!r}: acknowledged {reply}, now {replies.get(command)}")
        assert reference.digest() == machine.digest()
        indexes = [reply.index for reply in self.acknowledged.values() if reply.ok]
        assert len(indexes) == len(set(indexes))
        assert machine.store.index >= max(indexes, default=0)


class Life:
    """One life: recover, be judged, serve proposals until the disk fails."""

    def __init__(self, history: Lives, *, peaceful: bool = False) -> None:
        self._history = history
        self.chance = history.chance
        self._peaceful = peaceful
        self._machine = Machine()
        self._outstanding: dict[asyncio.Future[Reply], bytes] = {}
        self._served = False

    async def live(self) -> None:
        """From recovery to death."""
        self._died = asyncio.Event()
        history, disk = self._history, self._history.disk
        history.figures.lives += 1
        SmallJournal.appended = []
        if not self._peaceful and self.chance.random() < history.fail_recovery:
            disk.lose_power_after(self.chance.randrange(12))
        node: Node[Reply] | None = None
        try:
            node = self._open()
            self._note_recovery()
            history.learn(SmallJournal.recovered, SmallJournal.appended)
            node.start()
            await self._serve(node)
        except Death as end:
            if self._peaceful:
                raise AssertionError("the disk failed in peace") from end
        finally:
            if node is not None:
                await self._end(node)

    def _open(self) -> Node[Reply]:
        disk = self._history.disk
        # As server/process.py: a data directory with a log in it needs no bootstrap.
        has_data = any(name.endswith(".log") for name in disk.listdir(WAL))
        first = Bootstrap((Peer(ME.member_id, ("http://h:1",)),), [encode(AddMember(9, ()))])
        sync_ns = self.chance.choice((0, 0, 3_000_000))
        try:
            return Node(
                self._machine,
                NodeConfig(
                    WAL,
                    SNAP,
                    snapshot_count=SNAPSHOT_COUNT,
                    trailing_commands=TRAILING_COMMANDS,
                    timing=Timing(20, 100),
                ),
                identity=None if has_data else ME,
                bootstrap=None if has_data else first,
                on_fatal=self._die,
                clock=DiskClock(disk, sync_ns),
                disk=disk,
            )
        except OSError as error:
            self._history.figures.born_dead += 1
            raise Death from error

    def _note_recovery(self) -> None:
        figures, recovered = self._history.figures, SmallJournal.recovered
        figures.repaired += recovered.repaired is not None
        if recovered.entries:
            figures.compacted_to = max(figures.compacted_to, recovered.entries[0][1])

    def _die(self, error: BaseException) -> None:
        # The real one ends the process here: what is answered later was never answered.
        if not self._died.is_set():
            self._history.figures.failed_syncs += "simulated I/O error" in str(error)
            self._died.set()
            self._note_replies()

    def _note_replies(self) -> None:
        history = self._history
        for future, command in self._outstanding.items():
            if not future.done():
                history.figures.unknown += 1
            elif future.exception() is None:
                history.acknowledged[command] = future.result()
                history.figures.acknowledged += 1

    async def _serve(self, node: Node[Reply]) -> None:
        history = self._history
        barrier = node.read_barrier()
        barrier.add_done_callback(_look_at)
        await self._first_of(barrier)
        history.learn(SmallJournal.recovered, SmallJournal.appended)
        history.judge(node, self._machine)
        self._served = True
        if self._peaceful:
            return
        self.on_serving()
        while not self._died.is_set():
            waiting = [future for future in self._outstanding if not future.done()]
            for _ in range(self.chance.randint(1, OUTSTANDING_MAX) - len(waiting)):
                command = encode(self._command())
                future = node.propose(command)
                future.add_done_callback(_look_at)
                self._outstanding[future] = command
                waiting.append(future)
            await self._first_of(*waiting)

    def on_serving(self) -> None:
        """Decide how this life will end."""
        disk = self._history.disk
        if self._history.fail_syncs and self.chance.random() < 0.15:
            disk.fail_sync_after(self.chance.randrange(60))
        disk.lose_power_after(self.chance.choice((5, 50, 300, 800)) + self.chance.randrange(50))

    async def _first_of(self, *futures: asyncio.Future[Reply] | asyncio.Future[None]) -> None:
        """Wait for any of the futures, or for death."""
        death = asyncio.ensure_future(self._died.wait())
        try:
            done, _ = await asyncio.wait(
                (*futures, death), timeout=LIFE_S, return_when=asyncio.FIRST_COMPLETED
            )
            assert done, "neither a reply nor a failure"
        finally:
            death.cancel()
        if self._died.is_set():
            raise Death from None

    async def _end(self, node: Node[Reply]) -> None:
        history, disk = self._history, self._history.disk
        disk.lose_power_after(0)  # nothing that still runs may reach the disk
        await node.stop()
        names = disk.listdir(SNAP)
        history.figures.snapshots += sum(name.endswith(".snapshot") for name in names)
        # Entries of this life may be compacted away before the next one can look at them.
        history.learn(SmallJournal.recovered, SmallJournal.appended)
        if self._served:
            history.judge(node, self._machine)

    def _command(self) -> Command:
        """A random command; no two are equal."""
        history, chance = self._history, self.chance
        history.number += 1
        tag = b"%d" % history.number
        key = b"/k%d" % chance.randrange(KEYS)
        ttl = chance.choice((None, None, None, 1, 1000))
        value = tag + b"=" * chance.choice((0, 0, 10, 600, 3000))
        kinds: list[Command] = [
            Set(key, value, ttl=ttl),
            Set(key, value, ttl=ttl),
            Set(b"/own" + tag, value),
            Create(b"/made" + tag, value, ttl=ttl),
            CreateInOrder(b"/queue", value),
            Update(key, value, ttl=ttl),
            CompareAndSwap(key, value, tag, 0, ttl=ttl),
            CompareAndSwap(key, value, b"", chance.randrange(1, 2 + history.number)),
            CompareAndDelete(key, tag, 0),
        ]
        if history.own:
            kinds.append(Delete(b"/own" + history.own[-1]))
        command = chance.choice(kinds)
        if isinstance(command, Delete):
            history.own.pop()
        elif isinstance(command, Set) and command.key == b"/own" + tag:
            history.own.append(tag)
        return command


class Death(Exception):
    """The life is over, as it was meant to be: the member has noticed a failure of the disk."""


def _look_at(future: asyncio.Future[Reply] | asyncio.Future[None]) -> None:
    """Take note of a failure, so that asyncio does not complain that nobody did."""
    if not future.cancelled():
        future.exception()
