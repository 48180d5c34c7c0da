"""A disk in memory that can lose power, fill up and fail: the other `raft.disk.Disk`.

What it promises is what a real disk promises, and no more:
* a write is durable after `sync` of its file; before that, a crash keeps any of its 512-byte
  sectors, in any order. A sector that was written several times keeps one of its versions, and a
  version contains the ones before it (that is what a page cache does);
* a name that was created, renamed or unlinked is durable after `sync_dir`; before that, a crash
  keeps any of these changes. Directories themselves are durable at once;
* a `sync` that failed has marked the written pages clean: reading shows them, the next `sync` does
  not write them, a crash loses them (Linux does so).

Everything is deterministic: chance comes in as a `random.Random`.
"""

import errno
import os
import random
import threading
from dataclasses import dataclass, field

SECTOR_BYTES = 512


class PowerLoss(Exception):
    """The machine has stopped; `SimulatedDisk.crash` starts it again."""


@dataclass(eq=False)
class _Inode:
    live: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: truncate


@dataclass(eq=False)
class _Directory:
    live: dict[str, _Inode] = field(default_factory=dict)
    durable: dict[str, _Inode] = field(default_factory=dict)
    unsynced: list[tuple[str | None, str | None, _Inode]] = field(default_factory=list)  # old, new


