"""A body that was packed on its way, as Go's net/http asks for and unpacks it.

Laws: pure. It is one gzip member or more, whole, and nothing else; what is not is refused in Go's
words (DEVIATES: without the place where it is broken). It is unpacked piece by piece as it comes,
so that whoever reads it can stop, and the work on a piece has a bound; what it unpacks to has one
too.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from pyetcdctl.errors import BadAnswer, ConnectionEnded, EndpointFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCEPTED: Final = "gzip"
"""What a request says that it takes."""
_HEADER_BYTES: Final = 10
_MAGIC: Final = b"\x1f\x8b\x08"
_STEP_BYTES: Final = 1 << 14
"""What is behind a member is copied once for each: so much of it is looked at at once."""
_COMPLAINTS: Final = {
    "incorrect data check": "gzip: invalid checksum",
    "incorrect length check": "gzip: invalid checksum",
    "header crc mismatch": "gzip: invalid header",
}


class Body:
    """An answer's body while it comes, as it was before it was packed."""

    def __init__(self, encoding: str | None, bytes_max: int) -> None:
        """`encoding`: its Content-Encoding. `bytes_max`: BadAnswer if it is larger."""
        is_packed = encoding is not None and encoding.lower() == ACCEPTED
        self._members = _Members() if is_packed else None
        self._whole = bytearray()
        self._bytes_max = bytes_max

    def take(self, piece: bytes) -> None:
        """Take what came; raises EndpointFailed, and BadAnswer."""
        if self._members is None:
            self._add(piece)
            return
        for start in range(0, len(piece), _STEP_BYTES):
            for unpacked in self._members.unpacked(piece[start : start + _STEP_BYTES]):
                self._add(unpacked)

    def end(self) -> bytes:
        """All of it; raises ConnectionEnded if it is not whole."""
        if self._members is not None:
            self._members.end()
        return bytes(self._whole)

    def _add(self, piece: bytes) -> None:
        self._whole += piece
        if len(self._whole) > self._bytes_max:
            raise BadAnswer(f"client: the answer is larger than {self._bytes_max} bytes")


class _Members:
    """Gzip members, one behind the other."""

    def __init__(self) -> None:
        self._packed = b""
        """What has come of a member's header."""
        self._unpacking: zlib._Decompress | None = None

    def unpacked(self, packed: bytes) -> Iterator[bytes]:
        """What a piece unpacks to, in pieces."""
        packed = self._packed + packed
        while packed:
            if self._unpacking is None and len(packed) < _HEADER_BYTES:
                break
            self._unpacking = self._unpacking or _begun(packed)
            try:
                yield self._unpacking.decompress(packed, _STEP_BYTES)
            except zlib.error as error:
                why = str(error).rpartition(": ")[2]
                raise EndpointFailed(_COMPLAINTS.get(why, "flate: corrupt input")) from None
            packed = self._unpacking.unconsumed_tail
            if self._unpacking.eof:
                packed, self._unpacking = self._unpacking.unused_data, None
        self._packed = packed

    def end(self) -> None:
        """Raises ConnectionEnded if there should be more."""
        if self._packed or self._unpacking is not None:
            raise ConnectionEnded("unexpected EOF")


def _begun(packed: bytes) -> zlib._Decompress:
    """A member that begins there; raises EndpointFailed if none does."""
    if not packed.startswith(_MAGIC):
        raise EndpointFailed("gzip: invalid header")
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
