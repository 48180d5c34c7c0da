"""Frames: what goes in comes out, whatever the pieces; what is damaged does not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.peers.frames import (
    HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    PING,
    BadFrame,
    FrameReader,
    header,
)

PAYLOADS = st.lists(st.binary(max_size=60), max_size=8)
STEPS = st.lists(st.integers(1, 50), min_size=1, max_size=10)


def wire(payloads: list[bytes]) -> bytes:
    """The bytes of some frames."""
    return b"".join(header(payload) + payload for payload in payloads)


def fed(reader: FrameReader, data: bytes, steps: list[int]) -> list[bytes]:
    """What comes out if the data goes in by such steps, again and again."""
    found, at, turn = [], 0, 0
    while at < len(data):
        step = steps[turn % len(steps)]
        found += [bytes(payload) for payload in reader.feed(data[at : at + step])]
        at, turn = at + step, turn + 1
    return found


@given(PAYLOADS, STEPS)
def test_frames_survive_any_split(payloads: list[bytes], steps: list[int]) -> None:
    """Goal: the same payloads in the same order, nothing kept behind. Method: random pieces."""
    reader = FrameReader()
    assert fed(reader, wire(payloads), steps) == payloads
    assert len(reader._kept) == 0


@given(PAYLOADS.filter(bool), STEPS, st.data())
def test_a_flipped_bit_is_noticed(
    payloads: list[bytes], steps: list[int], data: st.DataObject
) -> None:
    """Goal: a damaged stream yields nothing that was not sent, in order from the beginning.
    Method: flip one bit anywhere; a length that became larger makes the reader wait, which is as
    good, since the peer's silence ends the link."""
    damaged = bytearray(wire(payloads))
    bit = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    reader, found = FrameReader(), []
    with pytest.raises(BadFrame):  # noqa: PT012 - the wait is turned into an error
        at = turn = 0
        while at < len(damaged):
            step = steps[turn % len(steps)]
            for payload in reader.feed(bytes(damaged[at : at + step])):
                found.append(bytes(payload))  # noqa: PERF401 - what came before the error counts
            at, turn = at + step, turn + 1
        raise BadFrame("it waits")
    assert found == payloads[: len(found)]
    assert len(found) < len(payloads)


@given(st.binary(min_size=HEADER_BYTES, max_size=200))
def test_garbage_yields_nothing(garbage: bytes) -> None:
    """Goal: bytes that no member sent are no message. Method: random bytes, and zeros."""
    for data in (garbage, bytes(len(garbage))):
        try:
            assert list(FrameReader().feed(data)) == []
        except BadFrame:
            continue


def test_zeros_are_no_frame() -> None:
    """Goal: a run of zeros is damage, not a row of pings. Method: feed one header of zeros."""
    with pytest.raises(BadFrame):
        list(FrameReader().feed(bytes(HEADER_BYTES)))


def test_a_ping_is_an_empty_frame() -> None:
    """Goal: a ping is a frame like others. Method: between two payloads."""
    found = list(FrameReader().feed(wire([b"a"]) + PING + wire([b"b"])))
    assert found == [b"a", b"", b"b"]


def test_the_largest_frame_passes_and_a_larger_one_is_refused_at_its_header() -> None:
    """Goal: the limit, and that nobody waits for what is over it. Method: both sizes."""
    payload = bytes(PAYLOAD_BYTES_MAX)
    assert list(FrameReader().feed(header(payload) + payload)) == [payload]
    with pytest.raises(BadFrame, match="16777217 bytes"):
        list(FrameReader().feed(header(payload + b"x")))


def test_a_large_frame_in_small_pieces_costs_what_its_bytes_cost() -> None:
    """Goal: no quadratic work, and one frame kept at the most. Method: 16 MiB in pieces of 200
    bytes; copying what is there for each piece would move 700 GB."""
    payload = bytes(PAYLOAD_BYTES_MAX)
    data = header(payload) + payload
    reader, found = FrameReader(), 0
    begun = time.monotonic()
    for at in range(0, len(data), 200):
        found += sum(len(part) for part in reader.feed(data[at : at + 200]))
        assert len(reader._kept) <= len(data)
    assert found == len(payload)
    assert len(reader._kept) == 0
    assert time.monotonic() - begun < 10.0
