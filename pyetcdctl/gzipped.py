"""A body that was packed on its way, as Go's net/http asks for and unpacks it.

Laws: pure. It is one gzip member or more, whole, and nothing else; what is not is refused in Go's
words (DEVIATES: without the place where it is broken). What it unpacks to has a limit.
"""

from __future__ import annotations

from typing import Final

from pyetcdctl.errors import BadAnswer, ConnectionEnded, EndpointFailed

ACCEPTED: Final = "gzip"
"""What a request says that it takes."""
_HEADER_BYTES: Final = 10
_MAGIC: Final = b"\x1f\x8b\x08"
_COMPLAINTS: Final = {
    "incorrect data check": "gzip: invalid checksum",
    "incorrect length check": "gzip: invalid checksum",
    "header crc mismatch": "gzip: invalid header",
}


def unpacked(body: bytes, encoding: str | None, bytes_max: int) -> bytes:
    """A body as it was before it was packed, if its Content-Encoding says that it was. Raises
    EndpointFailed, and BadAnswer if it is larger than that.
    """
    if not body or encoding is None or encoding.lower() != ACCEPTED:
        return body
    whole = bytearray()
    while body:
        if len(body) < _HEADER_BYTES:
            raise ConnectionEnded("unexpected EOF")
        if not body.startswith(_MAGIC):
            raise EndpointFailed("gzip: invalid header")
        piece, body = _member(body, bytes_max + 1 - len(whole))
        whole += piece
        if len(whole) > bytes_max:
            raise BadAnswer(f"client: the answer is larger than {bytes_max} bytes")
    return bytes(whole)


def _member(body: bytes, bytes_max: int) -> tuple[bytes, bytes]:
    """What the first member unpacks to, of that so much, and what is behind it."""
    import zlib

    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        piece = unpacking.decompress(body, bytes_max)
    except zlib.error as error:
        why = str(error).rpartition(": ")[2]
        raise EndpointFailed(_COMPLAINTS.get(why, "flate: corrupt input")) from None
    if not unpacking.eof and len(piece) < bytes_max:
        raise ConnectionEnded("unexpected EOF")
    return piece, unpacking.unused_data
