"""Room on the disk: seen to before it is needed, and writes refused while there is none.

Laws:

* The log never has to make a file at the moment it is written to: the next one is made ahead of
  need, in a thread, and that is where a full disk shows, harmlessly.
* While the disk is full, or the next file cannot be made, writes are refused and reads go on. It is
  looked at every second, and not more often, so the server recovers by itself.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.disk import Disk
    from raft.journal import Journal

# Below this much free space writes are refused: what is promised must still fit, and a snapshot.
FREE_BYTES_MIN: Final = 32 << 20
_CHECK_S: Final = 1.0

_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)

_logger = logging.getLogger("raft")


class Writes(Protocol):
    """What must know of a full disk: the driver."""

    @property
    def wants_room(self) -> bool: ...

    @property
    def disk_full(self) -> bool: ...

    def set_disk_full(self, *, full: bool) -> None: ...

    def wake(self) -> None: ...


class Space:
    """Watches the disk of the journal and has its next file made."""

    def __init__(
        self,
        disk: Disk,
        directory: str,
        journal: Journal,
        *,
        on_full: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`on_full` is called each time the disk is found full."""
        self._disk = disk
        self._directory = directory
        self._journal = journal
        self._on_full = on_full
        self._on_fatal = on_fatal
        self._writes: Writes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._preparing: asyncio.Task[None] | None = None
        # The last try to make the next file failed for want of room.
        self._no_spare = False

    def start(self, writes: Writes) -> None:
        """Begin to watch; must be called on the event loop."""
        self._writes = writes
        self._watch()

    async def stop(self) -> None:
        """End watching; a file that is being made is finished first."""
        if self._timer is not None:
            self._timer.cancel()
        if self._preparing is not None:
            await asyncio.wait([self._preparing])

    def prepare(self) -> None:
        """Have the next file made if one is wanted; after a failure the watch tries again."""
        if not self._no_spare:
            self._prepare_if_wanted()

    def _prepare_if_wanted(self) -> None:
        wanted = (
            self._no_spare
            or self._journal.needs_preparing
            or (self._writes is not None and self._writes.wants_room)
        )
        if wanted and self._preparing is None:
            self._preparing = asyncio.create_task(self._prepare())

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_CHECK_S, self._watch)
        self._prepare_if_wanted()
        try:
            self._look()
        except OSError as error:
            self._on_fatal(error)
        if self._writes is not None and self._writes.disk_full:
            self._on_full()

    async def _prepare(self) -> None:
        try:
            self._no_spare = not await self._make()
            self._look()
        except Exception as error:
            self._on_fatal(error)
            return
        finally:
            self._preparing = None
        if self._writes is not None:
            self._writes.wake()

    async def _make(self) -> bool:
        """Make the next file; tell whether there was room for it."""
        try:
            await asyncio.to_thread(self._journal.prepare)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            return False
        return True

    def _look(self) -> None:
        free_bytes = self._disk.free_bytes(self._directory)
        full = free_bytes < FREE_BYTES_MIN or self._no_spare
        if self._writes is None or full == self._writes.disk_full:
            return
        self._writes.set_disk_full(full=full)
        if full:
            _logger.warning(
                "the disk of %s is full (%d bytes are free, %d are needed): refusing writes, "
                "serving reads",
                self._directory,
                free_bytes,
                FREE_BYTES_MIN,
            )
        else:
            _logger.info("the disk of %s has room again: accepting writes", self._directory)
