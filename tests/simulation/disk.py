"""A member's disk: tests/raft/simulated_disk with a pace, and faults that can be asked for.

Laws:

* What a disk promises is what SimulatedDisk promises; this adds only time and errors.
* A process reaches the disk through a `Mount`, which takes time (virtual, inside of the callback)
  and is dead when the process is: what a dead process still tries to do has no effect.
* A power loss in the middle of an operation ends the process there and then.
* A sync of the journal that fails obliges the process to end (`failed_ns`).
"""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.raft.simulated_disk import PowerLoss, SimulatedDisk, SimulatedFile
from tests.simulation.loop import MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.journal import Journal, Recovered
    from raft.snapshots import SnapshotMeta
    from tests.simulation.loop import Process, VirtualLoop

WAL, SNAP = "/wal", "/snap"
ROOMY_BYTES = 1 << 40


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a sync takes: mostly about `sync_ns`, sometimes `hiccup_ns`."""

    sync_ns: int = MS // 5
    hiccup: float = 0.0
    hiccup_ns: int = 20 * MS


class MemberDisk(SimulatedDisk):
    """The disk of one member through all its lives."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self.luck = random.Random(f"{seed}/disk")
        self.pace = Pace()
        # The next sync takes so much longer, and the power may fail at its end.
        self.stall_ns = 0
        self.dies_of_stall = False
        # When the last sync that has begun ends.
        self.syncs_until_ns = 0
        # The next sync below that directory fails.
        self.fails_below: str | None = None
        self.mkdir(WAL)
        self.mkdir(SNAP)

    def calm(self) -> None:
        """Take back the faults that were asked for and have not come yet."""
        super().calm()
        self.stall_ns = 0
        self.dies_of_stall = False
        self.fails_below = None

    def sync_time_ns(self) -> int:
        """Draw how long a sync takes."""
        pace, luck = self.pace, self.luck
        time_ns = int(pace.sync_ns * (0.5 + luck.random()))
        if pace.hiccup and luck.random() < pace.hiccup:
            time_ns += int(pace.hiccup_ns * luck.random())
        stall_ns, self.stall_ns = self.stall_ns, 0
        return time_ns + stall_ns

    def clone(self) -> MemberDisk:
        """Return a disk with the same files, all of them durable."""
        disk = MemberDisk("clone")
        for path, _size in self.files():
            disk.open(path, create=True)
            disk.overwrite(path, self.content(path))
        for directory in (WAL, SNAP):
            disk.sync_dir(directory)
        return disk

    def files(self) -> list[tuple[str, int]]:
        """All files by path, with their sizes."""
        return [
            (f"{directory}/{name}", len(self.content(f"{directory}/{name}")))
            for directory in (WAL, SNAP)
            for name in self.listdir(directory)
        ]


class Mount:
    """The disk as one process sees it: the raft.disk.Disk."""

    def __init__(
        self,
        disk: MemberDisk,
        loop: VirtualLoop,
        process: Process,
        *,
        on_power_loss: Callable[[], None],
        on_opened: Callable[[Journal, Recovered], None],
        on_snapshot_read: Callable[[SnapshotMeta], None],
    ) -> None:
        """Who is told of a loss of power, of journals opened here and of snapshots read."""
        self.disk = disk
        self.process = process
        # Since when a sync of the journal has failed: the process has to end.
        self.failed_ns: int | None = None
        self.on_opened = on_opened
        self.on_snapshot_read = on_snapshot_read
        self._loop = loop
        self._on_power_loss = on_power_loss

    def _check(self) -> None:
        if not self.process.alive:
            raise OSError(errno.EIO, "the process that mounted this disk is dead")

    def guarded(self, operation: Callable[..., object], *args: object) -> None:
        """Do something that changes the disk."""
        self._check()
        try:
            operation(*args)
        except PowerLoss:
            self._on_power_loss()
            raise OSError(errno.EIO, "the power is gone") from None

    def sync(self, file: SimulatedFile, path: str) -> None:
        """Sync a file, which takes time."""
        self._check()
        disk = self.disk
        self._loop.spend(disk.sync_time_ns())
        disk.syncs_until_ns = self._loop.now_ns
        if disk.dies_of_stall:
            disk.lose_power_after(0)
        if disk.fails_below is not None and path.startswith(disk.fails_below):
            disk.fails_below = None
            disk.fail_sync_after(0)
        try:
            self.guarded(file.sync)
        except OSError:
            if path.startswith(WAL):
                self.failed_ns = self._loop.now_ns
            raise

    # -- Disk -------------------------------------------------------------------------------

    def open(self, path: str, create: bool = False) -> MountedFile:
        self._check()
        try:
            return MountedFile(self, self.disk.open(path, create), path)
        except PowerLoss:
            self._on_power_loss()
            raise OSError(errno.EIO, "the power is gone") from None

    def exists(self, path: str) -> bool:
        self._check()
        return self.disk.exists(path)

    def listdir(self, directory: str) -> list[str]:
        self._check()
        return self.disk.listdir(directory)

    def rename(self, old: str, new: str) -> None:
        self.guarded(self.disk.rename, old, new)

    def unlink(self, path: str) -> None:
        self.guarded(self.disk.unlink, path)

    def mkdir(self, path: str) -> None:
        self.guarded(self.disk.mkdir, path)

    def sync_dir(self, directory: str) -> None:
        self._loop.spend(self.disk.sync_time_ns())
        self.guarded(self.disk.sync_dir, directory)

    def free_bytes(self, directory: str) -> int:
        self._check()
        return self.disk.free_bytes(directory)


class MountedFile:
    """An open file: the raft.disk.File."""

    def __init__(self, mount: Mount, file: SimulatedFile, path: str) -> None:
        self._mount = mount
        self._file = file
        self._path = path

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        self._mount.guarded(self._file.pwrite, data, offset)

    def pread(self, length: int, offset: int) -> bytes:
        return self._file.pread(length, offset)

    def sync(self) -> None:
        self._mount.sync(self._file, self._path)

    def size(self) -> int:
        return self._file.size()

    def truncate(self, size: int) -> None:
        self._mount.guarded(self._file.truncate, size)

    def close(self) -> None:
        self._file.close()
