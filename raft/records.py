"""The bytes of a journal segment: a header, then records; and how damage is told from a torn write.

A segment is a file of fixed size, filled with real zeros before it is used:

    header   512 bytes: magic, format version, identity, sequence number, next entry index, file
             size, `complete`, end of the segment before, CRC32C; the rest is zero
    record   multiple of 16 bytes, at a multiple of 16:
             u32 length | u32 ~length | u32 crc | u32 batch | kind, fields, data | zeros | 0xA5
    zeros    to the end of the file

`length` counts kind, fields and data. `crc` covers everything behind it and is seeded with the
identity, the segment's number and the record's offset, so a record counts only where it was
written. `batch` is the offset of the first record of the write that brought this record.

Laws:
* A whole record never covers a 512-byte sector with zeros only: its 16-byte head is not zero and
  lies in one sector, its last byte is 0xA5, and data with a long run of zeros is stored XORed with
  a mask that breaks the run. So a zero sector inside a record means: it was never written.
* A record is TORN only if a sector it touches is all zero inside the record (or inside the space
  where it would begin). Whatever else does not check is DAMAGE.
* A batch is written only after everything before it was synced. So a record that names a batch
  beginning behind a torn place proves that the place was on disk once: DAMAGE, too.

It does not: open files, know what the records add up to (outline.py), or repair (replay.py).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from struct import Struct
from typing import Final

from crc32c import crc32c

Entry = tuple[bytes, int, int]
"""(data, index, term): PySyncObj's own order, so that its slices need no copies."""

SECTOR_BYTES: Final = 512
BIRTH_BITS: Final = 32
HEADER_BYTES: Final = 512
ALIGN_BYTES: Final = 16
ENTRY_DATA_MAX_BYTES: Final = 256 << 20
FORMAT_VERSION: Final = 1

ENTRY: Final = 1
MASKED_ENTRY: Final = 2
STATE: Final = 3
MARK: Final = 4

_MAGIC: Final = b"pyetcdJ\n"
_HEADER: Final = Struct("<8sIIQQQQQQQ")
_CRC: Final = Struct("<I")
_SEED: Final = Struct("<QQQ")
_HEAD: Final = Struct("<IIII")
_HEAD_BYTES: Final = 16
_CRC_FROM: Final = 12  # the checksum begins at `batch`
_LENGTH_CHECK: Final = 0xFFFFFFFF
_ENTRY_FIELDS: Final = Struct("<QQQ")  # index, term, commit
_ENTRY_START: Final = Struct("<IBQQQ")  # batch, kind, and the fields
_ENTRY_FIXED_BYTES: Final = 25  # kind and fields
_STATE_FIELDS: Final = Struct("<QQB")  # term, commit, whether there is a vote
_MARK_FIELDS: Final = Struct("<QQ")  # index, term
_MASK_BYTES: Final = 8
_END_MARK: Final = 0xA5
_ENDINGS: Final = [bytes(n - 1) + bytes([_END_MARK]) if n else b"" for n in range(ALIGN_BYTES + 1)]
# A sector inside a record holds at least 488 bytes of data. Without a run of 240 zeros at least two
# of them are not zero, so that even a flipped bit cannot make the sector look unwritten.
_ZERO_RUN: Final = bytes(240)
_ZERO_BLOCK: Final = bytes(64 << 10)


class Damage(Exception):
    """Bytes that no crash can have left behind."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"offset {offset}: {reason}")
        self.offset = offset
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose log this is: uint64 ids of the cluster and the member.

    `birth` is a number of BIRTH_BITS drawn when the log was begun, 0 if none was; it tells two logs
    of one member apart (raft/births.py) and makes nobody somebody else.
    """

    cluster_id: int
    member_id: int
    birth: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first sector of a segment.

    `next_index` and `previous_end` say where the log stood when the segment began, so a loss at
    the end of the segment before is noticed. Everything below `complete` was synced before the
    file got its name, so nothing there can be torn.
    """

    identity: Identity
    sequence: int
    next_index: int
    size_bytes: int
    complete: int
    previous_end: int

    def encode(self) -> bytes:
        """Return the header's 512 bytes."""
        fields = _HEADER.pack(
            _MAGIC,
            FORMAT_VERSION,
            self.identity.birth,
            self.identity.cluster_id,
            self.identity.member_id,
            self.sequence,
            self.next_index,
            self.size_bytes,
            self.complete,
            self.previous_end,
        )
        return (fields + _CRC.pack(crc32c(fields))).ljust(HEADER_BYTES, b"\0")


def decode_header(buffer: bytes) -> SegmentHeader:
    """Read a segment's header, or raise Damage."""
    if len(buffer) < HEADER_BYTES:
        raise Damage(len(buffer), "the file ends inside the segment header")
    magic, version, birth, cluster, member, *numbers = _HEADER.unpack_from(buffer)
    if magic != _MAGIC:
        raise Damage(0, "this is not a journal segment (bad magic)")
    (crc,) = _CRC.unpack_from(buffer, _HEADER.size)
    if crc != crc32c(buffer[: _HEADER.size]):
        raise Damage(0, "the segment header's checksum does not match")
    if version != FORMAT_VERSION:
        raise Damage(0, f"format version {version} is not known to this release")
    if any(buffer[_HEADER.size + _CRC.size : HEADER_BYTES]):
        raise Damage(_HEADER.size + _CRC.size, "the segment header's padding is not zero")
    return SegmentHeader(Identity(cluster, member, birth), *numbers)


