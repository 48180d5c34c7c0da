"""Watchers, and who is told of which event (contract/keys.md section 9).

Laws:

* A watcher hears of each event at most once. (DEVIATES: etcd delivers a delete twice to a stream
  that watches exactly the deleted key.)
* Telling is a function call, `deliver(event)`, made while the event is being applied; it must not
  block or raise. What bounds the queue behind it is the business of whoever registered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore.paths import ancestors, below, is_hidden_from

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from kvstore.event import Event


class Watcher:
    """One registration: events at `path` (or below, if recursive) from index `since` on."""

    __slots__ = ("_hub", "deliver", "path", "recursive", "since", "stream")

    def __init__(
        self, hub: WatcherHub, path: bytes, deliver: Callable[[Event], None], *, since: int
    ) -> None:
        self._hub = hub
        self.path = path
        self.deliver = deliver
        self.since = since
        self.recursive = False
        self.stream = False

    def cancel(self) -> None:
        """Forget the watcher; doing so twice is fine."""
        self._hub.remove(self)


class WatcherHub:
    """All live watchers by the path they watch."""

    def __init__(self) -> None:
        # Dictionaries keep the order of registration, in which watchers of a path are told.
        self._watchers: dict[bytes, dict[Watcher, None]] = {}
        self.count = 0

    def add(self, watcher: Watcher) -> None:
        self._watchers.setdefault(watcher.path, {})[watcher] = None
        self.count += 1

    def remove(self, watcher: Watcher) -> None:
        there = self._watchers.get(watcher.path)
        if there is not None and watcher in there:
            del there[watcher]
            self.count -= 1
            if not there:
                del self._watchers[watcher.path]

    def notify(self, event: Event) -> None:
        """Tell the watchers of the event's key and of the directories above it."""
        if not self._watchers:
            return
        for path in ancestors(event.key):
            if path in self._watchers and not is_hidden_from(path, event.key):
                self._tell(path, event, exact=path == event.key)

    def notify_removed(self, event: Event, existing: Container[bytes]) -> None:
        """Tell the watchers of nodes that go away because the directory above them does.

        Must be called while the nodes still are in `existing`: a watch on a key that never was
        is not told.
        """
        prefix = below(event.key)
        for path in [p for p in self._watchers if p.startswith(prefix) and p in existing]:
            self._tell(path, event, exact=True)

    def _tell(self, path: bytes, event: Event, *, exact: bool) -> None:
        for watcher in list(self._watchers[path]):
            if (watcher.recursive or exact) and event.index >= watcher.since:
                if not watcher.stream:
                    self.remove(watcher)
                watcher.deliver(event)
