"""The front door of a port: every connection's protocol, in front of aiohttp's.

It splits what arrives into requests. Each head is put into words that aiohttp reads as Go would
read the original (`request_head`); then the request goes to the express lane if it is a plain one
(`express`), else to aiohttp, which gets its bytes. Laws:

* It stays the transport's protocol for the whole life of a connection; aiohttp's handler behind it
  believes it owns the transport.
* One lane at a time: while aiohttp owes an answer everything goes to aiohttp, in order; while the
  express lane owes one, what arrives is kept.
* It never refuses a request in the middle of another's answer: behind a pipelined request the
  refusal is left to aiohttp, which is handed a broken request to refuse in turn.
* Everything kept is bounded: heads, the express lane's bodies, and what waits behind an answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, cast

from api import express, framing, request_head
from api.render import Wire, response
from api.request_head import BAD_REQUEST, HEAD_TOO_LARGE, Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.exchange import Response

# Go's limit for a whole head (net/http.DefaultMaxHeaderBytes).
HEAD_BYTES_MAX: Final = 1 << 20

# What may arrive behind an unanswered request before the client is made to wait.
_KEPT_BYTES_MAX: Final = 256 * 1024

# Go's words for a body that is none.
_BAD_CHUNK: Final = "invalid byte in chunk length"
_CUT_SHORT: Final = "unexpected EOF"

# Every HTTP parser refuses this.
_BROKEN: Final = b"\x00\r\n\r\n"
_EXPRESS_WIRE: Final = Wire()


class Inner(Protocol):
    """What the front door needs of the protocol behind it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def connection_lost(self, exc: BaseException | None) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    @property
    def has_failed(self) -> bool: ...


class Lanes(Protocol):
    """Where requests go."""

    express: express.Asks | None
    # Header lines that begin every answer of the express lane.
    express_headers: bytes

    def entered(self, door: FrontDoor) -> None:
        """Take note of a connection; where there are too many, one is aborted."""

    def left(self, door: FrontDoor) -> None:
        """Strike it off."""

    def make_inner(self) -> Inner: ...


def _nobody_reads() -> None:
    """The handler has not begun yet, or has ended."""


