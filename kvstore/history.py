"""The last thousand events, for watches that begin in the past.

Laws:

* Every index has exactly one event: the events kept are consecutive, and an index is a position.
* Bounded by count and by bytes. (DEVIATES: etcd bounds the count only; a thousand events with
  values of 10 MiB each would take 20 GiB.)
* The rules by which a scan matches are etcd's, which differ a little from the live ones
  (contract/keys.md section 9.3): hidden events are found, and the removal of a directory is matched
  by plain string prefix.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from kvstore.errors import EVENT_INDEX_CLEARED, EtcdError
from kvstore.paths import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvstore.event import Event

EVENTS_MAX: Final = 1000
BYTES_MAX: Final = 256 << 20


class History:
    """A window over the newest events."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self._size_bytes = 0

    def append(self, event: Event) -> None:
        events = self.events
        events.append(event)
        self._size_bytes += len(event.body)
        while len(events) > EVENTS_MAX or (self._size_bytes > BYTES_MAX and len(events) > 1):
            self._size_bytes -= len(events.popleft().body)

    def scan(self, path: bytes, *, recursive: bool, since: int, index: int) -> Iterator[Event]:
        """Return the kept events from `since` on that a watch of `path` matches, oldest first.

        Raises EtcdError 401 (with the store's `index`) when events from `since` on were dropped.
        """
        first = self.events[0].index if self.events else 0
        if since < first:
            cause = b"the requested history has been cleared [%d/%d]" % (first, since)
            raise EtcdError(EVENT_INDEX_CLEARED, cause, index)
        return self._matching(path, recursive, since - first)

    def _matching(self, path: bytes, recursive: bool, skip: int) -> Iterator[Event]:
        prefix = below(path)
        # A waitIndex may be any uint64, a position may not.
        for event in islice(self.events, min(skip, EVENTS_MAX), None):
            if not event.refresh and (
                event.key == path
                or (recursive and event.key.startswith(prefix))
                or (event.removed_dir and path.startswith(event.key))
            ):
                yield event
