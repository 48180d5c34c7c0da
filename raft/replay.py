"""Reading a journal directory back: the files, their order, their records, and the one repair.

Laws:
* Segments are numbered without gaps and each one begins where the one before ended.
* Only the end of the last segment may be torn (records.py says what that is). It is overwritten
  with zeros, and the last write is written again and synced before anyone may act on it: after a
  failed fdatasync the page cache can hold, as clean, what the disk does not.
* Everything else that does not check raises JournalCorrupt, naming file, offset and remedy.

It does not: write new records, or decide what a recovered entry means.
"""

import os
import re
from dataclasses import dataclass, field

from raft.disk import Disk, File
from raft.outline import Outline, OutlineError
from raft.records import (
    ENTRY,
    HEADER_BYTES,
    MARK,
    Damage,
    Entry,
    Identity,
    Record,
    SegmentHeader,
    SegmentScan,
    decode_header,
    nonzero_end,
    segment_seed,
    torn_end,
)
from raft.spare import TEMPORARY_SUFFIX

_SEGMENT_NAME = re.compile(r"[0-9a-f]{16}\.log")
_FOREIGN_SUFFIX = ".wal"  # etcd's own
REMEDY = (
    "the member refuses to start rather than lose data: if there are others, remove it from the "
    "cluster and add it anew with an empty data directory; if it is alone, restore its data "
    "directory from a copy"
)


class JournalCorrupt(Exception):
    """The journal on disk is not one this member may start from."""


class IdentityMismatch(JournalCorrupt):
    """The journal is intact, but it is another cluster's or member's."""


@dataclass(slots=True)
class Segment:
    """A segment that has its name on disk."""

    sequence: int
    size_bytes: int
    last_index: int  # largest index of any entry ever written to it; 0 if there is none


@dataclass(slots=True)
class Replay:
    """What a journal directory holds; `file` is the last segment, open, at its `end`."""

    identity: Identity | None = None
    outline: Outline = field(default_factory=Outline)
    entries: list[Entry] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    file: File | None = None
    end: int = 0
    repaired: str | None = None


def segment_path(directory: str, sequence: int) -> str:
    """Return a segment's path. The name does not look like etcd's `seq-index.wal`."""
    return os.path.join(directory, f"{sequence:016x}.log")


def replay(disk: Disk, directory: str, identity: Identity | None) -> Replay:
    """Read the directory, repair a torn end and make all of it durable."""
    result = Replay(identity=identity)
    sequences = _sequences(disk, directory)
    for position, sequence in enumerate(sequences):
        path = segment_path(directory, sequence)
        last = position == len(sequences) - 1
        file = disk.open(path)
        try:
            _load(result, file, path=path, last=last)
        except Damage as damage:
            file.close()
            raise JournalCorrupt(
                f"{path}: offset {damage.offset}: {damage.reason}; {REMEDY}"
            ) from damage
        except BaseException:
            file.close()
            raise
        if last:
            result.file = file
        else:
            file.close()
    _check_beginning(result, directory)
    disk.sync_dir(directory)
    return result


def _check_beginning(result: Replay, directory: str) -> None:
    """Refuse a log whose first segments are gone although no snapshot stands for them."""
    if not result.segments or result.segments[0].sequence == 1:
        return
    outline = result.outline
    if outline.mark is None or outline.first > outline.mark[0] + 1:
        if result.file is not None:
            result.file.close()
        raise JournalCorrupt(
            f"{segment_path(directory, result.segments[0].sequence)}: offset {HEADER_BYTES}: "
            f"segments before this one are missing, and no snapshot covers them; {REMEDY}"
        )


def _sequences(disk: Disk, directory: str) -> list[int]:
    """Return the segments' numbers, having removed what was never finished."""
    names = disk.listdir(directory)
    foreign = [name for name in names if name.endswith(_FOREIGN_SUFFIX)]
    if foreign:
        raise JournalCorrupt(
            f"{os.path.join(directory, foreign[0])}: a log of another etcd implementation, which "
            "this server cannot read; start with an empty data directory"
        )
    for name in names:
        if name.endswith(TEMPORARY_SUFFIX):
            disk.unlink(os.path.join(directory, name))
    sequences = sorted(int(name[:16], 16) for name in names if _SEGMENT_NAME.fullmatch(name))
    for number, sequence in enumerate(sequences, sequences[0] if sequences else 0):
        if number != sequence:
            path = segment_path(directory, number)
            raise JournalCorrupt(f"{path}: this segment is missing between others; {REMEDY}")
    return sequences


