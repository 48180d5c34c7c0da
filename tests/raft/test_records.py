"""The record codec: round trips, and what makes a torn write recognizable."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft import records
from raft.records import (
    ENTRY,
    HEADER_BYTES,
    MARK,
    SECTOR_BYTES,
    STATE,
    Damage,
    Identity,
    SegmentHeader,
    SegmentScan,
)

SEED = 0x1234
SIZE = 1 << 16

lumpy = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.integers(0, 1700).map(bytes),
        st.tuples(st.binary(min_size=1, max_size=1), st.integers(0, 1200)).map(
            lambda p: p[0] * p[1]
        ),
    ),
    max_size=4,
).map(b"".join)
"""Data with long runs of one byte, zeros above all."""


def segment(datas: list[bytes]) -> tuple[bytes, list[int]]:
    """Return a segment of one entry per data, and where each record ends."""
    buffer, ends = bytearray(HEADER_BYTES), []
    for index, data in enumerate(datas, 1):
        buffer += records.encode_entry(
            (data, index, 7), index - 1, offset=len(buffer), batch=HEADER_BYTES, seed=SEED
        )
        ends.append(len(buffer))
    return bytes(buffer).ljust(max(SIZE, -len(buffer) % 4096 + len(buffer)), b"\0"), ends


@given(st.lists(lumpy, max_size=8))
def test_entries_round_trip(datas: list[bytes]) -> None:
    """Goal: any data comes back. Method: encode a segment of arbitrary lumpy data, scan it."""
    buffer, ends = segment(datas)
    scan = SegmentScan(buffer, SEED)
    assert list(scan) == [(ENTRY, i, 7, i - 1, data) for i, data in enumerate(datas, 1)]
    assert scan.end == (ends[-1] if ends else HEADER_BYTES)
    assert (
        records.torn_end(buffer, scan.end, complete=HEADER_BYTES, seed=SEED, present=1 << 30)
        == scan.end
    )


def test_small_records_round_trip() -> None:
    """Goal: states and marks come back, with and without a vote. Method: encode, scan."""
    place = {"batch": HEADER_BYTES, "seed": SEED}
    buffer = bytearray(HEADER_BYTES)
    buffer += records.encode_state((3, None), 9, offset=len(buffer), **place)
    buffer += records.encode_state((4, "8e9e05c52164694d"), 2, offset=len(buffer), **place)
    buffer += records.encode_mark(1 << 63, 5, offset=len(buffer), **place)
    assert list(SegmentScan(bytes(buffer), SEED)) == [
        (STATE, 3, 0, 9, b""),
        (STATE, 4, 1, 2, b"8e9e05c52164694d"),
        (MARK, 1 << 63, 5, 0, b""),
    ]


@given(st.lists(lumpy, min_size=1, max_size=5), st.integers(0, 40))
def test_no_whole_record_holds_a_zero_sector(datas: list[bytes], shift: int) -> None:
    """Goal: the law on which repair rests: a zero sector inside a record was never written.

    Method: place lumpy data at every alignment; look at each sector of each record.
    """
    buffer, ends = segment([b"x" * (16 * shift), *datas])
    start = HEADER_BYTES
    for end in ends:
        at = start
        while at < end:
            border = min((at | SECTOR_BYTES - 1) + 1, end)
            assert any(buffer[at:border])
            at = border
        start = end


def test_zeros_are_masked_whatever_the_data() -> None:
    """Goal: data made of zero runs costs one mask. Method: 1 MiB of zeros, encode and scan."""
    data = bytes(1 << 20)
    buffer, ends = segment([data])
    assert ends[0] - HEADER_BYTES <= len(data) + 64
    assert [record[4] for record in SegmentScan(buffer, SEED)] == [data]


@given(st.lists(lumpy, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_any_missing_sectors_are_repairable(datas: list[bytes], chance: random.Random) -> None:
    """Goal: an unsynced write of which any sectors are missing is torn, never damage.

    Method: zero random sectors of the records' part; the scan yields a prefix and torn_end accepts.
    """
    whole, ends = segment(datas)
    buffer = bytearray(whole)
    for sector in range(HEADER_BYTES // SECTOR_BYTES, -(-ends[-1] // SECTOR_BYTES)):
        if chance.random() < 0.4:
            buffer[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES] = bytes(SECTOR_BYTES)
    scan = SegmentScan(bytes(buffer), SEED)
    found = [record[4] for record in scan]
    assert found == datas[: len(found)]
    stop = records.torn_end(
        bytes(buffer), scan.end, complete=HEADER_BYTES, seed=SEED, present=1 << 30
    )
    assert not any(buffer[stop:])
    assert len(found) == len(datas) or stop >= scan.end


@given(st.lists(lumpy, min_size=1, max_size=3), st.data())
def test_any_flipped_bit_is_damage(datas: list[bytes], data: st.DataObject) -> None:
    """Goal: a flipped bit in a record is never taken for a torn write. Method: flip one, scan."""
    whole, ends = segment(datas)
    bit = data.draw(st.integers(HEADER_BYTES * 8, ends[-1] * 8 - 1))
    buffer = bytearray(whole)
    buffer[bit >> 3] ^= 1 << (bit & 7)
    scan = SegmentScan(bytes(buffer), SEED)
    with pytest.raises(Damage):  # noqa: PT012  # either the scan or what follows it notices
        list(scan)
        records.torn_end(bytes(buffer), scan.end, complete=HEADER_BYTES, seed=SEED, present=1 << 30)


def test_a_flip_cannot_make_a_sector_look_unwritten() -> None:
    """Goal: sectors with a single bit set are no trap. Method: such data, flip every one bit."""
    datas = [b"x" * (gap % 97) + (bytes(gap) + b"\1") * 6 for gap in range(200, 512, 13)]
    for data in datas:
        whole, ends = segment([data])
        for at in range(HEADER_BYTES, ends[0]):
            if whole[at].bit_count() == 1:
                scan = SegmentScan(whole[:at] + b"\0" + whole[at + 1 :], SEED)
                assert list(scan) == []
                with pytest.raises(Damage):
                    records.torn_end(
                        scan.buffer, scan.end, complete=HEADER_BYTES, seed=SEED, present=1 << 30
                    )


def test_a_hole_before_a_later_write_is_damage() -> None:
    """Goal: a synced record that vanished is not repaired away.

    Method: two writes (the second names its own beginning); zero a sector of the first.
    """
    buffer = bytearray(HEADER_BYTES)
    place = {"batch": HEADER_BYTES, "seed": SEED}
    buffer += records.encode_entry((b"a" * 1000, 1, 1), 0, offset=len(buffer), **place)
    first_end = len(buffer)
    place["batch"] = first_end
    buffer += records.encode_entry((b"b" * 1000, 2, 1), 0, offset=first_end, **place)
    holed = bytes(buffer[:HEADER_BYTES]) + bytes(SECTOR_BYTES)
    holed = (holed + bytes(buffer[len(holed) :])).ljust(SIZE, b"\0")
    scan = SegmentScan(holed, SEED)
    assert list(scan) == []
    with pytest.raises(Damage, match="was on disk before the one at"):
        records.torn_end(holed, scan.end, complete=HEADER_BYTES, seed=SEED, present=1 << 30)


def test_records_count_only_where_they_were_written() -> None:
    """Goal: a record in the wrong place or segment is refused. Method: scan with other seeds."""
    buffer, _ = segment([b"data"])
    assert list(SegmentScan(buffer, SEED + 1)) == []
    moved = buffer[:HEADER_BYTES] + bytes(16) + buffer[HEADER_BYTES:-16]
    scan = SegmentScan(moved, SEED)
    scan.end += 16
    assert list(scan) == []


def test_unknown_kinds_are_refused() -> None:
    """Goal: a newer release's record stops us. Method: a valid record of kind 9."""
    record = records._small(9, b"future", HEADER_BYTES, SEED ^ HEADER_BYTES)
    with pytest.raises(Damage, match="kind 9"):
        list(SegmentScan(bytes(HEADER_BYTES) + record, SEED))


def test_header_round_trip_and_flips() -> None:
    """Goal: the header comes back, and each of its bits is checked. Method: flip all of them."""
    header = SegmentHeader(Identity(1 << 63, 2), 3, 4, 1 << 20, 900, 77)
    whole = header.encode()
    assert len(whole) == HEADER_BYTES
    assert records.decode_header(whole) == header
    for bit in range(len(whole) * 8):
        buffer = bytearray(whole)
        buffer[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(Damage):
            records.decode_header(bytes(buffer))
    with pytest.raises(Damage, match="ends inside"):
        records.decode_header(whole[:-1])


@pytest.mark.parametrize("end", [0, 1, 65535, 65536, 65537, 200_000])
def test_nonzero_end(end: int) -> None:
    """Goal: the last nonzero byte is found at block borders. Method: one byte in many zeros."""
    buffer = bytearray(200_000)
    if end:
        buffer[end - 1] = 1
    assert records.nonzero_end(bytes(buffer), 0) == end
    assert records.nonzero_end(bytes(buffer), 10) == max(end, 10)
