"""A lock that one program of many holds: a queue of in-order keys in a directory.

    with Lock(client, "/locks/backup", ttl=10) as lock:
        ...                    # nobody else is in here
        lock.check()           # raises LockLost

Laws:

* Whoever wants it creates an in-order key with a TTL and keeps it alive (leases). The lowest key
  holds the lock; every other one waits for the key in front of it to go, so that one waiter is
  woken for each release, and they come in the order they queued in.
* Only what a quorum knows makes a holder. A creation whose answer was lost is made again; the
  key that may be left over is kept alive by nobody and runs out.
* A lock that is lost (see leases: never later than the server gives it to the next) is told at
  once by `on_lost`, by `check()`, and as LockLost at the end of the block. A waiter that loses
  its place queues again.
* Whoever gives up, or is cancelled, takes LEAVING_S to leave the queue at most, however many
  servers hang.
* On the way out the key is removed. If nobody answers, it runs out by its TTL; also if the client
  was closed before, which the release says by ClientClosed.
* It is its process's: a child of a fork is told that it is lost, and gives nothing back.
* `index` grows from holder to holder: what the lock protects can refuse a smaller one.
* Keys in the directory whose names are not numbers do not count.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyetcdctl import requests
from pyetcdctl.errors import ClientClosed, ClientError, EtcdError
from pyetcdctl.leases import AsyncLease, Lease, LeaseLost, now_s
from pyetcdctl.surface import LOCK_TTL_S
from pyetcdctl.turn import LockLost, Turn, as_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from pyetcdctl.answers import Result
    from pyetcdctl.async_client import AsyncClient
    from pyetcdctl.client import Client

_REMOVALS_MAX: Final = 3
LEAVING_S: Final = 2.0
"""How long somebody who is in a hurry tries to give a lock back."""
_OF_NO_USE: Final = (ClientClosed, LockLost)
"""What giving back raises when there is nobody to be told, or nothing to give."""


class Lock:
    """The lock for a Client; a context manager."""

    def __init__(
        self,
        client: Client,
        key: str,
        *,
        ttl: int = LOCK_TTL_S,
        value: str | None = None,
        wait_s: float | None = None,
        on_lost: Callable[[LockLost], None] | None = None,
        on_outage: Callable[[ClientError], None] | None = None,
    ) -> None:
        """`ttl` in s: how long others wait for a holder that died. `value`: what the key is to
        say, by default who holds it. `wait_s`: LockTimeout after that. `on_lost` is called in a
        thread of its own. `on_outage` is told, once for each outage, what is waited out before the
        lock is ours; what it raises ends the waiting.
        """
        self._key, self._ttl, self._wait_s = key, ttl, wait_s
        self._value = value
        self._client = client
        self._asking = client.twin()
        self._on_lost, self._on_outage = on_lost, on_outage
        self._lease: Lease | None = None
        self._turn = Turn(key, self._value, ttl, wait_s=wait_s)

    @property
    def key(self) -> str | None:
        """The own key in the queue."""
        return self._turn.key

    @property
    def index(self) -> int:
        """The index the own key was created at."""
        return self._turn.index

    @property
    def lost(self) -> LockLost | None:
        """Why it is lost; None while it is not."""
        lost = None if self._lease is None else self._lease.lost
        return None if lost is None else as_lock(lost)

    def check(self) -> None:
        """Raise LockLost if it is lost."""
        if (lost := self.lost) is not None:
            raise lost

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        lost = self.lost
        with suppress(*(_OF_NO_USE if kind is not None or lost is not None else ())):
            self.release()
        if kind is None and lost is not None:
            raise lost

    def acquire(self) -> None:
        """Wait until it is ours. Raises LockTimeout, and EtcdError if the queue cannot be."""
        if self._lease is not None:
            raise RuntimeError(f"this lock on {self._key} is taken already: release it first")
        turn = Turn(self._key, self._value, self._ttl, self._on_outage, self._wait_s)
        self._turn = turn
        try:
            while not turn.is_first or self._is_lost(turn):
                self._step(turn)
        except BaseException:
            with suppress(*_OF_NO_USE):
                self.release(within_s=LEAVING_S)
            raise

    def release(self, *, within_s: float | None = None) -> None:
        """Give it back, or leave the queue. `within_s`: try no longer than that."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.close()
        key = self._turn.give_up()
        asking, self._asking = self._asking, self._client.twin()
        try:
            if key is not None:
                _remove(asking, key, within_s)
        finally:
            asking.close()

    def _is_lost(self, turn: Turn) -> bool:
        if self._lease is None or self._lease.lost is None:
            return False
        if (key := turn.give_up()) is not None:
            _remove(self._asking, key, LEAVING_S)
        self._keep(None, 0.0)
        return True

    def _step(self, turn: Turn) -> None:
        request, sent_s, had = turn.request(), now_s(), turn.key
        if request.method == "POST":
            # In a thread: an exception out of a signal's handler ends the waiting, but not the
            # taking of the answer. A key that is not known to be ours would not be removed.
            with ThreadPoolExecutor(1, "lock-create") as pool:
                # Who is interrupted while the thread begins would not wait for its end.
                pool.submit(int).result()
                pool.submit(self._exchange, turn, request).result()
        else:
            self._exchange(turn, request)
        if turn.key != had:
            self._keep(turn.key, sent_s)
        self._is_lost(turn)
        if turn.pause_s:
            time.sleep(turn.pause_s)

    def _exchange(self, turn: Turn, request: requests.Request) -> None:
        turn.took(request, self._ask(request))

    def _ask(self, request: requests.Request) -> Result | ClientError:
        try:
            return self._asking.keys(request)
        except ClientError as error:
            return error

    def _keep(self, key: str | None, sent_s: float) -> None:
        if self._lease is not None:
            self._lease.close()
            self._lease = None
        if key is not None:
            on_lost = None if self._on_lost is None else self._tell
            self._lease = Lease(self._asking, key, self._ttl, on_lost=on_lost, alive_s=sent_s)
            self._lease.start()

    def _tell(self, lost: LeaseLost) -> None:
        # A place in the queue that is lost is no lock lost.
        if self._turn.is_first and self._on_lost is not None:
            self._on_lost(as_lock(lost))


class AsyncLock:
    """The lock for an AsyncClient; a loss cancels the block and comes out of it as LockLost."""

    def __init__(
        self,
        client: AsyncClient,
        key: str,
        *,
        ttl: int = LOCK_TTL_S,
        value: str | None = None,
        wait_s: float | None = None,
        on_lost: Callable[[LockLost], None] | None = None,
        on_outage: Callable[[ClientError], None] | None = None,
    ) -> None:
        """As Lock's. With `on_lost` the block is not cancelled."""
        self._key, self._ttl, self._wait_s = key, ttl, wait_s
        self._value = value
        self._asking = client.twin()
        self._on_lost, self._on_outage = on_lost, on_outage
        self._lease: AsyncLease | None = None
        self._turn = Turn(key, self._value, ttl, wait_s=wait_s)
        self._block: asyncio.Task[object] | None = None
        self._has_cancelled = False

    @property
    def key(self) -> str | None:
        """The own key in the queue."""
        return self._turn.key

    @property
    def index(self) -> int:
        """The index the own key was created at."""
        return self._turn.index

    @property
    def lost(self) -> LockLost | None:
        """Why it is lost; None while it is not."""
        lost = None if self._lease is None else self._lease.lost
        return None if lost is None else as_lock(lost)

    def check(self) -> None:
        """Raise LockLost if it is lost."""
        if (lost := self.lost) is not None:
            raise lost

    async def __aenter__(self) -> AsyncLock:
        await self.acquire()
        self._block = asyncio.current_task()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        lost, block, self._block = self.lost, self._block, None
        is_ours = self._has_cancelled and block is not None and block.uncancel() == 0
        is_cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        with suppress(*(_OF_NO_USE if kind is not None or lost is not None else ())):
            await self.release(within_s=LEAVING_S if is_cancelled else None)
        if is_cancelled and is_ours:
            raise lost or asyncio.CancelledError from None
        if kind is None and lost is not None:
            raise lost

    async def acquire(self) -> None:
        """Wait until it is ours. Raises LockTimeout, and EtcdError if the queue cannot be."""
        if self._lease is not None:
            raise RuntimeError(f"this lock on {self._key} is taken already: release it first")
        turn = Turn(self._key, self._value, self._ttl, self._on_outage, self._wait_s)
        self._turn = turn
        try:
            while not turn.is_first or await self._is_lost(turn):
                await self._step(turn)
        except BaseException:
            with suppress(*_OF_NO_USE):
                await self.release(within_s=LEAVING_S)
            raise

    async def release(self, *, within_s: float | None = None) -> None:
        """Give it back, or leave the queue. `within_s`: try no longer than that."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.close()
        key = self._turn.give_up()
        if key is not None:
            await _remove_async(self._asking, key, within_s)

    async def _is_lost(self, turn: Turn) -> bool:
        if self._lease is None or self._lease.lost is None:
            return False
        if (key := turn.give_up()) is not None:
            await _remove_async(self._asking, key, LEAVING_S)
        await self._keep(None, 0.0)
        return True

    async def _step(self, turn: Turn) -> None:
        request, sent_s, had = turn.request(), now_s(), turn.key
        exchange = self._exchange(turn, request)
        await (_to_its_end(exchange) if request.method == "POST" else exchange)
        if turn.key != had:
            await self._keep(turn.key, sent_s)
        await self._is_lost(turn)
        if turn.pause_s:
            await asyncio.sleep(turn.pause_s)

    async def _exchange(self, turn: Turn, request: requests.Request) -> None:
        turn.took(request, await self._ask(request))

    async def _ask(self, request: requests.Request) -> Result | ClientError:
        try:
            return await self._asking.keys(request)
        except ClientError as error:
            return error

    async def _keep(self, key: str | None, sent_s: float) -> None:
        if self._lease is not None:
            await self._lease.close()
            self._lease = None
        if key is not None:
            self._lease = AsyncLease(
                self._asking, key, self._ttl, on_lost=self._tell, alive_s=sent_s
            )
            await self._lease.start()

    def _tell(self, lost: LeaseLost) -> None:
        if not self._turn.is_first:
            return
        if self._on_lost is not None:
            self._on_lost(as_lock(lost))
        elif self._block is not None:
            self._has_cancelled = True
            self._block.cancel()


async def _to_its_end(exchange: Coroutine[object, object, None]) -> None:
    """Await an exchange; a cancellation ends the waiting, but not for an answer that comes soon."""
    asking = asyncio.create_task(exchange)
    try:
        await asyncio.shield(asking)
    except asyncio.CancelledError:
        with suppress(ClientError, TimeoutError):
            async with asyncio.timeout(LEAVING_S):
                await asking
        raise


def _remove(client: Client, key: str, within_s: float | None) -> None:
    """Remove a key; reading it in between finds an endpoint that answers."""
    removal, reading = _removing(key, within_s)
    for _attempt in range(_REMOVALS_MAX):
        try:
            client.keys(removal)
            return
        except EtcdError:
            return
        except ClientClosed:
            raise
        except ClientError:
            with suppress(ClientError):
                client.keys(reading)


async def _remove_async(client: AsyncClient, key: str, within_s: float | None) -> None:
    """The same for an event loop."""
    removal, reading = _removing(key, within_s)
    for _attempt in range(_REMOVALS_MAX):
        try:
            await client.keys(removal)
            return
        except EtcdError:
            return
        except ClientClosed:
            raise
        except ClientError:
            with suppress(ClientError):
                await client.keys(reading)


def _removing(key: str, within_s: float | None) -> tuple[requests.Request, requests.Request]:
    """A key's removal and its reading, for all of which together there is so much time (s)."""
    each_s = None if within_s is None else within_s / (2 * _REMOVALS_MAX)
    return (
        requests.once(requests.delete(key))._replace(within_s=each_s),
        requests.get(key, recursive=False, sort=False, quorum=False)._replace(within_s=each_s),
    )
