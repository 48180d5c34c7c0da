"""The HTTP server of a port: routes, and aiohttp behind the front door.

Laws:

* Routing is Go's ServeMux: an unclean path is redirected, then the exact path or a "/"-ended prefix
  decides; on the client port OPTIONS is answered before (contract/keys.md section 1).
* Nothing a client sends leads to a 5xx or a traceback; what still does is a bug, logged as one.
* A client that goes away cancels its handler, which frees its watcher.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.client_exceptions import ClientError
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from api import render, target
from api.answers import NOT_FOUND
from api.exchange import Answer, BadBody, Handler, Request, Response, Stream
from api.front_door import HEAD_BYTES_MAX, FrontDoor
from api.render import Wire
from api.request_head import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from aiohttp.abc import AbstractStreamWriter

    from api.express import Asks

# The client port has no idle time-out, as etcd's has none: polls may wait for years.
_NO_TIMEOUT_S: Final = 10 * 365 * 86400.0

_CORS_HEADERS: Final = (
    b"Access-Control-Allow-Headers: accept, content-type, authorization\r\n"
    b"Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n"
    b"Access-Control-Allow-Origin: %b\r\n"
)
_CORS_ANY: Final = _CORS_HEADERS % b"*"

# How long a client may go on sending what nobody reads, before its connection is cut.
_LINGER_S: Final = 2.0

# What is left of a body nobody read is taken off the connection up to this (as Go does).
_UNREAD_BYTES_MAX: Final = 256 << 10

# etcd's words, to the letter.
_MISDIRECTED: Final = b"""
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist "%b"

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).