def segment_seed(identity: Identity, sequence: int) -> int:
    """Return the checksum seed of a segment's records."""
    return crc32c(_SEED.pack(identity.cluster_id, identity.member_id, sequence))


def _record(body: bytes, length: int, seed: int) -> bytes:
    return _HEAD.pack(length, length ^ _LENGTH_CHECK, crc32c(body, seed), 0)[:_CRC_FROM] + body


def _padded(length: int) -> int:
    """Return the size of a record whose kind, fields and data take `length` bytes."""
    return (length + 32) & -ALIGN_BYTES  # the head, at least the end mark, rounded up


def entry_size_bytes(data: bytes) -> int:
    """Return an upper bound of the size of an entry record."""
    return _padded(_ENTRY_FIXED_BYTES + _MASK_BYTES + len(data))


def encode_entry(entry: Entry, commit: int, *, offset: int, batch: int, seed: int) -> bytes:
    """Return the record of a log entry, to be written at `offset`."""
    data, index, term = entry
    kind = ENTRY
    if len(data) >= len(_ZERO_RUN) and _ZERO_RUN in data:
        data, kind = _masked(data), MASKED_ENTRY
    length = _ENTRY_FIXED_BYTES + len(data)
    ending = _ENDINGS[((length + 32) & -16) - 16 - length]
    body = b"".join((_ENTRY_START.pack(batch, kind, index, term, commit), data, ending))
    return _record(body, length, seed ^ offset)


def encode_state(
    state: tuple[int, str | None], commit: int, *, offset: int, batch: int, seed: int
) -> bytes:
    """Return the record of a hard state (term, vote), to be written at `offset`."""
    term, vote = state
    fields = _STATE_FIELDS.pack(term, commit, vote is not None) + (vote or "").encode()
    return _small(STATE, fields, batch, seed ^ offset)


def encode_mark(index: int, term: int, *, offset: int, batch: int, seed: int) -> bytes:
    """Return the record of a snapshot mark, to be written at `offset`."""
    return _small(MARK, _MARK_FIELDS.pack(index, term), batch, seed ^ offset)


def _small(kind: int, fields: bytes, batch: int, seed: int) -> bytes:
    length = 1 + len(fields)
    body = _CRC.pack(batch) + bytes([kind]) + fields
    return _record(body + _ENDINGS[_padded(length) - _HEAD_BYTES - length], length, seed)


def _masked(data: bytes) -> bytes:
    """Return a mask and the data XORed with it, without a run of zeros.

    The mask is drawn from the data itself: nobody can choose data that matches its own mask.
    """
    attempt = 0
    while True:
        mask = hashlib.blake2b(
            data, digest_size=_MASK_BYTES, salt=attempt.to_bytes(8, "little")
        ).digest()
        masked = mask + _xor(data, mask)
        if _ZERO_RUN not in masked:
            return masked
        attempt += 1


