"""Snapshot files: one image of the state machine each, written once, checked before use.

    record   u32 length | u32 crc | kind, payload; `crc` is seeded with the record's offset
    file     one header record (identity, meta), chunk records, one trailer (their count and
             their total size); nothing behind it

Laws:
* A file has its final name only when all of it is durable; others (`.tmp`) are removed.
* A file is checked from first byte to last before the first chunk is handed out.
* The newest file must be intact. An older one is used only if the caller says that the log
  reaches back to it (`covers`), and then `skipped` says what happened.

Threads: a writer belongs to one thread at a time; several writers and readers may be at work.

It does not: know what is in a chunk, or when a snapshot is due.
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from crc32c import crc32c

from raft.disk import Disk, File
from raft.records import Identity

SUFFIX: Final = ".snapshot"
TEMPORARY_SUFFIX: Final = ".tmp"
CHUNK_MAX_BYTES: Final = 256 << 20
# A large file is synced as it is written, so that the journal's fdatasync never waits for all.
SYNC_EVERY_BYTES: Final = 4 << 20

_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.snapshot")
_FOREIGN_SUFFIX: Final = ".snap"  # etcd's own
_MAGIC: Final = b"pyetcdS\n"
FORMAT_VERSION: Final = 1
_HEAD: Final = Struct("<II")
_HEADER: Final = Struct("<8sIQQQQQ")  # magic, version, cluster, member, index, term, commands
_TRAILER: Final = Struct("<QQ")
_HEADER_KIND: Final = b"H"
_CHUNK_KIND: Final = b"C"
_TRAILER_KIND: Final = b"T"
_REMEDY: Final = (
    "restore the file from a copy, or remove the member from the cluster and add it again with "
    "an empty data directory"
)


class SnapshotCorrupt(Exception):
    """A snapshot file that must not be used; the message names file and offset."""


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """What a snapshot stands for."""

    index: int  # of the last entry it covers
    term: int  # of that entry
    config: bytes  # the newest configuration, opaque
    commands: int  # how many commands were applied so far


class SnapshotWriter:
    """A snapshot being written; ends with `commit` or `abort`."""

    def __init__(self, store: "SnapshotStore", meta: SnapshotMeta) -> None:
        self._store = store
        self._path = store.path(meta)
        self._temporary = self._path + TEMPORARY_SUFFIX
        store.claim(self._temporary)
        try:
            self._file = store.disk.open(self._temporary, create=True)
        except OSError:
            store.release(self._temporary)
            raise
        self._offset = 0
        self._unsynced = 0
        self._chunks = 0
        self._total_bytes = 0
        self._open = True
        self._put(_HEADER_KIND + _encode_meta(store.identity, meta))

    def write(self, chunk: bytes) -> None:
        """Add one chunk."""
        if len(chunk) > CHUNK_MAX_BYTES:
            raise ValueError(f"a chunk of {len(chunk)} bytes")
        self._put(_CHUNK_KIND + chunk)
        self._chunks += 1
        self._total_bytes += len(chunk)

    def commit(self) -> str:
        """Make the file durable under its final name, and return its path."""
        self._put(_TRAILER_KIND + _TRAILER.pack(self._chunks, self._total_bytes))
        try:
            self._file.sync()
            self._file.close()
            self._store.disk.rename(self._temporary, self._path)
            self._store.disk.sync_dir(self._store.directory)
        except OSError:
            self.abort()
            raise
        self._open = False
        self._store.release(self._temporary)
        return self._path

    def abort(self) -> None:
        """Give up: remove the file. After `commit` or `abort` this does nothing."""
        if self._open:
            self._open = False
            self._file.close()
            with contextlib.suppress(OSError):  # the next start removes what is left
                self._store.disk.unlink(self._temporary)
            self._store.release(self._temporary)

    def _put(self, body: bytes) -> None:
        if not self._open:
            raise RuntimeError("the snapshot is finished")
        record = _HEAD.pack(len(body), crc32c(body, self._offset & 0xFFFFFFFF)) + body
        try:
            self._file.pwrite(record, self._offset)
            self._offset += len(record)
            self._unsynced += len(record)
            if self._unsynced >= SYNC_EVERY_BYTES:
                self._file.sync()
                self._unsynced = 0
        except OSError:
            self.abort()
            raise


class SnapshotStore:
    """The snapshot files of one directory."""

    def __init__(self, disk: Disk, directory: str, *, identity: Identity) -> None:
        self.disk = disk
        self.directory = directory
        self.identity = identity
        self.skipped: str | None = None  # what the last `newest` had to skip, one sentence
        self._writing: set[str] = set()
        self._lock = threading.Lock()
        if not disk.exists(directory):
            disk.mkdir(directory)
            disk.sync_dir(os.path.dirname(os.path.abspath(directory)))
        self._remove_stale()
        # A name that only the page cache knows must not be acted on.
        disk.sync_dir(directory)

    def path(self, meta: SnapshotMeta) -> str:
        """Return where the snapshot of that index and term belongs."""
        return os.path.join(self.directory, f"{meta.term:016x}-{meta.index:016x}{SUFFIX}")

    def claim(self, temporary: str) -> None:
        """Protect a file that is being written from `purge`."""
        with self._lock:
            if temporary in self._writing:
                raise RuntimeError(f"{temporary} is being written already")
            self._writing.add(temporary)

    def release(self, temporary: str) -> None:
        """End the protection."""
        with self._lock:
            self._writing.discard(temporary)

    def begin(self, meta: SnapshotMeta) -> SnapshotWriter:
        """Begin a snapshot."""
        return SnapshotWriter(self, meta)

    def list(self) -> list[str]:
        """Return the names of the finished snapshots, newest first."""
        found: list[tuple[int, str, str]] = []
        for name in self.disk.listdir(self.directory):
            match = _NAME.fullmatch(name)
            if match:
                found.append((int(match[2], 16), match[1], name))
            elif name.endswith(_FOREIGN_SUFFIX):
                raise SnapshotCorrupt(
                    f"{os.path.join(self.directory, name)}: a snapshot of another etcd "
                    "implementation, which this server cannot read; start with an empty data "
                    "directory"
                )
        return [name for _, _, name in sorted(found, reverse=True)]

    def newest(self, covers: int | None = None) -> tuple[SnapshotMeta, Iterator[bytes]] | None:
        """Check the newest snapshot and return its meta and chunks; None if there is none.

        `covers` is the index of the first entry in the log. If it is given, an older intact
        snapshot from which that log goes on may stand in for a corrupt newest one.
        """
        self.skipped = None
        refused: SnapshotCorrupt | None = None
        for name in self.list():
            path = os.path.join(self.directory, name)
            try:
                meta = self._check(path)
            except SnapshotCorrupt as error:
                if covers is None:
                    raise
                refused = refused or error
                continue
            if refused is not None:
                if covers is None or meta.index + 1 < covers:
                    break
                self.skipped = f"used {path} and the log after it, because: {refused}"
            return meta, _chunks(self.disk.open(path), path)
        if refused is not None:
            raise refused
        return None

    def purge(self, keep: int) -> None:
        """Remove all but the newest `keep` snapshots (0: keep all), and stale temporary files."""
        names = self.list()
        doomed = names[keep:] if keep else []
        for name in reversed(doomed):
            self.disk.unlink(os.path.join(self.directory, name))
        if self._remove_stale() or doomed:
            self.disk.sync_dir(self.directory)

    def _remove_stale(self) -> bool:
        removed = False
        for name in self.disk.listdir(self.directory):
            path = os.path.join(self.directory, name)
            with self._lock:
                stale = name.endswith(SUFFIX + TEMPORARY_SUFFIX) and path not in self._writing
                if stale:
                    self.disk.unlink(path)
                    removed = True
        return removed

    def _check(self, path: str) -> SnapshotMeta:
        """Read all of a file and return its meta, or raise SnapshotCorrupt."""
        file = self.disk.open(path)
        try:
            bodies = _bodies(file, path)
            meta = self._decode_meta(path, next(bodies))
            chunks = total_bytes = 0
            trailer = b""
            for body in bodies:
                if trailer or body[:1] not in (_CHUNK_KIND, _TRAILER_KIND):
                    raise _corrupt(path, file.size(), "a record is where it should not be")
                if body[:1] == _TRAILER_KIND:
                    trailer = body[1:]
                else:
                    chunks += 1
                    total_bytes += len(body) - 1
            if trailer != _TRAILER.pack(chunks, total_bytes):
                raise _corrupt(path, file.size(), "the trailer is missing or does not match")
            return meta
        finally:
            file.close()

    def _decode_meta(self, path: str, body: bytes) -> SnapshotMeta:
        if body[:1] != _HEADER_KIND or len(body) <= _HEADER.size:
            raise _corrupt(path, 0, "the file does not begin with a snapshot header")
        magic, version, cluster, member, index, term, commands = _HEADER.unpack_from(body, 1)
        if magic != _MAGIC or version != FORMAT_VERSION:
            raise _corrupt(path, 0, f"format version {version} is not known to this release")
        if Identity(cluster, member) != self.identity:
            reason = f"the snapshot of member {member:x} of cluster {cluster:x}, not of this one"
            raise _corrupt(path, 0, reason)
        meta = SnapshotMeta(index, term, body[1 + _HEADER.size :], commands)
        if self.path(meta) != path:
            raise _corrupt(path, 0, f"the header says index {index} and term {term}")
        return meta


def resealed(content: bytes, identity: Identity) -> bytes:
    """Return an intact snapshot file as somebody else's: only its header names whose it is."""
    length, _crc = _HEAD.unpack_from(content)
    body = bytearray(content[_HEAD.size : _HEAD.size + length])
    magic, version, _cluster, _member, *rest = _HEADER.unpack_from(body, 1)
    _HEADER.pack_into(body, 1, magic, version, identity.cluster_id, identity.member_id, *rest)
    head = _HEAD.pack(length, crc32c(body, 0))
    return b"".join((head, body, content[_HEAD.size + length :]))


