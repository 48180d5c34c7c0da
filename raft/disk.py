"""The seam between the raft code and a file system.

Everything in this package that touches a file does so through a `Disk`, so that a test can put a
simulated one in its place and lose power at any point.

Laws:
* `pwrite` writes everything or raises OSError; nothing is durable before `sync` returned.
* A created, renamed or unlinked name is durable only after `sync_dir` of its directory.
* Files are 0600 and directories 0700: a member's log holds its users' data.

It does not: lock directories, keep state about files, or retry after an error. An error from
`sync` means that the kernel may have dropped the data; the process must end.
"""

import errno
import os
from typing import Protocol

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class File(Protocol):
    """An open file, addressed by offset."""

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        """Write all of `data` at `offset`, or raise OSError."""
        ...

    def pread(self, length: int, offset: int) -> bytes:
        """Read up to `length` bytes; fewer only at the end of the file."""
        ...

    def sync(self) -> None:
        """Make the file's content and size durable (fdatasync)."""
        ...

    def size(self) -> int:
        """Return the file's size in bytes."""
        ...

    def truncate(self, size: int) -> None:
        """Cut or extend (with zeros) the file to `size` bytes."""
        ...

    def close(self) -> None:
        """Close the file; nothing is synced by it."""
        ...


class Disk(Protocol):
    """A file system, addressed by path."""

    def open(self, path: str, create: bool = False) -> File:
        """Open for reading and writing; `create` makes a new empty file in place of any other."""
        ...

    def exists(self, path: str) -> bool:
        """Tell whether a file or directory of that name exists."""
        ...

    def listdir(self, directory: str) -> list[str]:
        """Return the names in a directory, sorted."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name in the same directory, replacing what has that name."""
        ...

    def unlink(self, path: str) -> None:
        """Remove a file's name."""
        ...

    def mkdir(self, path: str) -> None:
        """Make a directory; one that exists already is fine."""
        ...

    def sync_dir(self, directory: str) -> None:
        """Make the names in a directory durable."""
        ...

    def free_bytes(self, directory: str) -> int:
        """Return what an ordinary user may still write on the directory's file system."""
        ...


class RealFile:
    """A file of the operating system."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        written = os.pwrite(self._fd, data, offset)
        if written == len(data):
            return
        with memoryview(data) as view:  # a short write: the next one continues or tells the error
            while written < len(data):
                count = os.pwrite(self._fd, view[written:], offset + written)
                if not count:
                    raise OSError(errno.EIO, "the file system wrote nothing and gave no reason")
                written += count

    def pread(self, length: int, offset: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        if len(data) == length:
            return data
        parts = [data]
        have = len(data)
        while data and have < length:
            data = os.pread(self._fd, length - have, offset + have)
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class RealDisk:
    """The operating system's file system."""

    __slots__ = ()

    def open(self, path: str, create: bool = False) -> RealFile:
        flags = os.O_RDWR | os.O_CLOEXEC
        if create:
            flags |= os.O_CREAT | os.O_TRUNC
        return RealFile(os.open(path, flags, FILE_MODE))

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def listdir(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        try:
            os.mkdir(path, DIRECTORY_MODE)
        except FileExistsError:
            if not os.path.isdir(path):
                raise

    def sync_dir(self, directory: str) -> None:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, directory: str) -> int:
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize
