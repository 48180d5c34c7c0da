"""A key that lives as long as somebody keeps it alive.

    with Lease(client, "/services/web/1", ttl=10) as lease:
        ...                    # the key is refreshed in the background
        lease.check()          # raises LeaseLost

Laws:

* The key has to be there, with a TTL: one that was meant to stay would run out with its keeper. It
  is refreshed (`refresh=true`: the value stays, no watcher is woken) three times in a TTL, at
  whichever member answers, and oftener when nobody does.
* It is lost when the server says that it is gone, when the client is closed, or when the last
  refresh that succeeded was sent a TTL ago. That is never later than the server lets it run out;
  what the machine slept through counts.
* `on_lost` is called once, beside the program (Lease: in a thread of its own). A Lease that was
  lost is told by `check()` and at the end of its block.
* Whoever ends it leaves the key to run out.
* It is its process's: a child of a fork is told that it is lost, and ends nothing.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, Final, Self

from pyetcdctl import arguments, forking, requests
from pyetcdctl.errors import ClientClosed, ClientError, EtcdError, RaftFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pyetcdctl.answers import Result
    from pyetcdctl.async_client import AsyncClient
    from pyetcdctl.client import Client

REFRESHES: Final = 3
"""How often a key is refreshed in one TTL."""
_RETRIES: Final = 12
"""How often in one TTL it is tried while nobody answers."""
_ENDPOINTS: Final = 6
"""How many endpoints may be silent in one TTL without the key being lost."""


class LeaseLost(ClientError):
    """A key was not kept alive; `key` is which."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key} is lost: {why}")
        self.key, self.why = key, why

    @classmethod
    def elsewhere(cls, key: str) -> Self:
        """What a child is told of what its parent keeps."""
        return cls(key, "another process keeps it")


class NoTTL(ClientError):
    """A key or directory that is to be kept alive has no TTL."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{key} has no TTL, so it needs no keeping: to keep it would let it run out afterwards"
        )
        self.key = key


def now_s() -> float:
    """The time that keys age by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Keeping:
    """When to refresh a key, and when it is lost; without I/O. Times are now_s()'s."""

    def __init__(self, key: str, ttl: int, alive_s: float) -> None:
        """`alive_s`: when the request was sent that the key has its TTL of."""
        arguments.text("key", key)
        arguments.ttl(ttl, is_needed=True)
        self.key = key
        self.ttl = ttl
        self.next_s = alive_s + ttl / REFRESHES
        self._lost: LeaseLost | None = None
        self._process: object | None = None
        self._ends_s = alive_s + ttl
        self._trouble: ClientError | None = None

    def begin(self) -> None:
        """From now on this process keeps it."""
        self._process = forking.here()

    def end(self) -> None:
        """Nobody keeps it any more."""
        self._process = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is a child of the process that keeps it."""
        return forking.is_another(self._process)

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost, as far as it was looked at; None while it is not."""
        return LeaseLost.elsewhere(self.key) if self.is_elsewhere else self._lost

    def look_first(self) -> requests.Request:
        """What is asked before the first refresh of a key that somebody else has made."""
        return requests.get(self.key, recursive=False, sort=False, quorum=True)

    def found(self, there: Result) -> None:
        """Take what look_first found. Raises NoTTL."""
        if not there.node.expiration:
            raise NoTTL(self.key)

    def request(self) -> requests.Request:
        """The refresh."""
        return requests.put(self.key, None, ttl=self.ttl, prev_exist=True, refresh=True)

    def left_s(self, at_s: float) -> float:
        """How long a refresh that is sent now may take."""
        return max(0.001, min(self.ttl / REFRESHES, self._ends_s - at_s))

    def took(self, outcome: Result | ClientError, *, sent_s: float, at_s: float) -> None:
        """Take the outcome of a refresh."""
        if not isinstance(outcome, ClientError):
            self._ends_s = sent_s + self.ttl
            self.next_s = sent_s + self.ttl / REFRESHES
        elif isinstance(outcome, ClientClosed) or (
            isinstance(outcome, EtcdError) and not isinstance(outcome, RaftFailed)
        ):
            self._lost = LeaseLost(self.key, str(outcome))
        else:
            self._trouble = outcome
            self.next_s = min(at_s + self.ttl / _RETRIES, self._ends_s)
        self.look(at_s)

    def look(self, at_s: float) -> None:
        """See whether it has run out by now."""
        if self._lost is None and at_s >= self._ends_s:
            why = f"no refresh succeeded for {self.ttl} s"
            self._lost = LeaseLost(
                self.key, f"{why} ({str(self._trouble).strip()})" if self._trouble else why
            )