"""

_logger = logging.getLogger("api")


class App:
    """Serves one set of routes; `protocol` is the factory a listener needs."""

    def __init__(
        self,
        routes: Mapping[bytes, Handler],
        *,
        cors: frozenset[str] = frozenset(),
        host_whitelist: frozenset[str] = frozenset("*"),
        answers_options: bool = False,
        express: Asks | None = None,
        connections_max: int | None = None,
        first_gives_way: bool = False,
    ) -> None:
        """A route that ends in "/" serves everything below it.

        `answers_options`: OPTIONS is answered for every path, and never seen by a handler.
        `express` is the handler of the express lane, if there shall be one. Of more connections
        than `connections_max` the newest is closed, or, where answers are short, the one that came
        first: those who only sit there keep nobody out.
        """
        self._routes = {path: handler for path, handler in routes.items() if path[-1:] != b"/"}
        self._prefixes = [(p, handler) for p, handler in routes.items() if p[-1:] == b"/"]
        self._cors = cors
        self._host_whitelist = host_whitelist
        self._answers_options = answers_options
        self._server = _Server(self._handle)
        # The express lane serves everyone alike, so it is closed where that would be wrong.
        open_to_all = cors <= {"*"} and "*" in host_whitelist
        self.express = express if open_to_all else None
        self.express_headers = _CORS_ANY if cors else b""
        # In the order in which they came.
        self._doors: dict[FrontDoor, None] = {}
        self._connections_max = connections_max
        self._first_gives_way = first_gives_way

    def protocol(self) -> FrontDoor:
        return FrontDoor(self)

    def entered(self, door: FrontDoor) -> None:
        self._doors[door] = None
        most = self._connections_max
        if most is not None and len(self._doors) > most:
            gone = next(iter(self._doors)) if self._first_gives_way else door
            self.left(gone)
            gone.abort()

    def left(self, door: FrontDoor) -> None:
        self._doors.pop(door, None)

    def make_inner(self) -> _Handler:
        return self._server()

    async def stop(self, grace_s: float) -> None:
        """Let answers under way finish for a moment, then close every connection."""
        self._server.pre_shutdown()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + grace_s
        await self._server.shutdown(grace_s)
        for door in list(self._doors):
            door.close()
        gone = [door.gone() for door in self._doors]
        if gone:
            await asyncio.wait(gone, timeout=max(0.0, until_s - loop.time()))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        message = request._message
        wire = Wire(
            http11=request.version >= (1, 1),
            keep_alive=not message.should_close,
            head_only=request.method == "HEAD",
        )
        front: FrontDoor = request.transport.get_protocol()  # type: ignore[union-attr, assignment]
        cors = self._cors_headers(request)
        body = _Body(request, front)
        try:
            answer = await self._answer(request, message.path.encode("latin-1"), body)
        except ConnectionError:
            raise
        except Exception:
            _logger.exception("a bug: %s %s failed", request.method, message.path)
            answer = Response(500, render.TEXT, b"500 Internal Server Error", close=True)
        if isinstance(answer, Stream):
            return _Sent(_stream(front, answer, cors, wire))
        if body.ends_connection:
            wire = replace(wire, keep_alive=False)
        data, keep_alive = render.response(answer, wire, cors)
        return _Sent(_whole(front, data, keep_alive=keep_alive))

    async def _answer(self, request: web.BaseRequest, raw: bytes, body: _Body) -> Answer:
        headers = request.headers
        if headers.get("Expect", "100-continue").lower() != "100-continue":
            return Response(417, close=True)
        if "*" not in self._host_whitelist:
            host = _host_name(headers.get("Host", ""))
            if host not in self._host_whitelist:
                return _misdirected(host)
        if request.method == "OPTIONS" and self._answers_options:
            return Response(200)
        path, query = target.split(raw)
        cleaned = target.clean(path)
        if cleaned != path:
            return _moved(request.method, cleaned, query)
        handler = self._routes.get(path) or next(
            (handler for prefix, handler in self._prefixes if path.startswith(prefix)), None
        )
        if handler is None:
            return NOT_FOUND
        return await handler(Request(request.method, path, query, headers.get, body))

    def _cors_headers(self, request: web.BaseRequest) -> bytes:
        if "*" in self._cors:
            return _CORS_ANY
        origin = request.headers.get("Origin", "")
        if origin and origin in self._cors:
            return _CORS_HEADERS % origin.encode("latin-1")
        return b""


def _host_name(header: str) -> str:
    """The Host header without its port."""
    name, colon, _port = header.rpartition(":")
    return name.strip("[]") if colon and not header.endswith("]") else header.strip("[]")


def _misdirected(host: str) -> Response:
    return Response(421, render.NO_SNIFF, _MISDIRECTED % host.encode(errors="replace"))


def _moved(method: str, path: bytes, query: bytes) -> Response:
    url = target.location(path, query)
    header = b"Location: %b\r\n" % target.location_header(url)
    if method not in ("GET", "HEAD"):
        return Response(301, header)
    body = target.moved_body(url) if method == "GET" else b""
    return Response(301, b"Content-Type: text/html; charset=utf-8\r\n" + header, body)


async def _whole(front: FrontDoor, data: bytes, *, keep_alive: bool) -> bool:
    front.owed -= 1
    if not keep_alive:
        front.refused = True  # what else the client sends is not looked at, let alone acted upon
    await front.write(data)
    return keep_alive and not front.is_last


async def _stream(front: FrontDoor, stream: Stream, cors: bytes, wire: Wire) -> bool:
    """Send a long poll or stream; tell whether the connection may stay open."""
    front.streaming = True
    stream.feed.on_overflow = front.abort
    try:
        await front.write(render.stream_head(cors + stream.headers, wire))
        complete = await _events(front, stream, wire)
    finally:
        stream.feed.close()
        front.streaming = False
        front.owed -= 1
    return complete and wire.http11 and wire.keep_alive and not front.is_last


async def _events(front: FrontDoor, stream: Stream, wire: Wire) -> bool:
    """Send events as they come; tell whether the answer was ended as it should be."""
    end = render.CHUNKS_END if wire.http11 else b""
    if front.said_all and not stream.feed.has_events:
        return False  # the client has said all it will: nobody is there to wait for
    while (body := await stream.feed.next()) is not None:
        if stream.once:
            await front.write(render.stream_part(body, wire) + end)
            return True
        await front.write(render.stream_part(body, wire))
    await front.write(end)
    return False


class _Sent(web.StreamResponse):
    """Carries bytes of our own rendering through aiohttp's machinery, which then goes on."""

    def __init__(self, sending: Coroutine[Any, Any, bool]) -> None:
        super().__init__()
        self._sending = sending
        self._stays_open = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._stays_open = await self._sending
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Everything is written already."""

    @property
    def keep_alive(self) -> bool | None:
        return self._stays_open


class _Body:
    """The body of an aiohttp request, read as Go's handlers read one."""

    def __init__(self, request: web.BaseRequest, front: FrontDoor) -> None:
        self._request = request
        self._front = front
        self._reading = False
        self._read = False
        expects = request.headers.get("Expect", "").lower() == "100-continue"
        has_body = bool(request.content_length) or request._message.chunked
        self._awaited = expects and has_body and request.version >= (1, 1)
        front.break_body = self._break
        if self._is_broken():
            self._break()

    @property
    def ends_connection(self) -> bool:
        """Whether the client may be sending, or not sending, more than it is worth waiting for.

        Go closes the connection after the answer if the handler left such a body unread.
        """
        if self._read:
            return False
        return self._awaited or (self._request.content_length or 0) > _UNREAD_BYTES_MAX

    def _is_broken(self) -> bool:
        return bool(self._front.body_problem) and self._front.owed <= 1

    def _break(self) -> None:
        content = self._request.content
        if self._reading:
            content.set_exception(BadBody(self._front.body_problem))
        else:
            content.feed_eof()

    async def read(self, limit_bytes: int) -> bytes | None:
        content = self._request.content
        self._read = True
        if self._awaited:
            await self._front.write(render.CONTINUE)
        parts: list[bytes] = []
        size = 0
        if self._is_broken():
            raise BadBody(self._front.body_problem)
        self._reading = True
        try:
            while part := await content.readany():
                size += len(part)
                if size > limit_bytes:
                    return None
                parts.append(part)
        except (web.RequestPayloadError, ClientError, HttpProcessingError) as error:
            content.feed_eof()
            raise BadBody("unexpected EOF") from error
        except BadBody:
            # aiohttp would otherwise look for the rest of the body once more.
            content.feed_eof()
            raise
        finally:
            self._reading = False
        return b"".join(parts)


class _Handler(RequestHandler):
    """aiohttp's protocol, saying what Go says when it cannot read a request."""

    __slots__ = ()

    @property
    def has_failed(self) -> bool:
        """Whether what came last cannot be read; whoever waits for a body is not told otherwise."""
        return bool(self._messages) and not isinstance(self._messages[-1][0], RawRequestMessage)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        front: FrontDoor = request.transport.get_protocol()  # type: ignore[union-attr, assignment]
        return _Sent(_whole(front, refusal(), keep_alive=False))


class _Server(web.Server):
    """aiohttp's server, making our handlers."""

    def __init__(self, handler: Callable[[web.BaseRequest], Any]) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_NO_TIMEOUT_S,
            lingering_time=_LINGER_S,
            max_line_size=HEAD_BYTES_MAX,
            max_field_size=HEAD_BYTES_MAX,
            max_headers=HEAD_BYTES_MAX,
            loop=asyncio.get_running_loop(),
        )

    def __call__(self) -> _Handler:
        return _Handler(self, loop=self._loop, **self._kwargs)
