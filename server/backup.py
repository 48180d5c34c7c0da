"""`pyetcd backup`: an offline copy of a member's data directory.

Laws: the member must not run: its lock is taken. The copy is made beside its place, read back like
a member that starts would read it, and gets its name only then; so what has the name is good. It
starts as a cluster of its own with --force-new-cluster; its cluster id is a new one, so that the
members it was made beside of and the copy have nothing to do with each other.
"""

import argparse
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvstore import Machine
from raft import (
    Identity,
    JournalCorrupt,
    Node,
    NodeConfig,
    Refused,
    SnapshotCorrupt,
    in_words,
    reseal,
)
from server.datadir import (
    PRIVATE_DIR_MODE,
    PRIVATE_FILE_MODE,
    DataDir,
    DataDirError,
    open_data_dir,
    sync_directory,
)

PARTIAL_SUFFIX = ".partial"


class BackupFailed(Exception):
    """There is no copy; the message is one line."""


def main(arguments: Sequence[str]) -> int:
    """Make a copy; the exit status."""
    parser = argparse.ArgumentParser(
        prog="pyetcd backup",
        description="Copy the data directory of a member that is stopped. "
        "The copy is started with --data-dir=COPY --force-new-cluster.",
        allow_abbrev=False,
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="what to copy")
    parser.add_argument("--wal-dir", type=Path, help="where its log is, if not in there")
    parser.add_argument("--backup-dir", type=Path, required=True, help="where the copy goes")
    parser.add_argument("--backup-wal-dir", type=Path, help="where the copy's log goes")
    options = parser.parse_args(arguments)
    try:
        size_bytes = backup(
            options.data_dir, options.wal_dir, options.backup_dir, options.backup_wal_dir
        )
    except (BackupFailed, DataDirError, JournalCorrupt, Refused, SnapshotCorrupt) as error:
        sys.stderr.write(f"backup: {error}\n")
        return 1
    except OSError as error:
        place = error.filename or options.backup_dir
        sys.stderr.write(f"backup: {place}: {in_words(error)}\n")
        return 1
    wal = f" --wal-dir={options.backup_wal_dir}" if options.backup_wal_dir else ""
    sys.stderr.write(
        f"copied {size_bytes} bytes to {options.backup_dir}; start the copy with"
        f" --data-dir={options.backup_dir}{wal} --force-new-cluster\n"
    )
    return 0


def backup(source: Path, source_wal: Path | None, target: Path, target_wal: Path | None) -> int:
    """Copy a data directory; return how many bytes there were. Raises BackupFailed and the errors
    of a member that cannot start.
    """
    if not (source / "member").is_dir():
        raise BackupFailed(f"{source / 'member'}: no such directory")
    for place in (target, target_wal):
        _check_free(place)
    with open_data_dir(source, source_wal) as data_dir:
        if not data_dir.has_data:
            raise BackupFailed(f"{source} holds no data of a member")
        root = _partial(target)
        wal = root / "member" / "wal" if target_wal is None else _partial(target_wal)
        snap = root / "member" / "snap"
        size_bytes = sum(_copied(data_dir, wal, snap))
    identity = _read_back(wal, snap)
    reseal(wal, snap, Identity(secrets.randbits(63) + 1, identity.member_id))
    _read_back(wal, snap)
    if target_wal is not None:
        os.replace(wal, target_wal)
        sync_directory(target_wal.parent)
    os.replace(root, target)
    sync_directory(target.parent)
    return size_bytes


def _check_free(place: Path | None) -> None:
    if place is not None and place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise BackupFailed(f"{place}: expected to be empty or not to exist")


def _partial(place: Path) -> Path:
    """A fresh directory beside a place."""
    place = place.absolute()
    partial = place.with_name(place.name + PARTIAL_SUFFIX)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(PRIVATE_DIR_MODE, parents=True)
    return partial


def _copied(data_dir: DataDir, wal: Path, snap: Path) -> Iterator[int]:
    for source, target in ((data_dir.wal, wal), (data_dir.snap, snap)):
        target.parent.mkdir(PRIVATE_DIR_MODE, exist_ok=True)
        target.mkdir(PRIVATE_DIR_MODE, exist_ok=True)
        for path in sorted(source.iterdir()):
            if path.suffix in (".log", ".snapshot"):
                yield _copy(path, target / path.name)
        for directory in (target, *target.parents[:2]):
            sync_directory(directory)


def _copy(source: Path, target: Path) -> int:
    shutil.copyfile(source, target)
    descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, PRIVATE_FILE_MODE)
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _read_back(wal: Path, snap: Path) -> Identity:
    """Read a copy as a member that starts does, and whose it is; raises what that would."""
    config = NodeConfig(str(wal), str(snap))
    node = Node(Machine(), config, identity=None, bootstrap=None, on_fatal=lambda _error: None)
    return node.identity
