"""The front door of the client port: reads each request line before aiohttp does.

Go's HTTP server and aiohttp's parser (llhttp) agree on ordinary requests, not on odd ones: unknown
or lower-case methods, raw UTF-8 in a path, a full URL as target. This protocol puts such request
lines into a form aiohttp takes the way Go takes the original, and lets all else through untouched.

Laws:

* It is the transport's protocol for the whole life of a connection; aiohttp's handler sits behind
  it and believes it owns the transport. So the same place can later answer plain requests itself.
* It never answers while aiohttp owes one: what it refuses behind a pipelined request is handed on
  as a broken request, whose refusal aiohttp then sends in turn.
* Heads are bounded; bodies are counted, never kept.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import quote_from_bytes

from api import framing
from api.render import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

# Go's limit for a whole head (net/http.DefaultMaxHeaderBytes).
HEAD_BYTES_MAX: Final = 1 << 20

# What llhttp and Go read alike: these pass as they are.
_PLAIN_LINE: Final = re.compile(
    rb"(?:GET|PUT|POST|DELETE|HEAD|OPTIONS|PATCH|TRACE) /[!$-~]* HTTP/1\.[01]\r\n"
)
_LINE: Final = re.compile(rb"([^ \r\n]+) ([^ \r\n]+) HTTP/1\.([0-9])\r?\n")
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KNOWN_METHODS: Final = frozenset(
    (b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE")
)
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?]*")
_CONTROL: Final = re.compile(rb"[\x00-\x20\x7f]")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_TARGET_SAFE: Final = "".join(map(chr, range(0x21, 0x7F)))

# A method no route allows: it gets the answers an unknown method gets.
_NEVER_ALLOWED: Final = b"PATCH"
_BROKEN: Final = b"\x00\r\n\r\n"

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_HOST: Final = re.compile(rb"\nhost:[ \t]*([^\r\n]*)")
_HOST_NAME: Final = re.compile(rb"[a-z0-9!$%&'()*+,\-.:;=\[\]_~]*[ \t]*")

BAD_REQUEST: Final = b"400 Bad Request"
NO_HOST: Final = b"400 Bad Request: missing required Host header"
BAD_HOST: Final = b"400 Bad Request: malformed Host header"
HEAD_TOO_LARGE: Final = b"431 Request Header Fields Too Large"


class Refusal(Exception):
    """The head cannot be served; the status line, without the version, to say so with."""

    def __init__(self, status: bytes) -> None:
        super().__init__(status)
        self.status = status


class Inner(Protocol):
    """What the front door needs of the protocol behind it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def connection_lost(self, exc: BaseException | None) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


def refusal(status: bytes = BAD_REQUEST) -> bytes:
    """What Go's server says to a request it cannot read, before it closes the connection."""
    return b"HTTP/1.1 %b\r\n%bConnection: close\r\n\r\n%b" % (status, TEXT, status)


def normalise(line: bytes) -> bytes:
    """Return a request line that aiohttp reads as Go reads `line`; raises Refusal."""
    match = _LINE.fullmatch(line)
    if match is None or _METHOD.fullmatch(match[1]) is None:
        raise Refusal(BAD_REQUEST)
    method, target, minor = match.groups()
    if method == b"OPTIONS" and target == b"*":
        target = b"/"
    elif method == b"CONNECT" and not target.startswith(b"/"):
        target = b"/" + target  # an authority names no route
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        target = target[absolute.end() :]
        if not target.startswith(b"/"):
            target = b"//" + target  # no path: the redirect to the clean one says "/"
    if not target.startswith(b"/") or _CONTROL.search(target):
        raise Refusal(BAD_REQUEST)
    path, mark, query = target.partition(b"?")
    if _BAD_ESCAPE.search(path):
        raise Refusal(BAD_REQUEST)
    path = quote_from_bytes(path, safe=_TARGET_SAFE).replace("#", "%23").encode()
    query = quote_from_bytes(query, safe=_TARGET_SAFE).encode()
    known = method if method in _KNOWN_METHODS else _NEVER_ALLOWED
    version = b"1.0" if minor == b"0" else b"1.1"
    return b"%b %b%b%b HTTP/%b\r\n" % (known, path, mark, query, version)


def _check_host(lowered: bytes) -> None:
    """Go wants one well-formed Host, and with HTTP/1.1 wants it to be there."""
    hosts = _HOST.findall(lowered)
    if len(hosts) == 1:
        if _HOST_NAME.fullmatch(hosts[0]) is None:
            raise Refusal(BAD_HOST)
    elif hosts:
        raise Refusal(BAD_REQUEST)
    elif b" http/1.1\r\n" in lowered:
        raise Refusal(NO_HOST)


