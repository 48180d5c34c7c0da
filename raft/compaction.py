"""Snapshots of the state machine, and the log they make superfluous.

Laws:

* A snapshot is taken after `snapshot_count` commands, when the log has grown past a size, or when
  the disk is full of it; never two at a time. It holds up nobody: the state is frozen in
  milliseconds, encoded in slices on the event loop, written in a thread.
* Behind a snapshot a trailing window of the log stays, so that a member that was away for a moment
  need not fetch a whole snapshot.
* The order is: snapshot durable under its name, mark in the journal, then and only then drop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from raft.errors import in_words
from raft.snapshots import SnapshotMeta

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from raft.journal import Journal
    from raft.log import Log
    from raft.snapshots import SnapshotStore

TRAILING_COMMANDS: Final = 5000
TRAILING_BYTES_MAX: Final = 64 << 20
LOG_BYTES_MAX: Final = 256 << 20
# What stays of the log when the disk is full.
RELIEF_BYTES_MAX: Final = 16 << 20

# A snapshot that could not be written is not tried again at once.
_RETRY_S: Final = 30.0

_logger = logging.getLogger("etcdserver")


class _GivenUp(Exception):
    """The snapshot is not wanted any more; the message says why."""


class Compactor:
    """Decides when to take a snapshot, and takes it."""

    def __init__(
        self,
        log: Log,
        journal: Journal,
        snapshots: SnapshotStore,
        *,
        snapshot_count: int,
        snapshots_max: int,
        trailing_commands: int,
        last_index: int,
        last_commands: int,
        freeze: Callable[[], Iterator[bytes]],
        flush: Callable[[], Awaitable[None]],
        needed_from: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`last_*`: index and count of commands of the newest snapshot, 0 for none.

        `flush` makes durable what is buffered in the journal; `needed_from` tells from which index
        on the log must stay, for somebody who is being sent what comes before.
        """
        self._log = log
        self._journal = journal
        self._snapshots = snapshots
        self._snapshot_count = snapshot_count
        self._snapshots_max = snapshots_max
        self._trailing_commands = trailing_commands
        self._needed_from = needed_from
        self._freeze = freeze
        self._flush = flush
        self.last_index = last_index
        self._last_commands = last_commands
        self._task: asyncio.Task[None] | None = None
        self._not_before_s = 0.0
        self._stopping = False
        self.on_saved: Callable[[float], None] = lambda _took_s: None

    def applied(self, index: int, encode_config: Callable[[], bytes]) -> None:
        """Learn that the state machine stands at `index`; begin a snapshot if one is due."""
        if not self._may_begin(index):
            return
        commands = self._log.commands_up_to(index)
        due = commands - self._last_commands >= self._snapshot_count
        if due or self._log.size_bytes > LOG_BYTES_MAX:
            self._begin(index, encode_config)

    def relieve(self, index: int, encode_config: Callable[[], bytes]) -> None:
        """Learn that the disk is full: begin a snapshot if much of the log can go for it."""
        if self._may_begin(index) and self._log.size_bytes > 2 * RELIEF_BYTES_MAX:
            self._begin(index, encode_config, RELIEF_BYTES_MAX)

    def _may_begin(self, index: int) -> bool:
        if self._task is not None or self._stopping or index <= self.last_index:
            return False
        return asyncio.get_running_loop().time() >= self._not_before_s

    def _begin(
        self,
        index: int,
        encode_config: Callable[[], bytes],
        trailing_bytes: int = TRAILING_BYTES_MAX,
    ) -> None:
        commands = self._log.commands_up_to(index)
        meta = SnapshotMeta(index, self._log.term_at(index), encode_config(), commands)
        self._task = asyncio.create_task(self._save(meta, self._freeze(), trailing_bytes))

    async def take(self, index: int, encode_config: Callable[[], bytes]) -> None:
        """Take a snapshot now, or wait for the one being taken."""
        if self._task is None and not self._stopping and index > self.last_index:
            self._begin(index, encode_config)
        if self._task is not None:
            await asyncio.wait([self._task])

    def installed(self, meta: SnapshotMeta) -> None:
        """Learn that a snapshot from elsewhere has been installed."""
        self.last_index, self._last_commands = meta.index, meta.commands

    async def stop(self) -> None:
        """Give up a snapshot that is being taken; the log still has everything."""
        self._stopping = True
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _save(self, meta: SnapshotMeta, chunks: Iterator[bytes], trailing_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            await self._write(meta, chunks)
            if meta.index <= self.last_index:
                raise _GivenUp("a newer one was installed")
            self._journal.mark_snapshot(meta.index, meta.term)
            await self._flush()
            self.last_index, self._last_commands = meta.index, meta.commands
            self.on_saved(loop.time() - started_s)
            await self._compact(meta, trailing_bytes)
        except _GivenUp as reason:
            _logger.info("gave up the snapshot at index %d: %s", meta.index, reason)
        except Exception as error:
            # The log is whole, so nothing is lost, and dying would not mend it.
            words = in_words(error)
            _logger.error("could not save a snapshot at index %d: %s", meta.index, words)
            self._not_before_s = loop.time() + _RETRY_S
        finally:
            self._task = None

    async def _compact(self, meta: SnapshotMeta, trailing_bytes: int) -> None:
        """Drop the log and the snapshots that are no longer needed."""
        base = self._log.window_start(
            meta.index, commands=self._trailing_commands, size_bytes=trailing_bytes
        )
        needed = self._needed_from()
        base = base if needed is None else max(self._log.first_index, min(base, needed))
        self._log.compact(base)
        _logger.info("saved snapshot at index %d; the log now begins at index %d", meta.index, base)
        try:
            await asyncio.to_thread(self._journal.compact, base)
            await asyncio.to_thread(self._snapshots.purge, self._snapshots_max)
        except Exception as error:
            # They take room and do no harm; the next snapshot tries again.
            words = in_words(error)
            _logger.error("could not remove what that snapshot made superfluous: %s", words)

    async def _write(self, meta: SnapshotMeta, chunks: Iterator[bytes]) -> None:
        writer = await asyncio.to_thread(self._snapshots.begin, meta)
        try:
            for chunk in chunks:
                if self._stopping:
                    raise _GivenUp("the server stops")
                await asyncio.to_thread(writer.write, chunk)
            await asyncio.to_thread(writer.commit)
        except BaseException:
            writer.abort()
            raise
