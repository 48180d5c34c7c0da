"""The driver: what happens in which order, one turn of the event loop at a time.

Laws:

* append -> fdatasync -> commit -> apply -> reply. Nothing is applied, and no reply released, above
  the index up to which the journal is known to be on disk.
* No engine turn happens while something appended is not yet synced.
* All proposals of a turn share one sync. The sync runs on the event loop, which on a fast disk is
  quicker than any hand-over, and moves to a thread by itself while the disk is slow.
* Any exception from the engine, the journal or the state machine is fatal: the process ends without
  another reply.
* Nothing is appended that might need a new file at once: a disk that is full is found out while a
  spare file is made, and then writes are refused; the log never dies of it.
* Every wait ends: a proposal that has no reply after the request time-out fails, saying whether it
  may still happen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from raft import batch
from raft.errors import (
    NO_SPACE,
    STOPPED,
    STOPPED_UNKNOWN,
    TIMED_OUT,
    TIMED_OUT_UNKNOWN,
    TOO_MANY,
    ProposalFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.clock import Clock, ClusterClock
    from raft.engine import Engine
    from raft.journal import Journal
    from raft.log import Log
    from raft.machine import StateMachine

ReplyT = TypeVar("ReplyT")

# Proposals waiting for their turn. Connections have at most one each, so only very many of them, or
# a disk that hangs, come near this.
WAITING_BYTES_MAX: Final = 256 << 20

# A disk whose syncs take longer than this (moving average) gets a thread; below half of it the sync
# comes back to the event loop. A hand-over costs about 0.1 ms.
SLOW_SYNC_NS: Final = 1_000_000
_AVERAGE_WEIGHT: Final = 0.05

# Room in the journal left for what the engine appends by itself: votes and its no-op.
_ROOM_KEPT_BYTES: Final = 64 * 1024
# What a record's header adds to an entry, generously.
_RECORD_EXTRA_BYTES: Final = 128

# etcd's SYNC: while some key has a TTL, the leader logs the time this often.
STAMP_PERIOD_NS: Final = 500_000_000
_TICK_S: Final = 0.1


class Driver(Generic[ReplyT]):
    """Drives one engine, its journal and its state machine on one event loop."""

    def __init__(
        self,
        engine: Engine,
        log: Log,
        journal: Journal,
        machine: StateMachine[ReplyT],
        *,
        clock: Clock,
        cluster_clock: ClusterClock,
        origin: int,
        request_timeout_ms: int,
        applied: int,
        on_applied: Callable[[], None],
        on_no_room: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._log = log
        self._journal = journal
        self._machine = machine
        self._clock = clock
        self._cluster_clock = cluster_clock
        self._origin = origin
        self._timeout_ns = request_timeout_ms * 1_000_000
        self._on_applied = on_applied
        self._on_no_room = on_no_room
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()

        # Proposals by number, in the order they came: (deadline, future). Those still in `_waiting`
        # have not been handed to the engine.
        self._pending: dict[int, tuple[int, asyncio.Future[ReplyT]]] = {}
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        # Entries given to the engine, to compare with what it has appended.
        self._handed_in_bytes = log.added_bytes
        self._number = 0
        self._readers: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._flushes: list[asyncio.Future[None]] = []

        self._committed: deque[tuple[int, bytes]] = deque()
        self._durable = log.last_index
        self.applied_index = applied
        self.applied_stamp_ns = cluster_clock.last_ns
        self.proposals_failed = 0
        self.peers: tuple[batch.Peer, ...] | None = None

        self._turn_due = False
        # The write that is under way in a thread.
        self._write: asyncio.Future[int] | None = None
        self._stopped = False
        self._failed = False
        self.sync_average_ns = 0.0
        self.on_sync: Callable[[int], None] = lambda _took_ns: None
        self._slow_disk = False
        self._disk_full = False
        # The next command does not fit into what the journal has prepared.
        self.wants_room = False
        self._next_stamp_ns = 0
        self._ticker: asyncio.TimerHandle | None = None

    # -- for everyone -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick; must be called on the event loop."""
        self._tick()

    async def stop(self) -> None:
        """Stop after what is being written; whoever still waits then is told so."""
        self._stopped = True
        if self._ticker is not None:
            self._ticker.cancel()
        if self._write is not None:
            await asyncio.wait([self._write])
            if not self._failed:
                self._guarded(self._finish)
        unproposed = {number for number, _command in self._waiting}
        for number, (_deadline, future) in self._pending.items():
            self._fail(future, STOPPED if number in unproposed else STOPPED_UNKNOWN)
        self._pending.clear()
        while self._readers:
            self._fail(self._readers.popleft()[1], STOPPED)
        for flush in self._flushes:
            flush.cancel()

    async def settle(self, timeout_s: float) -> None:
        """Wait until everything proposed so far has its reply, but not longer than that."""
        waiting = [future for _deadline, future in self._pending.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)

    @property
    def disk_full(self) -> bool:
        return self._disk_full

    def set_disk_full(self, *, full: bool) -> None:
        """Refuse writes from now on, those in the queue included, or take them again."""
        self._disk_full = full
        while full and self._waiting:
            number, _command = self._pop_waiting()
            waiter = self._pending.pop(number, None)
            if waiter is not None:
                self._fail(waiter[1], NO_SPACE)

    @property
    def pending(self) -> int:
        """How many proposals wait for their reply."""
        return len(self._pending)

    def propose(self, command: bytes, *, reserved: bool = False) -> asyncio.Future[ReplyT]:
        """Propose a command; the future is its reply once it is applied, or ProposalFailed.

        `reserved`: a small command of the server's own, for which there is room on a full disk.
        """
        future: asyncio.Future[ReplyT] = self._loop.create_future()
        if self._stopped:
            self._fail(future, STOPPED)
        elif self._disk_full and not reserved:
            self._fail(future, NO_SPACE)
        elif self._waiting_bytes + len(command) > WAITING_BYTES_MAX:
            self._fail(future, TOO_MANY)
        else:
            self._number += 1
            self._pending[self._number] = (self._clock.monotonic_ns() + self._timeout_ns, future)
            self._waiting.append((self._number, command))
            self._waiting_bytes += len(command)
            self.wake()
        return future

    def read_barrier(self) -> asyncio.Future[None]:
        """Return a future that is done when a local read is as good as a read through the log."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self._stopped:
            self._fail(future, STOPPED)
        elif self._is_current():
            future.set_result(None)
        else:
            self._readers.append((self._clock.monotonic_ns() + self._timeout_ns, future))
        return future

    def flush(self) -> asyncio.Future[None]:
        """Return a future that is done once everything buffered in the journal is on disk."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self._stopped:
            future.cancel()
        else:
            self._flushes.append(future)
            self.wake()
        return future

    def wake(self) -> None:
        """Ask for a turn soon: something was proposed, buffered or learnt."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    # -- turns ------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._turn_due = False
        if self._write is None and not self._stopped:  # else the end of the write wakes us
            self._guarded(self._advance)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run a step; whatever it raises, nothing after it can be trusted."""
        try:
            step()
        except Exception as error:
            self._stopped = self._failed = True
            self._on_fatal(error)

    def _advance(self) -> None:
        self._hand_in()
        self._committed.extend(self._engine.turn())
        while self._journal.pending:
            if self._slow_disk:
                self._sync_in_thread()
                break
            started_ns = self._clock.monotonic_ns()
            covered = self._log.last_index
            self._journal.sync()
            self._synced(covered, self._clock.monotonic_ns() - started_ns)
            self._committed.extend(self._engine.turn())
        else:
            self._settle_flushes(self._take_flushes())
        self._apply_committed()

    def _finish(self) -> None:
        """The last turn: nothing new, but what is on disk is applied and answered."""
        if not self._journal.pending:
            self._committed.extend(self._engine.turn())
        self._apply_committed()

    def _take_flushes(self) -> list[asyncio.Future[None]]:
        flushes, self._flushes = self._flushes, []
        return flushes

    @staticmethod
    def _settle_flushes(flushes: list[asyncio.Future[None]]) -> None:
        for flush in flushes:
            if not flush.done():
                flush.set_result(None)

    def _hand_in(self) -> None:
        """Make entries of the waiting commands, if this member may and the journal has room."""
        if not self._waiting or not self._engine.is_leader:
            return
        if self._handed_in_bytes != self._log.added_bytes:
            self.wake()  # the engine has not appended all it was given; then there is room to see
            return
        room, next_room = self._journal.room_bytes
        room -= _ROOM_KEPT_BYTES
        self.wants_room = False
        while self._waiting:
            before = len(self._waiting)
            ids, commands = self._next_commands(room)
            if len(self._waiting) == before:
                if next_room:
                    room, next_room = next_room - _ROOM_KEPT_BYTES, 0
                    continue
                self.wants_room = True
                self._on_no_room()
                return  # the end of the preparing wakes us
            if commands:
                stamp_ns, wall_ns = self._cluster_clock.stamp(), self._clock.wall_ns()
                entry = batch.encode(batch.Batch(stamp_ns, wall_ns, ids, commands))
                room -= len(entry) + _RECORD_EXTRA_BYTES
                self._handed_in_bytes += len(entry)
                self._engine.propose(entry)

    def _pop_waiting(self) -> tuple[int, bytes]:
        number, command = self._waiting.popleft()
        self._waiting_bytes -= len(command)
        return number, command

    def _next_commands(self, room: int) -> tuple[list[tuple[int, int]], list[bytes]]:
        """Take the commands of one entry off the queue, with the ids of their proposals."""
        ids: list[tuple[int, int]] = []
        commands: list[bytes] = []
        limit, size = min(room, batch.BYTES_MAX), 0
        while self._waiting and len(commands) < batch.COMMANDS_MAX:
            number, command = self._waiting[0]
            wanted = number in self._pending  # else it has timed out
            size += len(command) + _RECORD_EXTRA_BYTES if wanted else 0
            if wanted and size > (limit if commands else room):
                break
            self._pop_waiting()
            if wanted:
                ids.append((self._origin, number))
                commands.append(command)
        return ids, commands

    def _sync_in_thread(self) -> None:
        covered = self._log.last_index
        flushes = self._take_flushes()
        chunk = self._journal.take()

        def write() -> int:
            # Timed here: the way to the thread and back says nothing about the disk.
            started_ns = self._clock.monotonic_ns()
            self._journal.write(chunk)
            return self._clock.monotonic_ns() - started_ns

        def learn() -> None:
            self._synced(covered, writing.result())
            self._settle_flushes(flushes)

        def written(_done: asyncio.Future[int]) -> None:
            self._write = None
            self._guarded(learn)
            self._turn()

        self._write = writing = self._loop.run_in_executor(None, write)
        writing.add_done_callback(written)

    def _synced(self, covered: int, took_ns: int) -> None:
        self._durable = covered
        self.sync_average_ns += _AVERAGE_WEIGHT * (took_ns - self.sync_average_ns)
        limit = SLOW_SYNC_NS // 2 if self._slow_disk else SLOW_SYNC_NS
        self._slow_disk = self.sync_average_ns > limit
        self.on_sync(took_ns)

    # -- applying ---------------------------------------------------------------------------

    def _apply_committed(self) -> None:
        applied = False
        while self._committed and self._committed[0][0] <= self._durable:
            index, data = self._committed.popleft()
            self.apply_entry(index, data)
            applied = True
        if applied:
            self._on_applied()
        if self._readers and self._is_current():
            while self._readers:
                reader = self._readers.popleft()[1]
                if not reader.done():
                    reader.set_result(None)

    def apply_entry(self, index: int, data: bytes) -> None:
        """Apply one committed entry and answer those of its commands that were proposed here."""
        entry = batch.decode(data)
        self.applied_index = index
        if entry is None:
            return
        self._cluster_clock.saw(entry.stamp_ns)
        self.applied_stamp_ns = entry.stamp_ns
        if entry.peers is not None:
            self.peers = entry.peers
        replies = self._machine.apply(entry.stamp_ns, entry.wall_ns, entry.commands)
        for (origin, number), reply in zip(entry.ids, replies, strict=True):
            if origin == self._origin:
                waiter = self._pending.pop(number, None)
                if waiter is not None:
                    self._settle(waiter[1], reply)

    def _is_current(self) -> bool:
        """Whether all that was ever acknowledged is applied here."""
        return self._engine.is_ready_leader and self.applied_index >= self._engine.commit_index

    @staticmethod
    def _settle(future: asyncio.Future[ReplyT], reply: ReplyT) -> None:
        if not future.done():
            future.set_result(reply)

    def _fail(self, future: asyncio.Future[ReplyT] | asyncio.Future[None], cause: str) -> None:
        self.proposals_failed += 1
        if not future.done():
            future.set_exception(ProposalFailed(cause))

    # -- time -------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        self._guarded(self._let_time_pass)
        self._turn()

    def _let_time_pass(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._expire_requests(now_ns)
        due = now_ns >= self._next_stamp_ns or self._machine.is_behind()
        if due and self._engine.is_leader:
            self._next_stamp_ns = now_ns + STAMP_PERIOD_NS
            command = self._machine.tick_command()
            if command is not None and not self._disk_full:
                # Nobody waits for the reply, but somebody must look at the outcome.
                self.propose(command).add_done_callback(asyncio.Future.exception)

    def _expire_requests(self, now_ns: int) -> None:
        while self._readers and self._readers[0][0] <= now_ns:
            self._fail(self._readers.popleft()[1], TIMED_OUT)
        unproposed: set[int] | None = None
        while self._pending:
            number = next(iter(self._pending))
            deadline_ns, future = self._pending[number]
            if deadline_ns > now_ns:
                break
            if unproposed is None:
                unproposed = {waiting for waiting, _command in self._waiting}
            del self._pending[number]
            self._fail(future, TIMED_OUT if number in unproposed else TIMED_OUT_UNKNOWN)