def _apply(image: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        image[offset:] = bytes(max(0, offset - len(image)))
        del image[offset:]
        return
    if len(image) < offset + len(data):
        image.extend(bytes(offset + len(data) - len(image)))
    image[offset : offset + len(data)] = data


def _rename(names: dict[str, _Inode], change: tuple[str | None, str | None, _Inode]) -> None:
    old, new, inode = change
    if old is not None and names.get(old) is inode:
        del names[old]
    if new is not None:
        names[new] = inode


class SimulatedFile:
    """An open file; worthless after a crash or a kill."""

    def __init__(self, disk: "SimulatedDisk", inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode
        self._life = disk.life

    def _operate(self) -> None:
        if self._life != self._disk.life:
            raise OSError(errno.EBADF, "the file was opened before a crash")
        self._disk.operate()

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        with self._disk.lock:
            self._disk.reserve(max(0, offset + len(data) - len(self._inode.live)))
            _apply(self._inode.live, offset, bytes(data))
            self._inode.unsynced.append((offset, bytes(data)))
            self._disk.writes += 1
            self._operate()

    def pread(self, length: int, offset: int) -> bytes:
        with self._disk.lock:
            if self._life != self._disk.life:
                raise OSError(errno.EBADF, "the file was opened before a crash")
            return bytes(self._inode.live[offset : offset + length])

    def sync(self) -> None:
        with self._disk.lock:
            self._operate()
            self._disk.syncs += 1
            if self._disk.fails_sync():
                self._inode.unsynced.clear()
                raise OSError(errno.EIO, "simulated I/O error")
            for offset, data in self._inode.unsynced:
                _apply(self._inode.durable, offset, data)
            self._inode.unsynced.clear()

    def size(self) -> int:
        return len(self._inode.live)

    def truncate(self, size: int) -> None:
        with self._disk.lock:
            self._disk.reserve(max(0, size - len(self._inode.live)))
            _apply(self._inode.live, size, None)
            self._inode.unsynced.append((size, None))
            self._operate()

    def close(self) -> None:
        self._life = -1


class SimulatedDisk:
    """The disk of one machine."""

    def __init__(self, capacity_bytes: int = 1 << 40) -> None:
        self.capacity_bytes = capacity_bytes
        self.lock = threading.RLock()
        self.life = 0
        self.syncs = 0
        self.writes = 0
        self._directories: dict[str, _Directory] = {"/": _Directory()}
        self._syncs_until_error: int | None = None
        self._operations_until_loss: int | None = None

    # -- faults -----------------------------------------------------------------------------

    def crash(self, keep: random.Random | None = None) -> None:
        """Lose power and come back: `keep` draws what survives of what was not synced."""
        with self.lock:
            self.kill()
            for directory in self._directories.values():
                for change in directory.unsynced:
                    if keep is not None and keep.random() < 0.5:
                        _rename(directory.durable, change)
                directory.unsynced.clear()
                directory.live = dict(directory.durable)
                for inode in directory.live.values():
                    _lose_unsynced(inode, keep)

    def kill(self) -> None:
        """End the process: open files are gone, what was written is not."""
        self.life += 1
        self.calm()

    def calm(self) -> None:
        """Take back the faults that were asked for and have not come yet."""
        self._operations_until_loss = None
        self._syncs_until_error = None

    def lose_power_after(self, operations: int) -> None:
        """Raise PowerLoss at the given operation from now on, and at every later one."""
        self._operations_until_loss = operations

    def fail_sync_after(self, syncs: int) -> None:
        """Let one `sync` fail with EIO, after so many good ones."""
        self._syncs_until_error = syncs

    def flip(self, path: str, bit: int) -> None:
        """Flip a bit of a file at rest."""
        inode = self._inode(path)
        for image in (inode.live, inode.durable):
            image[bit >> 3] ^= 1 << (bit & 7)

    def overwrite(self, path: str, data: bytes) -> None:
        """Replace a file's content at rest, as a meddling person would."""
        inode = self._inode(path)
        inode.live[:] = inode.durable[:] = data

    def content(self, path: str) -> bytes:
        """Return what a reader sees now."""
        return bytes(self._inode(path).live)

    def operate(self) -> None:
        """Count an operation that changes something."""
        if self._operations_until_loss is not None:
            if self._operations_until_loss <= 0:
                raise PowerLoss
            self._operations_until_loss -= 1

    def fails_sync(self) -> bool:
        if self._syncs_until_error is None:
            return False
        self._syncs_until_error -= 1
        return self._syncs_until_error == -1

    def reserve(self, size_bytes: int) -> None:
        if size_bytes > self.free_bytes("/"):
            raise OSError(errno.ENOSPC, "no space left on the simulated disk")

    # -- Disk -------------------------------------------------------------------------------

    def open(self, path: str, create: bool = False) -> SimulatedFile:
        with self.lock:
            directory, name = self._split(path)
            if create:
                self.operate()
                if name not in directory.live:
                    self._change(directory, None, name, _Inode())
                elif directory.live[name].live:
                    inode = directory.live[name]
                    inode.live.clear()
                    inode.unsynced.append((0, None))
            return SimulatedFile(self, self._inode(path))

    def exists(self, path: str) -> bool:
        if os.path.normpath(path) in self._directories:
            return True
        parent, name = os.path.split(os.path.normpath(path))
        return parent in self._directories and name in self._directories[parent].live

    def listdir(self, directory: str) -> list[str]:
        with self.lock:
            path = os.path.normpath(directory)
            below = [p for p in self._directories if p != "/" and os.path.dirname(p) == path]
            return sorted([*self._directory(path).live, *map(os.path.basename, below)])

    def rename(self, old: str, new: str) -> None:
        with self.lock:
            self.operate()
            directory, old_name = self._split(old)
            other, new_name = self._split(new)
            if other is not directory:
                raise OSError(errno.EXDEV, "not in one directory")
            self._change(directory, old_name, new_name, self._inode(old))

    def unlink(self, path: str) -> None:
        with self.lock:
            self.operate()
            directory, name = self._split(path)
            self._change(directory, name, None, self._inode(path))

    def mkdir(self, path: str) -> None:
        with self.lock:
            path = os.path.normpath(path)
            self._directory(os.path.dirname(path))
            self._directories.setdefault(path, _Directory())

    def sync_dir(self, directory: str) -> None:
        with self.lock:
            self.operate()
            entry = self._directory(directory)
            for change in entry.unsynced:
                _rename(entry.durable, change)
            entry.unsynced.clear()

    def free_bytes(self, directory: str) -> int:
        with self.lock:
            used = sum(
                len(inode.live)
                for entry in self._directories.values()
                for inode in entry.live.values()
            )
        return max(0, self.capacity_bytes - used)

    def _change(
        self, directory: _Directory, old: str | None, new: str | None, inode: _Inode
    ) -> None:
        _rename(directory.live, (old, new, inode))
        directory.unsynced.append((old, new, inode))

    def _directory(self, path: str) -> _Directory:
        entry = self._directories.get(os.path.normpath(path))
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        return entry

    def _split(self, path: str) -> tuple[_Directory, str]:
        parent, name = os.path.split(os.path.normpath(path))
        return self._directory(parent), name

    def _inode(self, path: str) -> _Inode:
        directory, name = self._split(path)
        if name not in directory.live:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return directory.live[name]


def _lose_unsynced(inode: _Inode, keep: random.Random | None) -> None:
    """Make the file what a power loss leaves of it."""
    if keep is not None:
        # How many of the writes to a sector survive is drawn once per sector.
        likely = keep.choice((0.1, 0.5, 0.9))
        writes: dict[int, int] = {}
        for offset, data in inode.unsynced:
            for sector in _sectors(offset, data):
                writes[sector] = writes.get(sector, 0) + 1
        left = {s: keep.randint(1, n) if keep.random() < likely else 0 for s, n in writes.items()}
        for offset, data in inode.unsynced:
            if data is None:
                if keep.random() < 0.5:
                    _apply(inode.durable, offset, None)
                continue
            for sector in _sectors(offset, data):
                if left[sector] > 0:
                    left[sector] -= 1
                    start = max(offset, sector * SECTOR_BYTES)
                    stop = min(offset + len(data), (sector + 1) * SECTOR_BYTES)
                    _apply(inode.durable, start, data[start - offset : stop - offset])
    inode.unsynced.clear()
    inode.live = bytearray(inode.durable)


def _sectors(offset: int, data: bytes | None) -> range:
    if not data:
        return range(0)
    return range(offset // SECTOR_BYTES, (offset + len(data) - 1) // SECTOR_BYTES + 1)
