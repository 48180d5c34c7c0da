"""The client for programs with an event loop (aiohttp).

    async with AsyncClient(["http://127.0.0.1:2379"]) as client:
        await client.set("/greeting", "hello")
        async for change in client.watch("/config", recursive=True):
            ...

Laws: those of Client; it asks the same and raises the same.
"""

from __future__ import annotations

import asyncio
import copy
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp
import yarl

from pyetcdctl import dialling
from pyetcdctl.answers import Member, Result
from pyetcdctl.client import (
    TIMEOUT_S,
    TOTAL_TIMEOUT_S,
    keys_result,
    plain_result,
    server_failure,
)
from pyetcdctl.endpoints import DEFAULT, Endpoint, Ring
from pyetcdctl.errors import (
    BadAnswer,
    BadRedirect,
    ClientError,
    ClusterUnavailable,
    ConnectionEnded,
    DeadlineExceeded,
    DialFailed,
    EndpointFailed,
    HeaderTimeout,
    NoEndpoints,
    ReadFailed,
    in_words,
)
from pyetcdctl.surface import Surface
from pyetcdctl.tls import TLS
from pyetcdctl.transport import (
    BODY_BYTES_MAX,
    COMMON_HEADERS,
    REDIRECTS_MAX,
    Answer,
    check_index,
    headers_of,
)
from pyetcdctl.watching import Change, Watch

if TYPE_CHECKING:
    import random

    from pyetcdctl.leases import AsyncLease
    from pyetcdctl.locking import AsyncLock
    from pyetcdctl.requests import Request

_DIAL_S = 30.0


