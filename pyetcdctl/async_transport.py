"""One request to one endpoint from an event loop, over connections that are kept (aiohttp).

Laws: those of transport. What aiohttp raises leaves as the errors of `errors`, whatever it is.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
import yarl

from pyetcdctl import dialling, forking, gzipped, http1, requests, tls_errors
from pyetcdctl.endpoints import Endpoint
from pyetcdctl.errors import (
    BadRedirect,
    ClientClosed,
    ConnectionEnded,
    DeadlineExceeded,
    DialFailed,
    EndpointFailed,
    HeaderTimeout,
    ReadFailed,
    WrongLoop,
    in_words,
)
from pyetcdctl.transport import (
    BODY_BYTES_MAX,
    COMMON_HEADERS,
    REDIRECTS_MAX,
    Answer,
    headers_of,
    heed_head,
    index_of,
    redirection,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Iterator
    from types import SimpleNamespace

    from pyetcdctl.requests import Request
    from pyetcdctl.tls import TLS

# Go's for all of a head.
_LINE_BYTES_MAX: Final = 10 << 20
_HEADERS_MAX: Final = 1 << 16


class Limits(NamedTuple):
    """How long to wait (s) for a head, None without end, and for a connection."""

    header_s: float | None
    dial_s: float


class AsyncTransport:
    """Sends requests; keeps connections to the endpoints for the next ones."""

    def __init__(
        self,
        *,
        credentials: tuple[str, str] | None = None,
        tls: TLS,
        answer_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        """A larger answer is BadAnswer. Raises BadCredentials."""
        self._answer_bytes_max = answer_bytes_max
        self._authorization = dialling.basic(credentials) if credentials is not None else ""
        self._tls = tls
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._limits: set[asyncio.Timeout] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: object | None = None
        self.is_closed = False

    def check(self) -> None:
        """Raise ClientClosed, or WrongLoop: the connections are one loop's, in one process."""
        if self.is_closed:
            raise ClientClosed
        if forking.is_another(self._process):
            raise WrongLoop  # asyncio itself knows of no loop here
        loop = asyncio.get_running_loop()
        self._loop, self._process = self._loop or loop, forking.here()
        if self._loop is not loop:
            raise WrongLoop

    @contextmanager
    def heeding(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Let this time-out run out, too, when the transport is closed."""
        self._limits.add(limit)
        try:
            yield
        finally:
            self._limits.discard(limit)

    async def close(self) -> None:
        """Close the connections, for good."""
        self.is_closed = True
        if forking.is_another(self._process):
            while self._sessions:
                _forget(self._sessions.popitem()[1])
            return
        # aiohttp lets who waits for an answer wait for ever.
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())
        while self._sessions:
            with suppress(RuntimeError):  # their event loop has ended before
                await self._sessions.popitem()[1].close()

    async def exchange(
        self,
        endpoint: Endpoint,
        request: Request,
        header_s: float | None,
        dial_s: float = dialling.DIAL_S,
    ) -> Answer:
        """Send a request and read its answer, whose head has to come within `header_s` (None: at
        some time, as a long poll's), over a connection that takes `dial_s` at most, following
        redirections. Raises ClientClosed.
        """
        if self.is_closed:  # meanwhile
            raise ClientClosed
        try:
            return await self._followed(endpoint, request, Limits(header_s, dial_s))
        except EndpointFailed:
            if self.is_closed:
                raise ClientClosed from None
            raise

    async def _followed(self, endpoint: Endpoint, request: Request, limits: Limits) -> Answer:
        url, waits = endpoint.url(request), request.waits
        for _hop in range(REDIRECTS_MAX + 1):
            hop = limits._replace(header_s=None) if waits else limits
            answer = await self._once(endpoint, url, request, hop)
            if answer.status // 100 != 3:
                return answer
            url = redirection(answer)
            waits = requests.waits(Endpoint.parse(url).query)
        raise BadRedirect("client: too many redirects")

    async def _once(self, named: Endpoint, url: str, request: Request, limits: Limits) -> Answer:
        endpoint, target = dialling.split(url)
        _check(endpoint)
        proxy = dialling.proxy_of(endpoint)
        # aiohttp has one limit for both, and one for all with what a proxy does.
        is_tls = endpoint.scheme == "https"
        way_s = limits.dial_s + (dialling.HANDSHAKE_S if is_tls else 0.0)
        tunnel_s = way_s + dialling.CONNECT_S if is_tls and proxy is not None else None
        headers = {"Host": endpoint.host_header}
        for_proxy = {} if proxy is None else dialling.proxy_headers(proxy)
        if endpoint.scheme == "http":  # else it is told when it is asked for a tunnel
            headers |= for_proxy
        headers |= headers_of(request, endpoint, self._authorization)
        asking = self._session(endpoint).request(
            request.method,
            _url(endpoint, target),
            data=request.data,
            headers=headers,
            allow_redirects=False,
            server_hostname=self._tls.server_name or None,
            proxy=None if proxy is None else _url(proxy, "/"),
            proxy_headers=for_proxy,
            timeout=aiohttp.ClientTimeout(total=None, connect=tunnel_s, sock_connect=way_s),
            trace_request_ctx=(sent := asyncio.Event()),
        )
        begun = time.monotonic()
        try:
            async with await _head(named, asking, limits.header_s) as response:
                return await _read(request, response, self._answer_bytes_max)
        except aiohttp.ClientConnectorCertificateError as error:
            refused: ssl.CertificateError = error.certificate_error  # type: ignore[assignment]
            failed = await asyncio.to_thread(dialling.tls_failure, refused, endpoint, self._tls)
            failed.may_be_heard = False
            raise failed from None
        except aiohttp.ClientError as error:
            failed = _failure(proxy or endpoint, error)
            if tunnel_s is not None and not sent.is_set():
                if isinstance(failed, DialFailed) and time.monotonic() - begun >= tunnel_s:
                    raise DeadlineExceeded from None
                failed = _of_tunnel(failed, error)
            failed.may_be_heard = sent.is_set()
            raise failed from None
        except HeaderTimeout as failed:
            failed.may_be_heard = sent.is_set()
            raise

    def _session(self, endpoint: Endpoint) -> aiohttp.ClientSession:
        """The one whose connections lead there: one for TCP, one for each Unix socket."""
        path = endpoint.address if endpoint.scheme == "unix" else ""
        if path not in self._sessions:
            self._sessions[path] = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path, limit=0)
                if path
                else aiohttp.TCPConnector(
                    ssl=self._tls.context(), limit=0, socket_factory=_tuned_socket
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers=COMMON_HEADERS,
                skip_auto_headers=("Content-Type", "Accept"),
                trust_env=False,
                middlewares=(_sent_once,),
                trace_configs=[_tracing()],
                max_line_size=_LINE_BYTES_MAX,
                max_field_size=_LINE_BYTES_MAX,
                max_headers=_HEADERS_MAX,
            )
        return self._sessions[path]


def _forget(session: aiohttp.ClientSession) -> None:
    """Let aiohttp say nothing of a session of the parent's that is left open, and do nothing with
    it either: what to do was its parent's loop's.
    """
    if session.connector is not None:
        session.connector._closed = True
    session.detach()


def _tracing() -> aiohttp.TraceConfig:
    """Sets the event that a request has with it when its head goes out."""

    async def going(_session: object, context: SimpleNamespace, _head: object) -> None:
        context.trace_request_ctx.set()

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(going)
    return tracing


def _tuned_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    sock = socket.socket(*address[:3])
    dialling.tune(sock)
    forking.connected(sock)
    return sock


async def _head(
    named: Endpoint, asking: Awaitable[aiohttp.ClientResponse], header_s: float | None
) -> aiohttp.ClientResponse:
    # The time-out is for the head alone: a body may take as long as the whole request may.
    begun = time.monotonic()
    try:
        async with asyncio.timeout(header_s):
            return await asking
    except TimeoutError:
        if header_s is not None and time.monotonic() - begun >= header_s:
            raise HeaderTimeout(named.text) from None
        raise
    except _Unanswered as unanswered:
        raise unanswered.error from None


class _Unanswered(Exception):
    """A connection that ended before an answer came; no error of aiohttp's, see _sent_once."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__(error)
        self.error = error


async def _sent_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending PUT and DELETE a second time when a connection ends unanswered:
    they may have been heard. It does so for errors of its own alone.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise _Unanswered(error) from error


def _check(endpoint: Endpoint) -> None:
    """Refuse what yarl, aiohttp and the resolver would raise ValueError for."""
    try:
        if endpoint.scheme not in ("http", "https", "unix"):
            raise EndpointFailed(f'unsupported protocol scheme "{endpoint.scheme}"')
        dialling.check_host(endpoint)
        if endpoint.scheme != "unix":
            dialling.port_of(endpoint)
    except EndpointFailed as error:
        error.may_be_heard = False
        raise


async def _read(request: Request, response: aiohttp.ClientResponse, bytes_max: int) -> Answer:
    index, odd_index = index_of(response.headers.get("X-Etcd-Index"))
    heed_head(request, response.status, index)
    body = gzipped.Body(response.headers.get("Content-Encoding"), bytes_max)
    async for piece in response.content.iter_any():
        body.take(piece)
    location = response.headers.get("Location")
    return Answer(response.status, index, body.end(), location, odd_index)


def _url(endpoint: Endpoint, target: str) -> yarl.URL:
    """Where aiohttp is to go."""
    if endpoint.scheme == "unix":
        return yarl.URL(f"http://localhost{target}", encoded=True)
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host or "localhost"
    port = "" if endpoint.port is None else f":{endpoint.port}"
    return yarl.URL(f"{endpoint.scheme}://{host}{port}{target}", encoded=True)


def _failure(endpoint: Endpoint, error: aiohttp.ClientError) -> EndpointFailed:
    """What an error of aiohttp's is called; `endpoint`: who was dialled."""
    cause: BaseException = error
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    if isinstance(cause, OSError) and tls_errors.is_one(cause):
        return tls_errors.failure(cause)
    if _is_over(cause):
        return ConnectionEnded("EOF")
    if isinstance(error, aiohttp.ClientConnectorError):
        return _dial_failure(endpoint, error)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return DialFailed(f"dial tcp {endpoint.address}: i/o timeout")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return ConnectionEnded("EOF")
    if isinstance(error, aiohttp.ClientPayloadError):
        return ConnectionEnded("unexpected EOF")
    if isinstance(error, aiohttp.ClientOSError):
        return ReadFailed(f"read: {in_words(error)}")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return EndpointFailed(dialling.no_tunnel(error.message or None))
    if isinstance(error, aiohttp.ClientResponseError):
        return http1.broken(" ".join(error.message.split()))
    return http1.broken(error)


def _of_tunnel(failed: EndpointFailed, error: aiohttp.ClientError) -> EndpointFailed:
    """What a failure is called if it was in a proxy's answer to CONNECT."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return ConnectionEnded("unexpected EOF")
    return dialling.of_tunnel(failed)


def _is_over(cause: BaseException) -> bool:
    """Whether the other side has ended the connection: asyncio has no number for it in a handshake,
    and aiohttp another class later.
    """
    is_number = getattr(cause, "errno", None) in (errno.ECONNRESET, errno.EPIPE)
    return is_number or isinstance(cause, ConnectionResetError | BrokenPipeError)


def _dial_failure(endpoint: Endpoint, error: aiohttp.ClientConnectorError) -> DialFailed:
    cause = error.os_error
    if isinstance(cause, socket.gaierror):
        failed = dialling.not_found(endpoint, cause)
    elif endpoint.scheme == "unix":
        failed = DialFailed(f"dial unix {endpoint.address}: connect: {in_words(cause)}")
    else:
        failed = DialFailed(f"dial tcp {endpoint.address}: connect: {in_words(cause)}")
    is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
    return DialFailed(f"proxyconnect tcp: {failed}") if is_proxy else failed
