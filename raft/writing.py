"""What the journal has buffered, put on disk: on the event loop, or in a thread while that is slow.

Laws:

* One write at a time. What a write in a thread covers, promises that wait for it included, is fixed
  when it begins; they leave when it has ended, and those made meanwhile wait for the next one.
* On a fast disk a sync on the event loop is quicker than any hand-over; on a slow one the loop goes
  on meanwhile. It moves to the thread, and back, by itself.
* Whoever asks for a flush is told once everything buffered until then is on disk, and is not left
  waiting by a write that fails.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from raft.clock import Clock
    from raft.desk import Desk
    from raft.journal import Journal
    from raft.log import Log
    from raft.messages import Message

# A disk whose syncs take longer than this (moving average) gets a thread; below half of it the sync
# comes back to the event loop. A hand-over costs 0.1 to 0.3 ms, and a fast disk that three members
# of one machine share takes up to 1 ms.
SLOW_SYNC_NS: Final = 2_000_000
_AVERAGE_WEIGHT: Final = 0.05


class Writing:
    """Writes of one journal, those who wait for them, and how long they take."""

    def __init__(
        self,
        log: Log,
        journal: Journal,
        desk: Desk,
        *,
        clock: Clock,
        send: Callable[[int, Message], object],
        on_synced: Callable[[], None],
    ) -> None:
        """`send` takes a member and a message that promises something."""
        self._log = log
        self._journal = journal
        self._desk = desk
        self._clock = clock
        self._send = send
        self._on_synced = on_synced
        self._loop = asyncio.get_running_loop()
        self._flushes: list[asyncio.Future[None]] = []
        # The write that is under way in a thread, and since when.
        self._under_way: asyncio.Future[int] | None = None
        self._began_ns = 0
        self.is_slow = False
        self.average_ns = 0.0
        self.on_sync: Callable[[int], None] = lambda _took_ns: None

    @property
    def is_under_way(self) -> bool:
        """Whether a thread is writing."""
        return self._under_way is not None

    @property
    def is_clean(self) -> bool:
        """Whether everything is on disk."""
        return self._under_way is None and not self._journal.pending

    def under_way_ns(self) -> int:
        """How long the thread has been writing."""
        return self._clock.monotonic_ns() - self._began_ns

    def flush(self) -> asyncio.Future[None]:
        """Return a future that is done once everything buffered by now is on disk."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._flushes.append(future)
        return future

    def release(self) -> None:
        """Everything is on disk: what promises something may leave, and flushes are done."""
        self._release(self._desk.take_held())
        flushes, self._flushes = self._flushes, []
        _settle(flushes)

    def _release(self, held: Iterable[tuple[int, Message]]) -> None:
        for member, message in held:
            self._send(member, message)

    def write(self) -> None:
        """Write what is buffered, here and now."""
        started_ns = self._clock.monotonic_ns()
        covered = self._log.begin_sync()
        self._journal.sync()
        self._synced(covered, self._clock.monotonic_ns() - started_ns)

    def write_in_thread(self, done: Callable[[Callable[[], None]], None]) -> None:
        """Write what is buffered in a thread; `done` is given what acts on it, which may raise."""
        covered = self._log.begin_sync()
        flushes, self._flushes = self._flushes, []
        held = self._desk.take_held()
        chunk = self._journal.take()
        self._began_ns = self._clock.monotonic_ns()

        def write() -> int:
            # Timed here: the way to the thread and back says nothing about the disk.
            started_ns = self._clock.monotonic_ns()
            self._journal.write(chunk)
            return self._clock.monotonic_ns() - started_ns

        def learn() -> None:
            self._synced(covered, writing.result())
            self._release(held)
            _settle(flushes)

        def written(_done: asyncio.Future[int]) -> None:
            self._under_way = None
            done(learn)
            for flush in flushes:
                flush.cancel()  # those of a write that failed: nobody may wait for them for ever

        self._under_way = writing = self._loop.run_in_executor(None, write)
        writing.add_done_callback(written)

    def _synced(self, covered: int, took_ns: int) -> None:
        self._log.synced(covered)
        self.average_ns += _AVERAGE_WEIGHT * (took_ns - self.average_ns)
        self.is_slow = self.average_ns > (SLOW_SYNC_NS // 2 if self.is_slow else SLOW_SYNC_NS)
        self._on_synced()
        self.on_sync(took_ns)

    async def ended(self) -> None:
        """Wait for the write under way."""
        if self._under_way is not None:
            await asyncio.wait([self._under_way])

    def cancel_flushes(self) -> None:
        """Nothing more is written: whoever waits for it waits no longer."""
        for flush in self._flushes:
            flush.cancel()


def _settle(flushes: list[asyncio.Future[None]]) -> None:
    for flush in flushes:
        if not flush.done():
            flush.set_result(None)
