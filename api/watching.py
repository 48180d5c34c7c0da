"""Events on their way from the store to one waiting connection.

Laws:

* A feed is bounded. A stream whose reader is too slow for its bound is ended, so that the client
  sees a closed connection and resumes by waitIndex; no event is ever dropped in silence.
  (DEVIATES: etcd leaves such a stream open and mute.)
* When the server drains, or a member that was far behind has lost the events a feed waits for, the
  feed ends; a one-shot poll then gets an empty answer, which v2 clients know as "closed
  prematurely, ask again".
* Closing a feed frees its watcher. Whoever sends a feed closes it, whatever happens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvstore import Event, Watcher

# etcd bounds a watcher's queue at 100 events; the whole history is 1,000.
EVENTS_MAX: Final = 1000


class Feed:
    """The events for one long poll or stream."""

    __slots__ = ("_events", "_feeds", "_wake", "ended", "on_overflow", "watcher")

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._events: deque[bytes] = deque()
        self._wake: asyncio.Future[None] | None = None
        self.ended = False
        # Ends the connection: its writer may be waiting for a reader that is gone.
        self.on_overflow: Callable[[], None] = self.end
        self.watcher: Watcher | None = None
        feeds.open.add(self)

    def deliver(self, event: Event) -> None:
        """Take an event from the store."""
        if self.ended:
            return
        # History may hold as many events as the bound and is taken whole, before anyone can read.
        if len(self._events) >= EVENTS_MAX and self.watcher is not None:
            self.end()
            self.on_overflow()
            return
        self._events.append(event.body)
        self._notify()

    async def next(self) -> bytes | None:
        """Return the next event's JSON, waiting for it; None when the feed has ended."""
        while not self._events:
            if self.ended:
                return None
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self._events.popleft()

    @property
    def has_events(self) -> bool:
        """Whether `next` would return at once."""
        return bool(self._events)

    def end(self) -> None:
        """Let nothing more come; what is queued may still be read."""
        self.ended = True
        if self.watcher is not None:
            self.watcher.cancel()
        self._notify()

    def close(self) -> None:
        """Forget the feed and its watcher."""
        self.end()
        self._feeds.open.discard(self)

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Feeds:
    """All feeds of the server."""

    def __init__(self) -> None:
        self.open: set[Feed] = set()

    def drain(self) -> None:
        """End every feed: the server is going away."""
        for feed in list(self.open):
            feed.end()
