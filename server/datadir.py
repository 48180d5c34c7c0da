"""The data directory: made, checked and locked before anything is read from or written to it.

    DATA/                 0700
      member/             0700
        lock              held as long as the process lives; says whose it is
        wal/              0700   %016x.log (unless --wal-dir names another place)
        snap/             0700   %016x-%016x.snapshot

Laws: one process per directory. Nothing of someone else's is touched: a directory that holds a
real etcd's files is refused rather than started empty. Odd modes and foreign files only warn. The
files' contents are the storage's business.
"""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from raft import in_words
from server.notice import Notice, warning

PRIVATE_DIR_MODE = 0o700
PRIVATE_FILE_MODE = 0o600
LOCK_BYTES_MAX = 32
"""A pid and a newline are less."""

_OWN_LOG = re.compile(r"[0-9a-f]{16}\.log")
_OWN_SNAPSHOT = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.snapshot")
_ETCD_LOG = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.wal|[0-9]+\.tmp")
_ETCD_SNAPSHOT = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.snap|db|[0-9a-f]{16}\.snap\.db")


class DataDirError(Exception):
    """The directory cannot be used; the message is one line, the exit code 1."""


def log_name(sequence: int) -> str:
    """The name of a log file by its sequence number."""
    return f"{sequence:016x}.log"


def snapshot_name(term: int, index: int) -> str:
    """The name of a snapshot by the entry it includes last."""
    return f"{term:016x}-{index:016x}.snapshot"


@dataclass(slots=True)
class DataDir:
    """A directory that is ours as long as this object is not closed."""

    root: Path
    wal: Path
    snap: Path
    has_data: bool
    """Whether a member lives here already; bootstrap options are then ignored."""
    notices: tuple[Notice, ...]
    _locks: list[int] = field(default_factory=list, repr=False)

    def close(self) -> None:
        """Give the directory up."""
        while self._locks:
            os.close(self._locks.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_data_dir(root: Path, wal_dir: Path | None = None) -> DataDir:
    """Make, check and lock the directory; raises DataDirError."""
    member = root / "member"
    wal, snap = wal_dir or member / "wal", member / "snap"
    notices = list(_check_entries(root))
    # Looked at before anything is made: a refused directory stays as it was.
    _refuse_etcd(wal, _ETCD_LOG, root)
    _refuse_etcd(member / "wal", _ETCD_LOG, root)
    _refuse_etcd(snap, _ETCD_SNAPSHOT, root)
    for path in (root, member, wal, snap):
        notices += _make(path)
    data_dir = DataDir(root, wal, snap, has_data=False, notices=tuple(notices))
    try:
        data_dir._locks.append(_lock(member / "lock", root))
        if wal_dir is not None:
            data_dir._locks.append(_lock_directory(wal))
        data_dir.has_data = _holds(wal, _OWN_LOG) or _holds(snap, _OWN_SNAPSHOT)
        if wal_dir is not None and _holds(member / "wal", _OWN_LOG):
            raise DataDirError(
                f"data directory {root} has its log in {member / 'wal'}; move it to {wal_dir}"
                " or start without --wal-dir"
            )
    except DataDirError:
        data_dir.close()
        raise
    return data_dir


def _check_entries(root: Path) -> Iterator[Notice]:
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataDirError(f"error listing data dir: {root}: {in_words(error)}") from error
    if "member" in names and "proxy" in names:
        raise DataDirError("invalid datadir. Both member and proxy directories exist.")
    if "proxy" in names:
        raise DataDirError(
            f"data directory {root} is a proxy's: proxy mode is not supported by this version of"
            " this server"
        )
    for name in names:
        if name != "member":
            text = f"found invalid file/dir {name} under data dir {root}"
            yield warning("etcdmain", f"{text} (Ignore this if you are upgrading etcd)")


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataDirError(
            f"cannot access data directory: {directory}: {in_words(error)}"
        ) from error


def _holds(directory: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(name) for name in _names(directory))


def _refuse_etcd(directory: Path, pattern: re.Pattern[str], root: Path) -> None:
    found = next((name for name in _names(directory) if pattern.fullmatch(name)), None)
    if found is not None:
        raise DataDirError(
            f"data directory {root} holds the data of a real etcd ({directory / found}), which"
            " this server cannot read; use another --data-dir and copy the keys over the API"
        )


def _make(path: Path) -> Iterator[Notice]:
    """Make a private directory with its parents, or say how an existing one differs."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        _make_private(path)
    except OSError as error:
        raise DataDirError(f"cannot access data directory: {path}: {in_words(error)}") from error
    else:
        if stat.S_IMODE(mode) & 0o777 != PRIVATE_DIR_MODE and stat.S_ISDIR(mode):
            shown = stat.filemode(mode)
            yield warning(
                "etcdmain",
                f'check file permission: directory "{path}" exist, but the permission is'
                f' "{shown}". The recommended permission is "-rwx------" to prevent possible'
                " unprivileged access to the data.",
            )
    _check_writable(path)


def _make_private(path: Path) -> None:
    for directory in (*reversed(path.parents), path):
        try:
            directory.mkdir(PRIVATE_DIR_MODE)
            sync_directory(directory.parent)
        except FileExistsError:
            continue
        except OSError as error:
            if directory.is_dir():  # a parent that exists on a read-only file system
                continue
            text = f"cannot access data directory: mkdir {directory}: {in_words(error)}"
            raise DataDirError(text) from error


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_writable(directory: Path) -> None:
    probe = directory / ".touch"
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        os.close(os.open(probe, flags, PRIVATE_FILE_MODE))
        probe.unlink()
    except OSError as error:
        raise DataDirError(
            f"cannot access data directory: open {probe}: {in_words(error)}"
        ) from error


def _lock(path: Path, root: Path) -> int:
    """Lock a file until the process ends, however it ends, and write our pid into it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, PRIVATE_FILE_MODE)
    except OSError as error:
        raise DataDirError(f"cannot lock data directory {root}: {in_words(error)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        holder = _holder(descriptor)
        os.close(descriptor)
        raise DataDirError(f"data directory {root} is locked by another process{holder}") from error
    except OSError as error:
        os.close(descriptor)
        raise DataDirError(f"cannot lock data directory {root}: {in_words(error)}") from error
    return descriptor


def _lock_directory(directory: Path) -> int:
    """Lock a directory itself: a log's directory holds only logs."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DataDirError(f"cannot lock wal directory {directory}: {in_words(error)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DataDirError(f"wal directory {directory} is locked by another process") from error
    return descriptor


def _holder(descriptor: int) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f" (pid {int(os.pread(descriptor, LOCK_BYTES_MAX, 0))})"
    return ""