def _chunks(file: File, path: str) -> Iterator[bytes]:
    try:
        for body in _bodies(file, path):
            if body[:1] == _CHUNK_KIND:
                yield body[1:]
    finally:
        file.close()


def _encode_meta(identity: Identity, meta: SnapshotMeta) -> bytes:
    fields = _HEADER.pack(
        _MAGIC,
        FORMAT_VERSION,
        identity.cluster_id,
        identity.member_id,
        meta.index,
        meta.term,
        meta.commands,
    )
    return fields + meta.config


def _corrupt(path: str, offset: int, reason: str) -> SnapshotCorrupt:
    return SnapshotCorrupt(f"{path}: offset {offset}: {reason}; {_REMEDY}")


def _bodies(file: File, path: str) -> Iterator[bytes]:
    """Yield kind and payload of each record up to the end of the file (at least one)."""
    size = file.size()
    offset = 0
    while offset < size or not offset:
        head = file.pread(_HEAD.size, offset)
        if len(head) < _HEAD.size:
            raise _corrupt(path, offset, "the file ends inside a record's head")
        length, crc = _HEAD.unpack(head)
        start = offset + _HEAD.size
        if not 0 < length <= size - start:
            raise _corrupt(path, offset, "the file ends inside a record, or its length is wrong")
        body = file.pread(length, start)
        if crc32c(body, offset & 0xFFFFFFFF) != crc:
            raise _corrupt(path, offset, "a record's checksum does not match")
        yield body
        offset = start + length