class AsyncClient(
    Surface[Awaitable[Result], Awaitable[Member], Awaitable[list[Member]], Awaitable[None]]
):
    """One cluster, seen from an event loop."""

    def __init__(
        self,
        endpoints: Sequence[str] = DEFAULT,
        *,
        credentials: tuple[str, str] | None = None,
        tls: TLS | None = None,
        timeout_s: float | None = TIMEOUT_S,
        total_timeout_s: float | None = TOTAL_TIMEOUT_S,
        luck: random.Random | None = None,
        answer_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        """As Client's; a larger answer is BadAnswer. Raises BadEndpoint, BadTLS, BadCredentials."""
        self._answer_bytes_max = answer_bytes_max
        self._tls = tls or TLS()
        self._tls.check()
        self._ring = Ring(endpoints, luck)
        self._authorization = dialling.basic(credentials) if credentials is not None else ""
        self._timeout_s = timeout_s
        self._total_timeout_s = total_timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def twin(self) -> AsyncClient:
        """Another client of the same cluster on the same connections; it need not be closed."""
        self._open()
        other = copy.copy(self)
        other._ring = copy.copy(self._ring)
        return other

    def limit(self, *, timeout_s: float | None, total_timeout_s: float | None) -> None:
        """From now on, be so patient; a long poll is not meant, it has no limit."""
        self._timeout_s, self._total_timeout_s = timeout_s, total_timeout_s

    def lock(self, key: str, **options: Any) -> AsyncLock:
        """A lock on a directory's queue, for an `async with` block; options as AsyncLock's."""
        from pyetcdctl.locking import AsyncLock

        return AsyncLock(self, key, **options)

    def keep(self, key: str, ttl: int, **options: Any) -> AsyncLease:
        """Keep a key alive in an `async with` block; options as AsyncLease's."""
        from pyetcdctl.leases import AsyncLease

        return AsyncLease(self, key, ttl, **options)

    @property
    def endpoints(self) -> list[str]:
        """The base URLs in the order they are tried."""
        return self._ring.texts

    async def sync(self) -> None:
        """Use the client URLs that the members publish; raises NoEndpoints if they have none."""
        urls = [url for member in await self.members() for url in member.client_urls]
        if not urls:
            raise NoEndpoints
        self._ring.replace(urls)

    async def watch(
        self, key: str, *, recursive: bool = False, after_index: int | None = None
    ) -> AsyncIterator[Change]:
        """Every change behind `after_index` (None: from now on), without gaps, for ever.

        Endpoints that fail are tried again; what cannot be caught up with any more comes as one
        Change that says how things are (see watching).
        """
        watch = Watch(key, recursive=recursive, after_index=after_index)
        while True:
            request = watch.request()
            try:
                outcome: Result | ClientError = await self.keys(request)
            except ClientError as error:
                outcome = error
            change = watch.took(request, outcome)
            if change is not None:
                yield change
            elif watch.pause_s:
                await asyncio.sleep(watch.pause_s)

    # -- any request --------------------------------------------------------------------------

    async def keys(self, request: Request) -> Result:
        """Make a request about keys; raises EtcdError."""
        return keys_result(await self.answer(request))

    async def plain(self, request: Request, read: Callable[[bytes], Any]) -> Any:
        """Make a request about members, users or roles; raises Refused with the server's words."""
        return plain_result(request, await self.answer(request), read)

    async def answer(self, request: Request) -> Answer:
        """Make a request at the endpoints, one after the other."""
        total_s = None if request.waits else self._total_timeout_s
        try:
            async with asyncio.timeout(total_s):
                return await self._walk(request)
        except TimeoutError:
            raise DeadlineExceeded from None

    async def _walk(self, request: Request) -> Answer:
        errors: list[ClientError] = []
        for endpoint in self._ring.walk():
            try:
                answer = await self._exchange(endpoint, request)
                if answer.status // 100 == 5:
                    raise server_failure(endpoint.text, answer)
            except EndpointFailed as error:
                if request.one_shot:
                    raise
                errors.append(error)
                continue
            self._ring.pin(endpoint)
            return answer
        if not errors:
            raise NoEndpoints
        raise ClusterUnavailable(errors)

    async def _exchange(self, endpoint: Endpoint, request: Request) -> Answer:
        url = endpoint.url(request)
        for _hop in range(REDIRECTS_MAX + 1):
            try:
                answer = await self._once(endpoint, url, request)
            except aiohttp.ClientError as error:
                raise _failure(endpoint, error) from None
            if answer.status // 100 != 3:
                return answer
            if not answer.location:
                raise BadRedirect("location header not set")
            url = answer.location
        raise BadRedirect("client: too many redirects")

    async def _once(self, named: Endpoint, url: str, request: Request) -> Answer:
        endpoint, target = dialling.split(url)
        if endpoint.scheme not in ("http", "https"):
            raise EndpointFailed(f'unsupported protocol scheme "{endpoint.scheme}"')
        # What yarl, aiohttp and the resolver would raise ValueError for is refused here.
        dialling.check_host(endpoint)
        dialling.port_of(endpoint)
        header_s = None if request.waits else self._timeout_s
        asking = self._open().request(
            request.method,
            _url(endpoint, target),
            data=None if request.body is None else request.body.encode("utf-8", "surrogateescape"),
            headers={"Host": endpoint.host_header}
            | headers_of(request, endpoint, self._authorization),
            allow_redirects=False,
            server_hostname=self._tls.server_name or None,
        )
        # The time-out is for the head alone: a body may take as long as the whole request may.
        begun = time.monotonic()
        try:
            async with asyncio.timeout(header_s):
                response = await asking
        except TimeoutError:
            if header_s is not None and time.monotonic() - begun >= header_s:
                raise HeaderTimeout(named.text) from None
            raise
        async with response:
            check_index(request, response.headers.get("X-Etcd-Index"))
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._answer_bytes_max:
                    most = self._answer_bytes_max
                    raise BadAnswer(f"client: the answer is larger than {most} bytes")
        return Answer(
            response.status,
            response.reason or "",
            response.headers.get("X-Etcd-Index"),
            bytes(body),
            response.headers.get("Location"),
        )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls.context(), limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_DIAL_S),
                auto_decompress=False,
                headers=COMMON_HEADERS,
                skip_auto_headers=("Content-Type", "Accept"),
                trust_env=False,
            )
        return self._session


def _url(endpoint: Endpoint, target: str) -> yarl.URL:
    """Where aiohttp is to go."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host or "localhost"
    port = "" if endpoint.port is None else f":{endpoint.port}"
    return yarl.URL(f"{endpoint.scheme}://{host}{port}{target}", encoded=True)


def _failure(endpoint: Endpoint, error: aiohttp.ClientError) -> EndpointFailed:
    """What an error of aiohttp's is called."""
    cause: Exception = error
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    if isinstance(cause, ssl.SSLError):
        return dialling.tls_failure(cause)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return dialling.tls_failure(error.certificate_error)  # type: ignore[arg-type]
    if isinstance(cause, socket.gaierror):
        return dialling.not_found(endpoint, cause)
    if isinstance(cause, OSError) and isinstance(error, aiohttp.ClientConnectorError):
        return DialFailed(f"dial tcp {endpoint.address}: connect: {in_words(cause)}")
    if isinstance(error, aiohttp.ServerTimeoutError):
        return DialFailed(f"dial tcp {endpoint.address}: i/o timeout")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return ConnectionEnded("EOF")
    if isinstance(error, aiohttp.ClientPayloadError):
        return ConnectionEnded("unexpected EOF")
    if isinstance(error, aiohttp.ClientOSError):
        return ReadFailed(f"read: {in_words(error)}")
    return EndpointFailed(f"net/http: {error}")
