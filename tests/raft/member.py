"""One member in this process, on a simulated disk that can be slow, stuck or unwilling."""

import asyncio
import errno
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from unittest import mock

from kvstore import Machine, Reply
from kvstore.commands import AddMember, Command, encode
from raft import Bootstrap, Identity, Node, NodeConfig, Peer
from raft.clock import Clock
from raft.disk import Disk
from raft.journal import Entry, Journal, Recovered
from raft.writing import SLOW_SYNC_NS
from tests.raft.simulated_disk import PowerLoss, SimulatedDisk, SimulatedFile

ME = Identity(7, 9)
WAL, SNAP = "/wal", "/snap"
SEGMENT_BYTES = 32 << 10
ROOM_KEPT_BYTES = 2 << 10
DEADLINE_S = 10.0
_POLL_S = 0.001


class HookedDisk(SimulatedDisk):
    """A disk that asks before each operation: `before(operation, path)` may block or raise."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str, str], None] = lambda _operation, _path: None
        self.mkdir(WAL)
        self.mkdir(SNAP)

    def operate(self) -> None:
        """Count an operation; without power it fails as the operating system tells it."""
        try:
            super().operate()
        except PowerLoss:
            raise OSError(errno.EIO, "the power is gone") from None

    def open(self, path: str, create: bool = False) -> SimulatedFile:
        """Open; only what creates is asked for."""
        if create:
            self.before("create", path)
        super().open(path, create)
        return HookedFile(self, path)

    def rename(self, old: str, new: str) -> None:
        """Rename, after asking."""
        self.before("rename", new)
        super().rename(old, new)

    def unlink(self, path: str) -> None:
        """Unlink, after asking."""
        self.before("unlink", path)
        super().unlink(path)

    def sync_dir(self, directory: str) -> None:
        """Sync the names, after asking."""
        self.before("sync_dir", directory)
        super().sync_dir(directory)


class HookedFile(SimulatedFile):
    """A file of such a disk."""

    def __init__(self, disk: HookedDisk, path: str) -> None:
        super().__init__(disk, disk._inode(path))
        self._hooks = disk
        self._path = path

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        """Write, after asking."""
        self._hooks.before("pwrite", self._path)
        super().pwrite(data, offset)

    def sync(self) -> None:
        """Sync, after asking; outside the disk's lock."""
        self._hooks.before("sync", self._path)
        super().sync()


class HandClock:
    """A clock that stands still unless it is moved."""

    def __init__(self, monotonic_ns: int = 1_000_000_000) -> None:
        self.now_ns = monotonic_ns

    def monotonic_ns(self) -> int:
        """Return the time since some moment."""
        return self.now_ns

    def wall_ns(self) -> int:
        """Return the time of day."""
        return 1_700_000_000_000_000_000 + self.now_ns


class SmallJournal(Journal):
    """A journal of small segments."""

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
        """Open it."""
        return super().open(
            disk, directory, identity=identity, first=first, segment_bytes=SEGMENT_BYTES
        )


@contextmanager
def small_segments() -> Iterator[None]:
    """Make the segments of members small."""
    with (
        mock.patch("raft.node.Journal", SmallJournal),
        mock.patch("raft.appender._ROOM_KEPT_BYTES", ROOM_KEPT_BYTES),
    ):
        yield


class Member:
    """A running member and all that is known of it."""

    def __init__(
        self,
        disk: SimulatedDisk,
        *,
        clock: Clock | None = None,
        snapshot_count: int = 100_000,
        trailing_commands: int = 5000,
    ) -> None:
        self.machine = Machine()
        self.fatal: list[BaseException] = []
        has_data = any(name.endswith(".log") for name in disk.listdir(WAL))
        first = Bootstrap((Peer(ME.member_id, ("http://h:1",)),), [encode(AddMember(9, ()))])
        self.node: Node[Reply] = Node(
            self.machine,
            NodeConfig(
                WAL, SNAP, snapshot_count=snapshot_count, trailing_commands=trailing_commands
            ),
            identity=None if has_data else ME,
            bootstrap=None if has_data else first,
            on_fatal=self.fatal.append,
            clock=clock,
            disk=disk,
        )

    def propose(self, command: Command, *, reserved: bool = False) -> asyncio.Future[Reply]:
        """Propose; a failure nobody asks for is no complaint."""
        future = self.node.propose(encode(command), reserved=reserved)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    def has(self, key: bytes) -> bool:
        """Whether the store holds a key."""
        return self.machine.store.tree.nodes.get(key) is not None

    async def go_slow(self, command: Command) -> None:
        """Write until the driver has found out that its disk is slow."""
        async with asyncio.timeout(DEADLINE_S):
            while self.node.driver.writing.average_ns <= SLOW_SYNC_NS:
                await self.propose(command)


@asynccontextmanager
async def running(
    disk: SimulatedDisk,
    *,
    clock: Clock | None = None,
    snapshot_count: int = 100_000,
    trailing_commands: int = 5000,
) -> AsyncIterator[Member]:
    """Run a member until it serves, and stop it in the end."""
    member = Member(
        disk, clock=clock, snapshot_count=snapshot_count, trailing_commands=trailing_commands
    )
    member.node.start()
    try:
        await within(member.node.read_barrier())
        yield member
    finally:
        await within(member.node.stop())


async def power_loss(member: Member, disk: SimulatedDisk, keep: random.Random | None) -> None:
    """End a member at once: nothing it does from here on reaches the disk."""
    disk.lose_power_after(0)
    await within(member.node.stop())
    disk.crash(keep)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE_S} s: {what}") from None


async def within(waiting: Awaitable[object]) -> None:
    """Wait for it, but not for ever."""
    async with asyncio.timeout(DEADLINE_S):
        await waiting
