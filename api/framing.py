"""Where one HTTP/1 request ends and the next begins.

The front door has to see every request line, so it must know where requests end; everything else
about a request is aiohttp's business. Laws:

* Sans-IO: bytes in, positions out.
* Strict where two readers could disagree (request smuggling): a length that is not plainly one
  number, a length beside chunks, a folded or broken framing header are all refused.
"""

from __future__ import annotations

import re
from typing import Final

CHUNKED: Final = -1
# A chunk-size line is a few hex digits; extensions are allowed up to this.
_CHUNK_LINE_BYTES_MAX: Final = 4096
_TRAILER_BYTES_MAX: Final = 64 * 1024
_LENGTH_MAX: Final = (1 << 63) - 1

_FRAMING: Final = re.compile(rb"\n(content-length|transfer-encoding)(?=[ \t:\r\n])([^\n]*)")
_LENGTH: Final = re.compile(rb":[ \t]*([0-9]{1,40})[ \t]*\r?")
_CODING: Final = re.compile(rb":[ \t]*chunked[ \t]*\r?")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")


class BadFraming(Exception):
    """Nobody can say for sure where this request ends."""


def head_end(data: bytes | bytearray, start: int = 0) -> int:
    """Return the position behind the blank line that ends a head, or -1."""
    crlf = data.find(b"\n\r\n", start)
    # A bare LF ends a line for Go, so heads may end in two of them.
    bare = data.find(b"\n\n", start, crlf + 3 if crlf >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return crlf + 3 if crlf >= 0 else -1


def body_length(lowered: bytes) -> int:
    """Return the length of the body that follows a head (in lower case), CHUNKED, or BadFraming."""
    if b"\ncontent-length" not in lowered and b"\ntransfer-encoding" not in lowered:
        return 0
    length: int | None = None
    for name, value in _FRAMING.findall(lowered):
        if length is not None:
            raise BadFraming("more than one header says how long the body is")
        if name == b"content-length":
            match = _LENGTH.fullmatch(value)
            if match is None:
                raise BadFraming("the Content-Length is not a number")
            length = int(match[1])
            if length > _LENGTH_MAX:
                raise BadFraming("the Content-Length is too large")
        else:
            if _CODING.fullmatch(value) is None:
                raise BadFraming("the Transfer-Encoding is not chunked")
            length = CHUNKED
    if length == CHUNKED and b" http/1.0\r\n" in lowered:
        raise BadFraming("HTTP/1.0 knows no chunks")
    return 0 if length is None else length


class Chunks:
    """Finds the end of a chunked body that arrives piece by piece."""

    __slots__ = ("_data_left", "_line", "_trailer_bytes", "_trailers", "finished")

    def __init__(self) -> None:
        self._line = b""
        self._data_left = 0
        self._trailers = False
        self._trailer_bytes = 0
        self.finished = False

    def feed(self, data: bytes) -> int:
        """Consume a piece; return how many of its bytes belong to this body."""
        position = 0
        while position < len(data) and not self.finished:
            if self._data_left:
                taken = min(self._data_left, len(data) - position)
                self._data_left -= taken
                position += taken
                continue
            end = data.find(b"\n", position)
            piece = data[position:] if end < 0 else data[position : end + 1]
            position += len(piece)
            self._line += piece
            if len(self._line) > _CHUNK_LINE_BYTES_MAX:
                raise BadFraming("a line between chunks is too long")
            if end >= 0:
                line, self._line = self._line, b""
                self._end_line(line)
        return position

    def _end_line(self, line: bytes) -> None:
        if self._trailers:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > _TRAILER_BYTES_MAX:
                raise BadFraming("the trailer is too long")
            self.finished = line in (b"\r\n", b"\n")
            return
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise BadFraming("a chunk's size is not a number")
        size = int(match[1], 16)
        if size > _LENGTH_MAX:
            raise BadFraming("a chunk is too large")
        if size:
            # The data's own line end is part of what is skipped.
            self._data_left = size + 2
        else:
            self._trailers = True
