"""Answers as bytes: the status line, the headers, and how Go's net/http frames a body.

Laws:

* A body of at most 2,048 bytes has a Content-Length, a larger one is chunked, in one chunk;
  HTTP/1.0 gets it bare, ended by the end of the connection. HEAD gets the head alone.
* No Server header; Date comes after the handler's own headers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from api.exchange import Response

# Go's net/http buffers this much before it gives up on a Content-Length.
_BUFFERED_BYTES: Final = 2048

JSON: Final = b"Content-Type: application/json\r\n"
TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\n"
NO_SNIFF: Final = TEXT + b"X-Content-Type-Options: nosniff\r\n"

CHUNKS_END: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    # Go's names where Python's are newer or other.
    301: b"Moved Permanently",
    413: b"Request Entity Too Large",
}


@dataclass(frozen=True, slots=True)
class Wire:
    """How an answer has to be framed: what the request said about its connection."""

    http11: bool = True
    keep_alive: bool = True
    head_only: bool = False


class _HttpDate:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            text = time.strftime("%a, %d %b %Y %H:%M:%S", time.gmtime(second))
            self._line = b"Date: %b GMT\r\n" % text.encode()
        return self._line


_date: Final = _HttpDate()


def _status_line(status: int, *, http11: bool) -> bytes:
    version = b"HTTP/1.1" if http11 else b"HTTP/1.0"
    return b"%b %d %b\r\n" % (version, status, _REASONS[status])


def response(answer: Response, wire: Wire, first: bytes = b"") -> tuple[bytes, bool]:
    """Return the whole answer and whether the connection may stay open after it.

    `first` are header lines to begin with.
    """
    keep_alive = wire.keep_alive and not answer.close
    body = answer.body
    size = len(body)
    length = chunks = b""
    if answer.status == HTTPStatus.NO_CONTENT:
        body = b""
    elif size <= _BUFFERED_BYTES:
        # Go leaves the length out where a HEAD's handler wrote nothing.
        if size or not wire.head_only:
            length = b"Content-Length: %d\r\n" % size
        if not wire.http11 and keep_alive:
            length += b"Connection: keep-alive\r\n"
    elif wire.http11 and not wire.head_only:
        chunks = b"Transfer-Encoding: chunked\r\n"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    elif not wire.http11:
        keep_alive = False
    closing = b"Connection: close\r\n" if wire.http11 and not keep_alive else b""
    line = _status_line(answer.status, http11=wire.http11)
    framing = length + closing + chunks
    head = b"%b%b%b%b%b\r\n" % (line, first, answer.headers, _date.line(), framing)
    return (head if wire.head_only else head + body), keep_alive


def stream_head(headers: bytes, wire: Wire) -> bytes:
    """Return the head of an answer that goes on."""
    framing = b"Transfer-Encoding: chunked\r\n" if wire.http11 else b""
    if wire.http11 and not wire.keep_alive:
        framing = b"Connection: close\r\n" + framing
    line = _status_line(200, http11=wire.http11)
    return b"%b%b%b%b\r\n" % (line, headers, _date.line(), framing)


def stream_part(body: bytes, wire: Wire) -> bytes:
    """Return one event of an answer that goes on."""
    return b"%x\r\n%b\r\n" % (len(body), body) if wire.http11 else body
