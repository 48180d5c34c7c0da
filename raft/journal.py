"""The write-ahead log of one member: log entries, hard state and snapshot marks, durable in order.

Records are buffered by `append`, `save_state` and `mark_snapshot` and become durable together:
one pwrite and one fdatasync per `sync`. `take` and `write` are the two halves of `sync`, so that
the second can run in a thread. The files are described in records.py and read back by replay.py.

Laws:
* What a returned `sync` or `write` covered is recovered by every later `open`, whatever crashes
  come between. What was not covered is recovered as a prefix of what was buffered, or not at all.
* Chunks are written in the order they were taken, one at a time; a chunk is only written after
  the one before was synced.
* A segment gets its name when its first records are on disk; one beyond it exists only when all
  of it is. So only the last segment can have a torn end.
* Each segment begins with the hard state, the commit bound and the snapshot mark, so that any
  segments before it may go once the mark covers their entries.
* After an OSError from `write` nothing more is written; what was durable stays as it is.

Threads: `append`, `save_state`, `mark_snapshot`, `take` belong to one thread (the loop's);
`write`, `compact` and `prepare` may each run in another one at the same time.

It does not: keep entries in memory, decide what is committed, or touch snapshots.
"""

import contextlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from raft.disk import Disk
from raft.records import (
    ENTRY_DATA_MAX_BYTES,
    HEADER_BYTES,
    Entry,
    Identity,
    SegmentHeader,
    encode_entry,
    encode_mark,
    encode_state,
    entry_size_bytes,
    segment_seed,
)
from raft.replay import (
    REMEDY,
    IdentityMismatch,
    JournalCorrupt,
    Replay,
    Segment,
    replay,
    segment_path,
)
from raft.spare import SpareFile

__all__ = [
    "Chunk",
    "Entry",
    "Identity",
    "IdentityMismatch",
    "Journal",
    "JournalCorrupt",
    "Recovered",
]

SEGMENT_BYTES: Final = 16 << 20
_PAGE_BYTES: Final = 4096
_SMALL_RECORD_MAX_BYTES: Final = 512  # a hard state or a mark, padded
# What a segment begins with before its first entry.
SEGMENT_OVERHEAD_BYTES: Final = HEADER_BYTES + 2 * _SMALL_RECORD_MAX_BYTES
VOTE_MAX_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `open` found."""

    term: int
    vote: str | None  # a member id in hex
    entries: list[Entry]  # contiguous; may begin before the snapshot mark (trailing window)
    commit: int  # largest known lower bound; apply up to min(this, end of the log)
    snapshot: tuple[int, int] | None  # newest mark: (index, term)
    identity: Identity
    repaired: str | None  # one sentence if a torn end was cut off


@dataclass(slots=True)
class _Part:
    """What goes to one segment: `header` is set if the segment begins with it."""

    sequence: int
    offset: int
    data: bytearray
    header: SegmentHeader | None
    last_index: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records detached by `take`, to be handed to `write` once and in order."""

    number: int
    parts: tuple[_Part, ...]
    mark_index: int | None
    commit: int


