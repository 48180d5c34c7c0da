"""Packed bodies, piece by piece; beside etcdctl in tests/etcdctl/test_odd_answers.py."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyetcdctl.errors import BadAnswer, ConnectionEnded
from pyetcdctl.gzipped import Body

MIB = 1 << 20


def unpacked(packed: bytes, piece_bytes: int = 65536) -> bytes:
    """What a body was that comes in pieces of that size."""
    body = Body("GZip", MIB)
    for start in range(0, len(packed), piece_bytes):
        body.take(packed[start : start + piece_bytes])
    return body.end()


@given(st.lists(st.binary(max_size=50), max_size=4), st.integers(1, 40), st.integers(0, 200))
def test_members_in_pieces(parts: list[bytes], piece_bytes: int, cut_bytes: int) -> None:
    """Goal: what was packed, wherever it is cut into pieces; what is not whole is not taken for
    whole. Method: any members, cut anywhere, and without their end.
    """
    members = [gzip.compress(part) for part in parts]
    packed, whole = b"".join(members), b"".join(parts)
    assert unpacked(packed, piece_bytes) == whole
    cut = packed[: max(0, len(packed) - cut_bytes)]
    ends = [b"".join(members[:count]) for count in range(len(members) + 1)]
    if cut in ends:
        assert whole.startswith(unpacked(cut, piece_bytes))
    else:
        with pytest.raises(ConnectionEnded, match="unexpected EOF"):
            unpacked(cut, piece_bytes)


def test_it_is_refused_while_it_comes() -> None:
    """Goal: nobody holds more than the limit, or waits for the rest. Method: 64 MiB of zeros, of
    which a twentieth comes.
    """
    packed = gzip.compress(bytes(64 * MIB), 9)
    body = Body("gzip", MIB)
    with pytest.raises(BadAnswer, match="larger than 1048576 bytes"):
        body.take(packed[: len(packed) // 20])


def test_work_on_a_piece_has_a_bound() -> None:
    """Goal: each of many members costs what it is long, not what is behind it: an asyncio loop
    stands meanwhile. Method: count what zlib is given by a piece of a megabyte of empty members.
    """
    packed = gzip.compress(b"", mtime=0) * (MIB // 20) + gzip.compress(b"end")
    given_bytes = 0

    class Counting(Body):
        def _add(self, piece: bytes) -> None:
            nonlocal given_bytes
            members = self._members
            assert members is not None
            unpacking = members._unpacking
            given_bytes += len(unpacking.unused_data) if unpacking is not None else 0
            super()._add(piece)

    body = Counting("gzip", MIB)
    body.take(packed)
    assert body.end() == b"end"
    assert given_bytes < 1000 * len(packed)