class Lease:
    """Keeps a key alive from a thread, for a Client."""

    def __init__(
        self,
        client: Client,
        key: str,
        ttl: int,
        *,
        on_lost: Callable[[LeaseLost], None] | None = None,
        alive_s: float | None = None,
    ) -> None:
        """`ttl` in s. `alive_s`: the key got its TTL by a request sent at this now_s(); without
        it the block begins with a look, which raises NoTTL, and a refresh; both raise what goes
        wrong.
        """
        self._keeping = Keeping(key, ttl, now_s() if alive_s is None else alive_s)
        self._is_alive = alive_s is not None
        self._on_lost = on_lost
        self._is_ended = False
        self._wake = threading.Event()
        self._client = client.twin(on_close=self._wake.set)
        self._thread = threading.Thread(target=self._keep, name=f"lease {key}", daemon=True)

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost; None while it is not."""
        if not self._is_ended:
            self._keeping.look(now_s())
        return self._keeping.lost

    def check(self) -> None:
        """Raise LeaseLost if it is lost."""
        if (lost := self.lost) is not None:
            raise lost

    def __enter__(self) -> Lease:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        lost = self.lost
        self.close()
        if kind is None and lost is not None:
            raise lost

    def start(self) -> None:
        """Begin."""
        if not self._is_alive:
            try:
                self._keeping.found(self._client.keys(self._keeping.look_first()))
                sent_s = now_s()
                outcome = self._client.keys(self._keeping.request())
            except ClientError:
                self._client.close()
                raise
            self._keeping.took(outcome, sent_s=sent_s, at_s=now_s())
        self._keeping.begin()
        self._thread.start()

    def close(self) -> None:
        """Refresh it no more."""
        if self._keeping.is_elsewhere:
            return
        self._is_ended = True
        self._keeping.end()
        self._client.close()  # wakes the thread, and ends a refresh that is waited for
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _keep(self) -> None:
        # Signals are for the program's own threads.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        keeping = self._keeping
        while keeping.lost is None:
            self._wake.wait(max(0.0, keeping.next_s - now_s()))
            if self._is_ended:
                return
            keeping.look(now_s())
            if keeping.lost is None:
                self._refresh()
        if self._on_lost is not None and not self._is_ended:
            self._on_lost(keeping.lost)

    def _refresh(self) -> None:
        keeping, sent_s = self._keeping, now_s()
        left_s = keeping.left_s(sent_s)
        endpoint_s = min(keeping.ttl / _ENDPOINTS, left_s)
        self._client.limit(timeout_s=endpoint_s, total_timeout_s=left_s)
        try:
            outcome: Result | ClientError = self._client.keys(keeping.request())
        except ClientError as error:
            outcome = error
        if not self._is_ended:
            keeping.took(outcome, sent_s=sent_s, at_s=now_s())


class AsyncLease:
    """Keeps a key alive from a task, for an AsyncClient; a loss cancels the block it is for."""

    def __init__(
        self,
        client: AsyncClient,
        key: str,
        ttl: int,
        *,
        on_lost: Callable[[LeaseLost], None] | None = None,
        alive_s: float | None = None,
    ) -> None:
        """As Lease's. Without `on_lost` the block is cancelled, and LeaseLost comes out of it."""
        self._keeping = Keeping(key, ttl, now_s() if alive_s is None else alive_s)
        self._is_alive = alive_s is not None
        self._client = client.twin()
        self._on_lost = on_lost
        self._task: asyncio.Task[None] | None = None
        self._block: asyncio.Task[object] | None = None
        self._has_cancelled = False

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost; None while it is not."""
        if self._task is not None:
            self._keeping.look(now_s())
        return self._keeping.lost

    def check(self) -> None:
        """Raise LeaseLost if it is lost."""
        if (lost := self.lost) is not None:
            raise lost

    async def __aenter__(self) -> AsyncLease:
        self._block = asyncio.current_task()
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        lost = self.lost
        await self.close()
        if self._has_cancelled and self._block is not None:
            is_ours = self._block.uncancel() == 0
            if kind is not None and issubclass(kind, asyncio.CancelledError) and is_ours:
                raise lost or asyncio.CancelledError from None
        if kind is None and lost is not None:
            raise lost

    async def start(self) -> None:
        """Begin."""
        if not self._is_alive:
            self._keeping.found(await self._client.keys(self._keeping.look_first()))
            sent_s = now_s()
            outcome = await self._client.keys(self._keeping.request())
            self._keeping.took(outcome, sent_s=sent_s, at_s=now_s())
        self._keeping.begin()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Refresh it no more."""
        if self._keeping.is_elsewhere:
            return
        self._keeping.end()
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        keeping = self._keeping
        while keeping.lost is None:
            await asyncio.sleep(max(0.0, keeping.next_s - now_s()))
            keeping.look(now_s())
            if keeping.lost is None:
                await self._refresh()
        if self._on_lost is not None:
            self._on_lost(keeping.lost)
        elif self._block is not None:
            self._has_cancelled = True
            self._block.cancel()

    async def _refresh(self) -> None:
        keeping, sent_s = self._keeping, now_s()
        left_s = keeping.left_s(sent_s)
        endpoint_s = min(keeping.ttl / _ENDPOINTS, left_s)
        self._client.limit(timeout_s=endpoint_s, total_timeout_s=left_s)
        try:
            outcome: Result | ClientError = await self._client.keys(keeping.request())
        except ClientError as error:
            outcome = error
        keeping.took(outcome, sent_s=sent_s, at_s=now_s())