class Journal:
    """An open journal; `Journal.open` makes one."""

    def __init__(
        self, disk: Disk, directory: str, identity: Identity, *, found: Replay, segment_bytes: int
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._identity = identity
        self._segment_bytes = segment_bytes
        # where the next record goes; the loop's
        self._outline = found.outline
        self._sequence = found.segments[-1].sequence if found.segments else 0
        self._size = found.segments[-1].size_bytes if found.segments else 0
        self._seed = segment_seed(identity, self._sequence)
        self._offset = self._batch = found.end
        self._part = _Part(self._sequence, self._offset, bytearray(), None)
        self._full: list[_Part] = []
        self._taken = 0
        # what is on disk; the writer's, `_segments` under its lock
        self._file = found.file
        self._written = 0
        self._failed = False
        self._mark_index = found.outline.mark[0] if found.outline.mark else None
        self._commit = found.outline.commit
        self._segments = found.segments
        self._segments_lock = threading.Lock()
        self._spare = SpareFile(disk, directory, segment_bytes)

    @classmethod
    def open(
        cls,
        disk: Disk,
        directory: str,
        *,
        identity: Identity | None,
        first: Sequence[Entry] = (),
        segment_bytes: int = SEGMENT_BYTES,
    ) -> tuple["Journal", Recovered]:
        """Open the directory's journal, or begin one with the `first` entries; all of it durable.

        `identity` None takes what is there; another than what is there raises IdentityMismatch.
        A journal is begun in one step: after a crash it is there with its first entries or not
        at all.
        """
        if not disk.exists(directory):
            disk.mkdir(directory)
            disk.sync_dir(os.path.dirname(os.path.abspath(directory)))
        found = replay(disk, directory, identity)
        if found.identity is None:
            raise JournalCorrupt(f"{directory}: the log is gone; {REMEDY}")
        outline = found.outline
        recovered = Recovered(
            term=outline.term,
            vote=outline.vote,
            entries=found.entries,
            commit=outline.commit,
            snapshot=outline.mark,
            identity=found.identity,
            repaired=found.repaired,
        )
        journal = cls(disk, directory, found.identity, found=found, segment_bytes=segment_bytes)
        if not found.segments:
            journal._roll(0)
            for entry in first:
                journal.append(entry, commit=entry[1])
            journal.sync()
            recovered = replace(recovered, entries=list(first))
        return journal, recovered

    def append(self, entry: Entry, *, commit: int) -> None:
        """Buffer an entry; one at or below the last index replaces the suffix from there on."""
        data, index, term = entry
        size = entry_size_bytes(data)
        if self._offset + size > self._size:
            if len(data) > ENTRY_DATA_MAX_BYTES:
                raise ValueError(f"entry {index} has {len(data)} bytes")
            self._roll(size)
        outline = self._outline
        outline.entry(index, term)
        if commit > outline.commit:
            outline.commit = commit
        offset = self._offset
        record = encode_entry(
            entry, outline.commit, offset=offset, batch=self._batch, seed=self._seed
        )
        part = self._part
        part.data += record
        self._offset = offset + len(record)
        if index > part.last_index:
            part.last_index = index

    def save_state(self, term: int, vote: str | None, *, commit: int = 0) -> None:
        """Buffer the hard state, and up to where the log is known to be committed."""
        if vote is not None and len(vote.encode()) > VOTE_MAX_BYTES:
            raise ValueError(f"a vote of {len(vote)} characters")
        self._make_room()
        self._outline.state(term, vote)
        self._outline.commit = max(self._outline.commit, commit)
        self._put_state()

    def mark_snapshot(self, index: int, term: int) -> None:
        """Buffer the fact that a durable snapshot covers the log up to `index`.

        If the log does not hold that very entry, all entries become void and the next one must
        follow the mark: a snapshot from elsewhere was installed.
        """
        self._make_room()
        self._outline.snapshot(index, term)
        self._put_mark()

    def _make_room(self) -> None:
        if self._offset + _SMALL_RECORD_MAX_BYTES > self._size:
            self._roll(_SMALL_RECORD_MAX_BYTES)

    def _put_state(self) -> None:
        outline = self._outline
        self._put(
            encode_state(
                (outline.term, outline.vote),
                outline.commit,
                offset=self._offset,
                batch=self._batch,
                seed=self._seed,
            )
        )

    def _put_mark(self) -> None:
        mark = self._outline.mark
        if mark is not None:
            self._put(encode_mark(*mark, offset=self._offset, batch=self._batch, seed=self._seed))

    def _put(self, record: bytes) -> None:
        self._part.data += record
        self._offset += len(record)

    def _roll(self, room: int) -> None:
        """Go on in a new segment that has `room` bytes behind its first records."""
        if self._part.data:
            self._full.append(self._part)
        need = HEADER_BYTES + 2 * _SMALL_RECORD_MAX_BYTES + room
        size = max(self._segment_bytes, need + -need % _PAGE_BYTES)
        header = SegmentHeader(
            identity=self._identity,
            sequence=self._sequence + 1,
            next_index=self._outline.next,
            size_bytes=size,
            complete=0,  # known when the part is taken
            previous_end=self._offset,
        )
        self._sequence += 1
        self._size = size
        self._seed = segment_seed(self._identity, self._sequence)
        self._offset = self._batch = HEADER_BYTES
        self._part = _Part(self._sequence, 0, bytearray(HEADER_BYTES), header)
        self._put_state()
        self._put_mark()

    @property
    def pending(self) -> bool:
        """Whether something is buffered that no `take` has detached."""
        return bool(self._part.data or self._full)

    @property
    def commit(self) -> int:
        """Up to where what is on disk says that the log is committed."""
        return self._commit

    def take(self) -> Chunk:
        """Detach what is buffered; it must be handed to `write`, in order."""
        parts = self._full
        if self._part.data:
            parts.append(self._part)
        for part in parts:
            if part.header is not None:
                header = part.header
                part.data[:HEADER_BYTES] = SegmentHeader(
                    identity=header.identity,
                    sequence=header.sequence,
                    next_index=header.next_index,
                    size_bytes=header.size_bytes,
                    complete=len(part.data),
                    previous_end=header.previous_end,
                ).encode()
        self._full = []
        self._part = _Part(self._sequence, self._offset, bytearray(), None)
        self._batch = self._offset
        self._taken += 1
        mark = self._outline.mark
        return Chunk(self._taken, tuple(parts), mark[0] if mark else None, self._outline.commit)

    def write(self, chunk: Chunk) -> None:
        """Write a chunk and make it durable."""
        if self._failed or chunk.number != self._written + 1:
            raise RuntimeError(f"chunk {chunk.number} after {self._written}, or after a failure")
        self._failed = True  # until it has worked
        for part in chunk.parts:
            if part.header is not None:
                self._begin_segment(part, part.header)
                continue
            assert self._file is not None
            self._file.pwrite(part.data, part.offset)
            self._file.sync()
            with self._segments_lock:
                segment = self._segments[-1]
                segment.last_index = max(segment.last_index, part.last_index)
        self._mark_index = chunk.mark_index
        self._commit = chunk.commit
        self._written = chunk.number
        self._failed = False

    def sync(self) -> None:
        """Make everything that is buffered durable."""
        self.write(self.take())

    def _begin_segment(self, part: _Part, header: SegmentHeader) -> None:
        """Turn the spare into the segment; it has its first records before it has its name."""
        spare = self._spare.take(header.size_bytes)
        try:
            spare.file.pwrite(part.data, 0)
            spare.file.sync()
            self._disk.rename(spare.path, segment_path(self._directory, part.sequence))
        except OSError:
            self._spare.discard(spare)
            raise
        self._disk.sync_dir(self._directory)
        previous, self._file = self._file, spare.file
        if previous is not None:
            previous.close()
        with self._segments_lock:
            self._segments.append(Segment(part.sequence, header.size_bytes, part.last_index))

    @property
    def needs_preparing(self) -> bool:
        """Whether the segment in use is half full and no next one is there or being made."""
        return self._offset > self._size // 2 and self._spare.wanted

    def prepare(self) -> None:
        """Make the next segment's file ahead of need, zero-filled and synced.

        An OSError (a full disk) leaves the journal as it was; the call may be repeated.
        """
        self._spare.prepare()

    def compact(self, index: int) -> None:
        """Remove the leading segments in which every entry has a smaller index.

        Only what the durable snapshot mark covers is removed, and never the last segment. Each
        removal is made durable before the next, so that no crash leaves a gap.
        """
        if self._mark_index is None:
            return
        limit = min(index, self._mark_index + 1)
        while True:
            with self._segments_lock:
                if len(self._segments) < 2 or self._segments[0].last_index >= limit:
                    return
                oldest = self._segments[0]
            with contextlib.suppress(FileNotFoundError):  # a try before this one got that far
                self._disk.unlink(segment_path(self._directory, oldest.sequence))
            self._disk.sync_dir(self._directory)
            with self._segments_lock:
                self._segments.remove(oldest)

    @property
    def room_bytes(self) -> tuple[int, int]:
        """Return what fits into the segment in use, and then into the next if it is prepared."""
        with self._segments_lock:
            begun = self._segments[-1].sequence == self._sequence
        spare = self._spare.size_bytes if begun else 0
        return self._size - self._offset, max(0, spare - SEGMENT_OVERHEAD_BYTES)

    @property
    def size_bytes(self) -> int:
        """Return the space the journal takes on disk."""
        with self._segments_lock:
            total = sum(segment.size_bytes for segment in self._segments)
        return total + self._spare.size_bytes

    @property
    def segments(self) -> int:
        """Return the number of segments."""
        with self._segments_lock:
            return len(self._segments)

    def close(self) -> None:
        """Close the files; what was not synced is lost."""
        self._spare.close()
        if self._file is not None:
            self._file.close()
            self._file = None