def _load(result: Replay, file: File, *, path: str, last: bool) -> None:
    """Add one segment to the result; raise Damage if it does not fit."""
    present = file.size()
    buffer = file.pread(present, 0)
    header = decode_header(buffer)
    _check_header(result, header, path)
    if present > header.size_bytes or (present < header.size_bytes and not last):
        raise Damage(present, f"the file has {present} bytes instead of {header.size_bytes}")
    buffer = buffer.ljust(header.size_bytes, b"\0")
    segment = Segment(header.sequence, header.size_bytes, 0)
    scan = SegmentScan(buffer, segment_seed(header.identity, header.sequence))
    for record in scan:
        _take(result, segment, scan, record)
    if not last and nonzero_end(buffer, scan.end) != scan.end:
        raise Damage(scan.end, "a record does not check although a later segment exists")
    result.segments.append(segment)
    result.end = scan.end
    if last:
        result.repaired = _repair(file, scan, header=header, path=path)


def _check_header(result: Replay, header: SegmentHeader, path: str) -> None:
    expected = result.identity
    if expected is not None and header.identity != expected:
        raise IdentityMismatch(
            f"{path}: this is the log of member {header.identity.member_id:x} of cluster "
            f"{header.identity.cluster_id:x}, not of member {expected.member_id:x} of cluster "
            f"{expected.cluster_id:x}; start with the data directory that belongs to this member"
        )
    if result.segments and expected is not None and header.identity.birth != expected.birth:
        raise Damage(0, "the header is of another log of this member than the segments before it")
    result.identity = header.identity
    if int(os.path.basename(path)[:16], 16) != header.sequence:
        raise Damage(0, f"the header says that this is segment {header.sequence}")
    if not result.segments:
        result.outline.begin_at(header.next_index)
        return
    if header.previous_end != result.end:
        reason = f"the segment before ended at {header.previous_end}, but {result.end} is left"
        raise Damage(0, reason)
    if header.next_index != result.outline.next:
        reason = f"the log went on with {header.next_index}, but is at {result.outline.next}"
        raise Damage(0, reason)


def _take(result: Replay, segment: Segment, scan: SegmentScan, record: Record) -> None:
    kind, number, term, commit, data = record
    outline, entries = result.outline, result.entries
    if commit > outline.commit:
        outline.commit = commit
    try:
        if kind == ENTRY:
            outline.entry(number, term)
            position = number - outline.first
            if position < len(entries):
                del entries[position:]
            entries.append((data, number, term))
            if number > segment.last_index:
                segment.last_index = number
        elif kind == MARK:
            if outline.snapshot(number, term):
                entries.clear()
        else:
            outline.state(number, data.decode() if term else None)
    except OutlineError as error:
        raise Damage(scan.end, f"the record that ends here makes no sense: {error}") from error


def _repair(file: File, scan: SegmentScan, *, header: SegmentHeader, path: str) -> str | None:
    """Cut off a torn end, sync what is left, and say what was done."""
    buffer, present = scan.buffer, file.size()
    stop = torn_end(buffer, scan.end, complete=header.complete, seed=scan.seed, present=present)
    said: list[str] = []
    if present < len(buffer):
        file.pwrite(bytes(len(buffer) - present), present)
        said.append(f"the file was {len(buffer) - present} bytes short")
    if stop > scan.end:
        file.pwrite(bytes(stop - scan.end), scan.end)
        said.append(f"{stop - scan.end} bytes of a write that never completed were cut off")
    if scan.end > max(header.complete, HEADER_BYTES):
        file.pwrite(buffer[scan.batch : scan.end], scan.batch)
    file.sync()
    return f"{path}: offset {scan.end}: {'; '.join(said)}" if said else None
