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
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from pyetcdctl import arguments, dialling
from pyetcdctl.answers import Member, Result
from pyetcdctl.async_transport import AsyncTransport
from pyetcdctl.client import (
    TIMEOUT_S,
    TOTAL_TIMEOUT_S,
    keys_result,
    plain_result,
)
from pyetcdctl.endpoints import DEFAULT, Ring
from pyetcdctl.errors import (
    ClientClosed,
    ClientError,
    DeadlineExceeded,
    EndpointFailed,
    NoEndpoints,
)
from pyetcdctl.failover import Round
from pyetcdctl.surface import LOCK_TTL_S, Surface
from pyetcdctl.tls import TLS
from pyetcdctl.transport import BODY_BYTES_MAX
from pyetcdctl.watching import Change, Watch

if TYPE_CHECKING:
    import random

    from pyetcdctl.leases import AsyncLease, LeaseLost
    from pyetcdctl.locking import AsyncLock
    from pyetcdctl.requests import Request
    from pyetcdctl.transport import Answer
    from pyetcdctl.turn import LockLost


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
        tls = TLS() if tls is None else tls
        arguments.instance("tls", tls, TLS)
        tls.check()
        self._ring = Ring(endpoints, luck)
        self.limit(timeout_s=timeout_s, total_timeout_s=total_timeout_s)
        self._transport = AsyncTransport(
            credentials=credentials, tls=tls, answer_bytes_max=answer_bytes_max
        )

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, for good: watches and other waiting of it and of its twins end
        with ClientClosed, and so does what is asked from now on.
        """
        await self._transport.close()

    def twin(self) -> AsyncClient:
        """Another client of the same cluster on the same connections; it need not be closed."""
        other = copy.copy(self)
        other._ring = copy.copy(self._ring)
        return other

    def lock(
        self,
        key: str,
        *,
        ttl: int = LOCK_TTL_S,
        value: str | None = None,
        wait_s: float | None = None,
        on_lost: Callable[[LockLost], None] | None = None,
        on_outage: Callable[[ClientError], None] | None = None,
    ) -> AsyncLock:
        """A lock on a directory's queue, for an `async with` block; options as AsyncLock's."""
        from pyetcdctl.locking import AsyncLock

        return AsyncLock(
            self, key, ttl=ttl, value=value, wait_s=wait_s, on_lost=on_lost, on_outage=on_outage
        )

    def keep(
        self,
        key: str,
        ttl: int,
        *,
        on_lost: Callable[[LeaseLost], None] | None = None,
        alive_s: float | None = None,
    ) -> AsyncLease:
        """Keep a key alive in an `async with` block; options as AsyncLease's."""
        from pyetcdctl.leases import AsyncLease

        return AsyncLease(self, key, ttl, on_lost=on_lost, alive_s=alive_s)

    @property
    def endpoints(self) -> list[str]:
        """The base URLs in the order they are tried, without passwords."""
        return self._ring.texts

    async def sync(self) -> None:
        """Use the client URLs that the members publish; raises NoEndpoints if they have none."""
        urls = [url for member in await self.members() for url in member.client_urls]
        if not urls:
            raise NoEndpoints
        self._ring.replace(urls)

    async def watch(
        self,
        key: str,
        *,
        recursive: bool = False,
        after_index: int | None = None,
        known: Result | None = None,
        on_outage: Callable[[ClientError | None], None] | None = None,
    ) -> AsyncIterator[Change]:
        """Every change behind `after_index`, or behind what a `get` of the key answered (`known`),
        or from the first step of the loop on, without gaps, for ever.

        Nothing is asked before that step: what happens between this call and it is told only to who
        says where to begin.

        Endpoints that fail are tried again; what cannot be caught up with any more comes as one
        Change that says how things are (see watching). `on_outage` is told of each outage once, and
        by None that it is over.
        """
        watch = Watch(
            key, recursive=recursive, after_index=after_index, known=known, on_outage=on_outage
        )
        while True:
            request = watch.request()
            try:
                outcome: Result | ClientError = await self.keys(request)
            except ClientError as error:
                outcome = error
            change = watch.took(request, outcome)
            if change is not None:
                yield change
            elif watch.is_silent:
                try:
                    await self.leader()
                except ClientError as error:
                    watch.failed(error)
                else:
                    watch.answered()
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
        self._transport.check()
        total_s = request.total_s(self._total_timeout_s)
        try:
            async with asyncio.timeout(total_s) as limit:
                with self._transport.heeding(limit):
                    return await self._walk(request)
        except TimeoutError:
            raise (ClientClosed if self._transport.is_closed else DeadlineExceeded) from None

    async def _walk(self, request: Request) -> Answer:
        dial_s = dialling.limit_s(self._total_timeout_s)
        tour = Round(self._ring, request)
        for endpoint in tour:
            try:
                answer = await self._transport.exchange(endpoint, request, self._timeout_s, dial_s)
            except EndpointFailed as error:
                tour.failed(error)
            else:
                if tour.answered(endpoint, answer):
                    return answer
        raise tour.end()