def _xor(data: bytes, mask: bytes) -> bytes:
    size = len(data)
    pattern = (mask * (size // _MASK_BYTES + 1))[:size]
    mixed = int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")
    return mixed.to_bytes(size, "little")


Record = tuple[int, int, int, int, bytes]
"""(kind, index or term, term or 0, commit or 0, data or vote) as SegmentScan yields them."""


class SegmentScan:
    """One pass over a segment's records, up to the first place that does not hold a whole one.

    Afterwards `end` is that place and `batch` where the last record's write began.
    """

    def __init__(self, buffer: bytes, seed: int) -> None:
        self.buffer = buffer
        self.seed = seed
        self.end = HEADER_BYTES
        self.batch = HEADER_BYTES

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; raise Damage on one that checks but makes no sense."""
        buffer, seed = self.buffer, self.seed
        view = memoryview(buffer)
        limit = len(buffer) - _HEAD_BYTES
        head, fields = _HEAD.unpack_from, _ENTRY_FIELDS.unpack_from
        at = self.end
        while at <= limit:
            length, check, crc, batch = head(buffer, at)
            stop = at + ((length + 32) & -16)
            if length ^ check != _LENGTH_CHECK or stop > len(buffer):
                return
            if crc32c(view[at + _CRC_FROM : stop], seed ^ at) != crc:
                return
            if batch != self.batch:
                if batch != at:
                    raise Damage(at, f"a record of the write at {batch}, but that one is over")
                self.batch = batch
            self.end = stop
            if buffer[at + 16] == ENTRY and length >= _ENTRY_FIXED_BYTES:
                index, term, commit = fields(buffer, at + 17)
                yield ENTRY, index, term, commit, buffer[at + 41 : at + 16 + length]
            else:
                yield _decode(buffer, at, length)
            at = stop


def _decode(buffer: bytes, at: int, length: int) -> Record:
    """Decode any record but a plain entry."""
    kind, body = buffer[at + _HEAD_BYTES], buffer[at + _HEAD_BYTES + 1 : at + _HEAD_BYTES + length]
    if kind == STATE and len(body) >= _STATE_FIELDS.size:
        term, commit, voted = _STATE_FIELDS.unpack_from(body)
        return STATE, term, voted, commit, body[_STATE_FIELDS.size :]
    if kind == MARK and len(body) == _MARK_FIELDS.size:
        index, term = _MARK_FIELDS.unpack(body)
        return MARK, index, term, 0, b""
    if kind == MASKED_ENTRY and len(body) >= _ENTRY_FIELDS.size + _MASK_BYTES:
        index, term, commit = _ENTRY_FIELDS.unpack_from(body)
        start = _ENTRY_FIELDS.size + _MASK_BYTES
        mask = body[start - _MASK_BYTES : start]
        return ENTRY, index, term, commit, _xor(body[start:], mask)
    raise Damage(at, f"a record of kind {kind} and {length} bytes is not known to this release")


def resealed(buffer: bytes, identity: Identity) -> bytes:
    """Return a whole segment as somebody else's log: the same records under other checksums.

    Raises Damage if there is anything but zeros behind the last record.
    """
    header = decode_header(buffer)
    seed = segment_seed(identity, header.sequence)
    result = bytearray(buffer)
    heir = replace(identity, birth=header.identity.birth)
    result[:HEADER_BYTES] = replace(header, identity=heir).encode()
    scan = SegmentScan(buffer, segment_seed(header.identity, header.sequence))
    at = scan.end
    for _record in scan:
        crc = crc32c(memoryview(buffer)[at + _CRC_FROM : scan.end], seed ^ at)
        _CRC.pack_into(result, at + _CRC_FROM - _CRC.size, crc)
        at = scan.end
    if nonzero_end(buffer, at) != at:
        raise Damage(at, "there is something behind the last whole record")
    return bytes(result)


def nonzero_end(buffer: bytes, start: int) -> int:
    """Return where the last byte that is not zero ends, or `start` if all of them are zero."""
    end = len(buffer)
    while end > start:
        block = buffer[max(start, end - len(_ZERO_BLOCK)) : end]
        if block != _ZERO_BLOCK[: len(block)]:
            return end - len(block) + len(block.rstrip(b"\0"))
        end -= len(block)
    return start


def torn_end(buffer: bytes, end: int, *, complete: int, seed: int, present: int) -> int:
    """Return how far a torn write reaches behind the last whole record (`end`: there is none).

    The file had `present` bytes; `buffer` is filled up with zeros. Raises Damage if what follows
    the last whole record is not what a crash leaves behind.

    Why cutting off everything from `end` on loses nothing that was acknowledged: a sector at `end`
    is missing, so the write that covers it was never synced, nor was any later one, and only a
    synced write is ever acknowledged. The sectors of that write may have reached the disk in any
    order, so whole records may stand behind the gap; they are of the same unsynced write. If one
    of them belongs to a later write, the gap was on disk once: that is damage.
    """
    stop = nonzero_end(buffer, end)
    if stop == end:
        return end
    length, check, crc, batch = _HEAD.unpack_from(buffer, end)
    if end + _HEAD_BYTES > present:
        pass  # the file ends inside the head
    elif not (length or check or crc or batch):
        if any(buffer[end : (end | SECTOR_BYTES - 1) + 1]):
            raise Damage(end, "a record without a head, in a sector that was written")
    elif length ^ check != _LENGTH_CHECK:
        raise Damage(end, "a record's length does not match its copy")
    elif end + _padded(length) > len(buffer):
        raise Damage(end, "a record reaches beyond the end of its segment")
    elif end + _padded(length) <= present and not _misses_sector(
        buffer, end, end + _padded(length)
    ):
        raise Damage(end, "a record's checksum does not match and all of its sectors were written")
    if end < complete:
        raise Damage(end, "a record that was on disk before the segment was used is missing")
    _refuse_synced(buffer, end, stop, seed)
    return stop


def _misses_sector(buffer: bytes, start: int, stop: int) -> bool:
    while start < stop:
        border = min((start | SECTOR_BYTES - 1) + 1, stop)
        if not any(buffer[start:border]):
            return True
        start = border
    return False


def _refuse_synced(buffer: bytes, torn: int, stop: int, seed: int) -> None:
    """Raise Damage if a record behind `torn` was written after `torn` had been synced."""
    view = memoryview(buffer)
    for at in range(torn + ALIGN_BYTES, stop - _HEAD_BYTES + 1, ALIGN_BYTES):
        length, check, crc, batch = _HEAD.unpack_from(buffer, at)
        if length ^ check != _LENGTH_CHECK or not torn < batch <= at:
            continue
        end = at + _padded(length)
        if end <= len(buffer) and crc32c(view[at + _CRC_FROM : end], seed ^ at) == crc:
            raise Damage(torn, f"a record is missing that was on disk before the one at {at}")
