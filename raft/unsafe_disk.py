"""The file system without its promises: `--unsafe-no-fsync`, for test suites that value speed."""

from __future__ import annotations

import os

from raft.disk import FILE_MODE, RealDisk, RealFile


class UnsafeFile(RealFile):
    """A file whose writes reach the disk when the kernel feels like it."""

    __slots__ = ()

    def sync(self) -> None:
        """Return at once; a power loss may undo what was acknowledged."""


class UnsafeDisk(RealDisk):
    """Hands out unsafe files."""

    __slots__ = ()

    def open(self, path: str, create: bool = False) -> UnsafeFile:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_TRUNC if create else 0)
        return UnsafeFile(os.open(path, flags, FILE_MODE))

    def sync_dir(self, directory: str) -> None:
        """Return at once."""
