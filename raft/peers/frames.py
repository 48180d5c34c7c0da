"""Frames: how messages are told apart on a connection.

    u32 length | u32 CRC32C | payload

Laws:

* Sans-IO: bytes in, payloads out.
* The checksum is the payload's, and seeded, so that zeros are no frame. A frame without payload is
  a ping: it says that its sender lives.
* What is kept of an unfinished frame is what has arrived of it, never more than one frame; a frame
  that arrives in pieces costs what its bytes cost, however small the pieces.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from crc32c import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator

PAYLOAD_BYTES_MAX: Final = 16 << 20

_HEADER: Final = Struct("<II")
HEADER_BYTES: Final = _HEADER.size
_SEED: Final = crc32c(b"pyetcd-raft/1")


class BadFrame(ValueError):
    """Bytes that are no frame: what follows them on this connection cannot be trusted."""


def header(payload: bytes) -> bytes:
    """Return what goes before a payload of at most PAYLOAD_BYTES_MAX bytes."""
    return _HEADER.pack(len(payload), crc32c(payload, _SEED))


PING: Final = header(b"")


class FrameReader:
    """Finds the frames in what arrives."""

    __slots__ = ("_kept", "_wanted")

    def __init__(self) -> None:
        self._kept = bytearray()
        # The size the kept bytes must reach before it is worth looking at them again.
        self._wanted = HEADER_BYTES

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """Yield the payloads that are complete now; raise BadFrame when there is no next one.

        It must be exhausted before more is fed.
        """
        if self._kept:
            if len(self._kept) + len(data) < self._wanted:
                self._kept += data
                return
            data = b"".join((self._kept, data))
            self._kept = bytearray()
        view, at, end = memoryview(data), 0, len(data)
        wanted = HEADER_BYTES
        while end - at >= HEADER_BYTES:
            size, crc = _HEADER.unpack_from(data, at)
            if size > PAYLOAD_BYTES_MAX:
                raise BadFrame(f"a frame of {size} bytes")
            begin = at + HEADER_BYTES
            if begin + size > end:
                wanted = HEADER_BYTES + size
                break
            payload = view[begin : begin + size]
            if crc32c(payload, _SEED) != crc:
                raise BadFrame(f"the checksum of a frame of {size} bytes does not match")
            at = begin + size
            yield payload
        if at < end:
            self._kept += view[at:]
            self._wanted = wanted