def _nobody_reads() -> None:
    """The handler has not begun yet, or has ended."""


class FrontDoor(asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "_body_left",
        "_buffer",
        "_chunks",
        "_drained",
        "_inner",
        "_make_inner",
        "_transport",
        "body_broken",
        "break_body",
        "owed",
        "refused",
    )

    def __init__(self, make_inner: Callable[[], Inner]) -> None:
        self._make_inner = make_inner
        self._inner: Inner | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._body_left = 0
        self._chunks: framing.Chunks | None = None
        # Nothing more is read; the connection ends after the answers that are owed.
        self.refused = False
        self._drained: asyncio.Future[None] | None = None
        # Requests handed on and not yet answered.
        self.owed = 0
        # The body of the last request handed on has proved to be none; whoever handles that
        # request is told by `break_body`, or sees the flag when it begins.
        self.body_broken = False
        self.break_body: Callable[[], None] = _nobody_reads

    # -- from the transport -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._inner is not None:
            self._inner.connection_lost(exc)
        self._inner = self._transport = None

    def eof_received(self) -> bool | None:
        return None

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self._inner is not None:
            self._inner.resume_writing()

    def data_received(self, data: bytes) -> None:
        while data and not self.refused:
            try:
                data = self._body(data) if self._in_body() else self._head(data)
            except framing.BadFraming:
                self._refuse(BAD_REQUEST)
            except Refusal as refused:
                self._refuse(refused.status)

    # -- requests ---------------------------------------------------------------------------

    def _in_body(self) -> bool:
        return self._body_left > 0 or self._chunks is not None

    def _body(self, data: bytes) -> bytes:
        """Hand on what belongs to the body; return the rest."""
        if self._chunks is not None:
            taken = self._chunks.feed(data)
            if self._chunks.finished:
                self._chunks = None
        else:
            taken = min(self._body_left, len(data))
            self._body_left -= taken
        self._hand_on(data if taken == len(data) else data[:taken])
        return data[taken:]

    def _head(self, data: bytes) -> bytes:
        """Hand on a head once it is complete; return what comes after it."""
        if self._buffer:
            searched = max(0, len(self._buffer) - 3)
            self._buffer += data
            data = b""
            end = framing.head_end(self._buffer, searched)
            if end >= 0:
                data = bytes(self._buffer)
                self._buffer = bytearray()
        else:
            end = framing.head_end(data)
            if end < 0:
                self._buffer += data
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise Refusal(HEAD_TOO_LARGE)
            self._refuse_early()
            return b""
        if end > HEAD_BYTES_MAX:
            raise Refusal(HEAD_TOO_LARGE)
        head, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        if _PLAIN_LINE.match(head) is None or b"%" in head:
            line, newline, headers = head.partition(b"\n")
            head = normalise(line + newline) + _BARE_LF.sub(b"\r\n", headers)
        lowered = head.lower()
        _check_host(lowered)
        length = framing.body_length(lowered)
        if length == framing.CHUNKED:
            self._chunks = framing.Chunks()
        else:
            self._body_left = length
        self.owed += 1
        self._hand_on(head)
        return rest

    def _refuse_early(self) -> None:
        """Refuse what can never become a request line, without waiting for the rest of a head."""
        newline = self._buffer.find(b"\n")
        if newline >= 0 and _LINE.match(self._buffer) is None:
            raise Refusal(BAD_REQUEST)

    def _refuse(self, status: bytes) -> None:
        """Take nothing more from this client, and say so as soon as no answer is owed."""
        self.refused = True
        self._buffer = bytearray()
        if self._in_body():
            self.body_broken = True
            if self.owed <= 1:
                self.break_body()
        elif self.owed:
            self.owed += 1
            self._hand_on(_BROKEN)
        elif self._transport is not None:
            self._transport.write(refusal(status))
            self._transport.close()

    def _hand_on(self, data: bytes) -> None:
        if self._inner is None and self._transport is not None:
            self._inner = self._make_inner()
            self._inner.connection_made(self._transport)
        if self._inner is not None:
            self._inner.data_received(data)

    # -- for the handlers -------------------------------------------------------------------

    @property
    def is_last(self) -> bool:
        """Whether the connection ends here: nothing is owed any more and nothing more is read."""
        return self.refused and self.owed <= 0

    async def write(self, data: bytes) -> None:
        """Write, then wait until the client has taken enough of it."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def abort(self) -> None:
        """Cut the connection: what was sent must not look complete."""
        if self._transport is not None:
            self._transport.abort()
