"""One request to one endpoint over a connection of its own or one that was kept (http1).

Laws: every wait has an end, however slowly the other side speaks, except a long poll's. What goes
wrong is an EndpointFailed in Go's words (contract/etcdctl.md, section 8), never an OSError.
"""

from __future__ import annotations

import select
import socket
import time
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from golang.quoting import go_quote
from pyetcdctl import dialling, forking, gzipped, http1, requests
from pyetcdctl.endpoints import Endpoint, has_scheme, redacted
from pyetcdctl.errors import (
    BadEndpoint,
    BadRedirect,
    ClientClosed,
    ConnectionEnded,
    DeadlineExceeded,
    EndpointFailed,
    HeaderTimeout,
    IndexBehind,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyetcdctl.requests import Request
    from pyetcdctl.tls import TLS

# More than any answer of a server whose keys fit into its memory comfortably.
BODY_BYTES_MAX: Final = 1 << 30
REDIRECTS_MAX: Final = 10
_INDEX_DIGITS_MAX: Final = 20
_PIECE_BYTES: Final = 1 << 16


class Answer(NamedTuple):
    """An answer with its body read."""

    status: int
    # Its X-Etcd-Index, 0 if it has none. (A tuple has an index() of its own.)
    index: int  # type: ignore[assignment]
    body: bytes
    location: str | None = None
    # Why the index is 0, in Go's words, if the header says something else than an index.
    odd_index: str = ""


COMMON_HEADERS: Final = {"User-Agent": "pyetcdctl", "Accept-Encoding": gzipped.ACCEPTED}


def headers_of(request: Request, endpoint: Endpoint, authorization: str) -> dict[str, str]:
    """The headers that depend on the request, and on who asks: `authorization`, if it is not empty,
    before the endpoint's own credentials. Raises BadCredentials.
    """
    headers = {}
    if request.content_type:
        headers["Content-Type"] = request.content_type
    if authorization:
        headers["Authorization"] = authorization
    elif endpoint.credentials is not None:
        headers["Authorization"] = dialling.basic(endpoint.credentials)
    return headers


def redirection(answer: Answer, *, is_shown: bool = False) -> str:
    """The URL an answer sends to. Raises EndpointFailed if that leads nowhere, where a password in
    it `is_shown` or not.
    """
    if not answer.location:
        raise BadRedirect("location header not set")
    try:
        (Endpoint.parse if is_shown else Endpoint.discreet)(answer.location)
    except BadEndpoint:
        shown = answer.location if is_shown else redacted(answer.location)
        raise BadRedirect(f"location header not valid URL: {shown}") from None
    if not has_scheme(answer.location):
        raise BadRedirect('unsupported protocol scheme ""')
    return answer.location


def index_of(header: str | None) -> tuple[int, str]:
    """What an X-Etcd-Index says; 0 if that is no index, and why it is none."""
    if not header:
        return 0, ""
    if not (header.isascii() and header.isdecimal()):
        return 0, f"strconv.ParseUint: parsing {go_quote(header)}: invalid syntax"
    digits = header.lstrip("0")
    if len(digits) > _INDEX_DIGITS_MAX or int(digits or "0") >= requests.UINT64:
        return 0, f"strconv.ParseUint: parsing {go_quote(header)}: value out of range"
    return int(digits or "0"), ""


def heed_head(request: Request, status: int, index: int) -> None:
    """Raise IndexBehind for an answer whose index is behind what the request knows; tell the
    request of that of a long poll that has begun.
    """
    if 0 < index < request.known_index:
        raise IndexBehind(index, request.known_index)
    if request.on_head is not None and status == 200:
        request.on_head(index)


class Patience(NamedTuple):
    """How long to wait: for the head of an answer, from the dialling on (s, None without end, as of
    a long poll), for all of it (time.monotonic(), None without end), and for a connection (s).
    """

    header_s: float | None
    deadline: float | None
    dial_s: float = dialling.DIAL_S

    @property
    def left_s(self) -> float | None:
        """What is left of the whole; raises DeadlineExceeded."""
        if self.deadline is None:
            return None
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded
        return left_s

    def head_by(self) -> float | None:
        """When the head has to be there, of a request that begins now. Raises DeadlineExceeded."""
        limits_s = [limit_s for limit_s in (self.header_s, self.left_s) if limit_s is not None]
        return time.monotonic() + min(limits_s) if limits_s else None


class Transport:
    """Sends requests; keeps a connection to each endpoint for the next one."""

    def __init__(
        self,
        *,
        credentials: tuple[str, str] | None = None,
        credentials_of_urls: bool = True,
        tls: TLS,
        on_request: Callable[[str, str, str | None], None] | None = None,
    ) -> None:
        """`credentials_of_urls`: whether those of a URL are used if there are no others; else they
        are only text, and shown.
        `on_request` is told method, URL and body of each request before it is sent. Raises
        BadCredentials.
        """
        self._authorization = dialling.basic(credentials) if credentials is not None else ""
        self._credentials_of_urls = credentials_of_urls
        self._tls = tls
        self._on_request = on_request
        self._kept: dict[str, _Connection] = {}
        self._asked: set[_Connection] = set()
        # Not the transports themselves: who asked for one may forget it.
        self._fresh: set[weakref.ref[Transport]] = set()
        self._on_close: Callable[[], None] | None = None
        self._process: object | None = None
        self._is_closed = False

    def fresh(self, on_close: Callable[[], None] | None = None) -> Transport:
        """One like it, with connections of its own, that is closed with it; `on_close` is called
        when it is, but not in a child of this process: who waits for that is not there.
        """
        import copy

        other = copy.copy(self)
        other._kept, other._asked, other._fresh = {}, set(), set()
        other._on_close, other._process = on_close, forking.here()
        self._fresh.add(weakref.ref(other, self._fresh.discard))
        if self._is_closed:  # another thread closes it just now
            other.close()
        return other

    def close(self) -> None:
        """Close what was kept, for good; who waits for an answer in another thread is told."""
        self._is_closed = True
        for connection in [*self._asked]:
            connection.interrupt()
        for connection in [*self._kept.values()]:
            connection.close()
        self._kept.clear()
        for reference in [*self._fresh]:
            if (other := reference()) is not None:
                other.close()
        if self._on_close is not None and not forking.is_another(self._process):
            self._on_close()

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """Send a request and read its answer, following redirections. Raises ClientClosed."""
        if self._is_closed:
            raise ClientClosed
        try:
            return self._followed(endpoint, request, patience)
        except EndpointFailed:
            if self._is_closed:
                raise ClientClosed from None
            raise

    def _followed(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        url, waits = endpoint.url(request), request.waits
        for _hop in range(REDIRECTS_MAX + 1):
            limits = patience._replace(header_s=None) if waits else patience
            answer = self._once(endpoint, url, request, limits)
            if answer.status // 100 != 3:
                return answer
            url = redirection(answer, is_shown=not self._credentials_of_urls)
            waits = requests.waits(Endpoint.parse(url).query)
        raise BadRedirect("client: too many redirects")

    def _once(self, named: Endpoint, url: str, request: Request, patience: Patience) -> Answer:
        if self._on_request is not None:
            shown = redacted(url) if self._credentials_of_urls else url
            self._on_request(request.method, shown, request.body)
        endpoint, target = dialling.split(url)
        if not self._credentials_of_urls:
            endpoint = endpoint._replace(credentials=None)
        key = f"{endpoint.scheme}://{endpoint.authority}"
        headers = COMMON_HEADERS | headers_of(request, endpoint, self._authorization)
        head_by = patience.head_by()
        kept = self._kept.pop(key, None)
        if kept is not None and kept.is_over:
            kept.close()
            kept = None

        def ask(connection: _Connection) -> Answer:
            with self._busy(connection):
                return connection.ask(target, request, headers, head_by, patience.deadline)

        try:
            connection = kept or self._dial(endpoint, head_by, patience.dial_s)
            try:
                answer = ask(connection)
            except _Stale:
                # A server may close what was kept while a request is on its way. One that changes
                # something is not repeated: it may have been heard.
                if kept is None or request.method != "GET":
                    raise ConnectionEnded("EOF") from None
                connection = self._dial(endpoint, head_by, patience.dial_s)
                answer = ask(connection)
        except _Stale:
            raise ConnectionEnded("EOF") from None
        except _Silent as silent:
            _ = patience.left_s
            failed = HeaderTimeout(named.text)
            failed.may_be_heard = silent.may_be_heard
            raise failed from None
        # Another thread may have kept one meanwhile, or closed them all.
        if self._is_closed or (
            connection.is_open and self._kept.setdefault(key, connection) is not connection
        ):
            connection.close()
        return answer

    @contextmanager
    def _busy(self, connection: _Connection) -> Iterator[_Connection]:
        """One that is asked, and closed if something goes wrong with it."""
        self._asked.add(connection)
        try:
            if self._is_closed:
                raise ClientClosed
            yield connection
        except BaseException:
            connection.close()
            raise
        finally:
            self._asked.discard(connection)

    def _dial(self, endpoint: Endpoint, head_by: float | None, dial_s: float) -> _Connection:
        try:
            return _Connection(dialling.dial(endpoint, head_by, self._tls, dial_s))
        except (DeadlineExceeded, EndpointFailed) as error:
            if head_by is not None and time.monotonic() >= head_by:
                raise _Silent(may_be_heard=False) from None
            if isinstance(error, EndpointFailed):
                error.may_be_heard = False
            raise


class _Silent(Exception):
    """Nothing came in time."""

    def __init__(self, *, may_be_heard: bool) -> None:
        super().__init__()
        self.may_be_heard = may_be_heard


class _Stale(Exception):
    """The connection ended before an answer began."""


class _Connection:
    """One connection, for one request after the other."""

    def __init__(self, line: dialling.Line) -> None:
        self._socket = _TimedSocket(line.socket)
        self._reader = http1.Reader(self._socket.receive)
        self._line = line
        self.is_open = True

    @property
    def is_over(self) -> bool:
        """Whether the other side has ended it, or says something nobody asked for; a fork ends it
        as well.
        """
        if self._line.socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self._line.socket, select.POLLIN)
        return bool(poll.poll(0))

    def interrupt(self) -> None:
        """End it under whoever waits for an answer, in another thread."""
        with suppress(OSError):  # the other side has ended it
            # Not SSLSocket's own, which takes the TLS away from who is reading.
            socket.socket.shutdown(self._line.socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self.is_open = False
        self._line.socket.close()

    def ask(
        self,
        target: str,
        request: Request,
        headers: dict[str, str],
        head_by: float | None,
        deadline: float | None,
    ) -> Answer:
        """Send and read; the connection is closed if the answer says so."""
        headers = {"Host": self._line.host, **self._line.headers, **headers}
        if request.data is not None:
            headers["Content-Length"] = str(len(request.data))
        lines = [f"{request.method} {self._line.target(target)} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        sent = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
        self._socket.until(head_by)
        try:
            self._socket.send(sent + (request.data or b""))
            head = http1.read_head(self._reader)
        except TimeoutError:
            raise _Silent(may_be_heard=True) from None
        except (BrokenPipeError, ConnectionResetError):
            raise _Stale from None
        except OSError as error:
            raise dialling.broken(error, self._line.socket) from None
        if head is None:
            raise _Stale
        heed_head(request, head.status, index_of(head.get("x-etcd-index"))[0])
        return self._read(head, deadline)

    def _read(self, head: http1.Head, deadline: float | None) -> Answer:
        self._socket.until(deadline)
        body = gzipped.Body(head.get("content-encoding"), BODY_BYTES_MAX)
        try:
            for piece in http1.read_body(self._reader, head):
                body.take(piece)
        except TimeoutError:
            raise DeadlineExceeded from None
        except ConnectionResetError:
            raise ConnectionEnded("unexpected EOF") from None
        except OSError as error:
            raise dialling.broken(error, self._line.socket) from None
        if head.is_last or self._reader.has_more:
            self.close()
        index, odd_index = index_of(head.get("x-etcd-index"))
        return Answer(head.status, index, body.end(), head.get("location"), odd_index)


class _TimedSocket:
    """A socket whose time-out is for all that is read, not for each piece of it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._deadline: float | None = None

    def until(self, deadline: float | None) -> None:
        """From now on, wait until then in all (time.monotonic(), None for ever)."""
        self._deadline = deadline

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._limit()
        self._sock.sendall(data)

    def receive(self) -> bytes:
        """What has come, b"" at the end."""
        self._limit()
        return self._sock.recv(_PIECE_BYTES)

    def _limit(self) -> None:
        """Let the next step wait only for what is left."""
        if self._deadline is None:
            self._sock.settimeout(None)
            return
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