class FrontDoor(asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "_asking",
        "_body_left",
        "_buffer",
        "_chunks",
        "_drained",
        "_gone",
        "_in_ask",
        "_inner",
        "_lanes",
        "_paused",
        "_ticket",
        "_transport",
        "body_problem",
        "break_body",
        "owed",
        "refused",
        "said_all",
        "streaming",
    )

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._inner: Inner | None = None
        self._transport: asyncio.Transport | None = None
        # The beginning of a head, of an express body, or what waits behind an answer.
        self._buffer = bytearray()

        # aiohttp's request whose body is passing through.
        self._body_left = 0
        self._chunks: framing.Chunks | None = None
        # Requests handed to aiohttp and not yet answered.
        self.owed = 0
        # Why the body of the last of these will never be complete; whoever handles it is told
        # by `break_body`, or sees it when it begins.
        self.body_problem = ""
        self.break_body: Callable[[], None] = _nobody_reads

        # The express lane's request: while its body arrives, and while its answer is awaited.
        self._ticket: tuple[express.Ticket, bytes, int] | None = None
        self._asking = False
        self._in_ask = False

        # The client has closed its side; what it said before is still served.
        self.said_all = False
        # A poll or stream is being sent.
        self.streaming = False
        # Nothing more is read; the connection ends after the answers that are owed.
        self.refused = False
        self._paused = False
        self._gone: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    # -- from the transport -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._lanes.entered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lanes.left(self)
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._inner is not None:
            self._inner.connection_lost(exc)
        self._inner = self._transport = None
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def eof_received(self) -> bool:
        """Tell whether to keep the connection: a client that has said all may still listen.

        A poll's client that says no more is taken for one that is gone: most often it is, and its
        watcher would stay.
        """
        self.said_all = True
        if self._in_body() and not self.body_problem:
            self._break_body(_CUT_SHORT)
        return (self._must_wait() or self.owed > 0) and not self.streaming

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
        self._go_on()

    def data_received(self, data: bytes) -> None:
        while data and not self.refused:
            try:
                if self._must_wait():
                    data = self._keep(data)
                elif self._ticket is not None:
                    data = self._ticket_body(self._ticket, data)
                elif self._in_body():
                    data = self._body(data)
                else:
                    data = self._head(data)
            except framing.BadFraming:
                self._refuse(BAD_REQUEST)
            except Refusal as refused:
                self._refuse(refused.status)

    # -- heads ------------------------------------------------------------------------------

    def _head(self, data: bytes) -> bytes:
        """Take a head once it is complete; return what comes after it."""
        if self._buffer:
            searched = max(0, len(self._buffer) - 3)
            self._buffer += data
            end = framing.head_end(self._buffer, searched)
            data = bytes(self._buffer) if end >= 0 else b""
        else:
            end = framing.head_end(data)
            if end < 0:
                self._buffer += data
        if max(end, len(self._buffer) if end < 0 else 0) > HEAD_BYTES_MAX:
            raise Refusal(HEAD_TOO_LARGE)
        if end < 0:
            if not request_head.can_begin(self._buffer):
                raise Refusal(BAD_REQUEST)
            return b""
        self._buffer = bytearray()
        head, lowered = request_head.read(data if end == len(data) else data[:end])
        length = framing.body_length(lowered)
        if self._lanes.express is not None and not self.owed and length <= express.BODY_BYTES_MAX:
            ticket = express.admit(head, lowered) if length != framing.CHUNKED else None
            if ticket is not None:
                self._ticket = (ticket, head, length)
                return self._ticket_body(self._ticket, data[end:])
        self._hand_head_on(head, length)
        return data[end:]

    def _refuse(self, status: bytes) -> None:
        """Take nothing more from this client, and say so as soon as no answer is owed."""
        self.refused = True
        self._buffer = bytearray()
        if self._in_body():
            self._break_body(_BAD_CHUNK)
        elif self.owed:
            self.owed += 1
            self._hand_on(_BROKEN)
        elif self._transport is not None:
            self._transport.write(refusal(status))
            self._transport.close()

    def _break_body(self, problem: str) -> None:
        self.body_problem = problem
        if self.owed <= 1:
            self.break_body()

    # -- the express lane -------------------------------------------------------------------

    def _ticket_body(self, waiting: tuple[express.Ticket, bytes, int], data: bytes) -> bytes:
        """Take the body of an admitted request once it is complete; return what comes after it."""
        ticket, head, length = waiting
        if self._buffer:
            data = bytes(self._buffer) + data
        if len(data) < length:
            self._buffer = bytearray(data)
            return b""
        self._buffer = bytearray()
        self._ticket = None
        self._asking = True
        body = data if length == len(data) else data[:length]
        assert self._lanes.express is not None
        self._in_ask = True
        served = self._lanes.express.ask(ticket, body, self._answer)
        self._in_ask = False
        if not served:
            self._asking = False
            self._hand_head_on(head, length)
            if body:
                self._body(body)
        return data[length:]

    def _answer(self, answer: Response) -> None:
        """Send the answer of the express lane, and go on with what came meanwhile."""
        self._asking = False
        if self._transport is not None:
            data, _keep = response(answer, _EXPRESS_WIRE, self._lanes.express_headers)
            self._transport.write(data)
            if not self._in_ask:
                self._go_on()

    def _must_wait(self) -> bool:
        """Whether the next request has to wait: for an answer, or for the client to read one."""
        return self._asking or (self._drained is not None and not self.owed)

    def _keep(self, data: bytes) -> bytes:
        self._buffer += data
        if len(self._buffer) > _KEPT_BYTES_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        return b""

    def _go_on(self) -> None:
        """Take up what was kept."""
        if self._transport is None or self._must_wait() or self._ticket is not None:
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._buffer:
            kept = bytes(self._buffer)
            self._buffer = bytearray()
            self.data_received(kept)
        if self.is_last and not self._must_wait() and self._transport is not None:
            self._transport.close()

    # -- aiohttp ----------------------------------------------------------------------------

    def _hand_head_on(self, head: bytes, length: int) -> None:
        if length == framing.CHUNKED:
            self._chunks = framing.Chunks()
        else:
            self._body_left = length
        self.owed += 1
        self._hand_on(head)

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
        if self._inner is not None and self._inner.has_failed:
            # aiohttp's parser is stricter than the scanner here, and tells no reader of it.
            self.refused = True
            self._break_body(_BAD_CHUNK)
        return data[taken:]

    def _hand_on(self, data: bytes) -> None:
        if self._inner is None and self._transport is not None:
            self._inner = self._lanes.make_inner()
            self._inner.connection_made(self._transport)
        if self._inner is not None:
            self._inner.data_received(data)

    # -- for the handlers -------------------------------------------------------------------

    @property
    def is_last(self) -> bool:
        """Whether the connection ends here: nothing is owed any more and nothing more is read."""
        return (self.refused or self.said_all) and self.owed <= 0

    async def write(self, data: bytes) -> None:
        """Write, then wait until the client has taken enough of it."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def gone(self) -> asyncio.Future[None]:
        """Return a future that is done when the connection is no more."""
        self._gone = asyncio.get_running_loop().create_future()
        return self._gone

    def close(self) -> None:
        """End the connection; what was written still goes out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection: what was sent must not look complete."""
        if self._transport is not None:
            self._transport.abort()
