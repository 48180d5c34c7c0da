"""The journal's next segment file, filled with zeros ahead of need.

Writing to real zeros later moves no metadata, so that an fdatasync stays one disk write.

Laws:
* A spare is complete and synced, and has a temporary name no other file ever had in this process:
  the one before may not have been renamed yet.
* If it cannot be made (a full disk), nothing is left behind and the call may be repeated.

Threads: every method may be called from any thread; `take` waits for a `prepare` under way.

It does not: give the file its final name.
"""

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import Final

from raft.disk import Disk, File

TEMPORARY_SUFFIX: Final = ".spare"  # etcd calls its own 0.tmp
_ZEROS: Final = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class Spare:
    """A synced file of zeros."""

    path: str
    file: File
    size_bytes: int


class SpareFile:
    """At most one spare of a directory."""

    def __init__(self, disk: Disk, directory: str, size_bytes: int) -> None:
        self._disk = disk
        self._directory = directory
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._spare: Spare | None = None
        self._made = 0
        self._preparing = False
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Whether there is none, and none is being made."""
        return self._spare is None and not self._preparing and not self._closed

    @property
    def size_bytes(self) -> int:
        """Return the space it takes on disk."""
        spare = self._spare
        return spare.size_bytes if spare else 0

    def prepare(self) -> None:
        """Make the spare unless there is one."""
        with self._lock:
            if self._spare is None and not self._closed:
                self._preparing = True
                try:
                    self._spare = self._fill()
                finally:
                    self._preparing = False

    def take(self, size_bytes: int) -> Spare:
        """Hand over a file of zeros of at least the given size, made now if need be."""
        with self._lock:
            spare, self._spare = self._spare or self._fill(), None
        if spare.size_bytes < size_bytes:
            return self._extend(spare, size_bytes)
        return spare

    def discard(self, spare: Spare) -> None:
        """Remove a spare that was taken and cannot be used."""
        spare.file.close()
        with contextlib.suppress(OSError):  # the next start removes it; the cause matters more
            self._disk.unlink(spare.path)

    def close(self) -> None:
        """Remove the spare; there will be no other."""
        with self._lock:
            self._closed = True
            if self._spare is not None:
                self.discard(self._spare)
                self._spare = None

    def _fill(self) -> Spare:
        self._made += 1
        path = os.path.join(self._directory, f"{self._made:x}{TEMPORARY_SUFFIX}")
        return self._extend(Spare(path, self._disk.open(path, create=True), 0), self._size_bytes)

    def _extend(self, spare: Spare, size_bytes: int) -> Spare:
        try:
            for offset in range(spare.size_bytes, size_bytes, len(_ZEROS)):
                spare.file.pwrite(_ZEROS[: size_bytes - offset], offset)
            spare.file.sync()
            self._disk.sync_dir(self._directory)
        except OSError:
            self.discard(spare)
            raise
        return Spare(spare.path, spare.file, size_bytes)
