"""Watchers, and who is told of which event (contract/keys.md section 9).

Laws:

* A watcher hears of each event at most once. (DEVIATES: etcd delivers a delete twice to a stream
  that watches exactly the deleted key.)
* Telling is a function call, `deliver(event)`, made while the event is being applied; it must not
  block or raise. What bounds the queue behind it is the business of whoever registered.
* A watcher never misses an event in silence: if one that might concern it is gone for good, the
  watcher is told so (`lost`) and forgotten, and whoever registered has to begin anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore.event import REMOVALS
from kvstore.paths import ancestors, below, is_hidden_from

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from kvstore.event import Event


def nobody_to_tell() -> None:
    """What is called when a watcher is lost and nobody wants to know."""


class Watcher:
    """One registration: events at `path` (or below, if recursive) from index `since` on."""

    __slots__ = ("_hub", "deliver", "lost", "path", "recursive", "since", "stream")

    def __init__(
        self,
        hub: WatcherHub,
        path: bytes,
        deliver: Callable[[Event], None],
        *,
        since: int,
        lost: Callable[[], None] = nobody_to_tell,
    ) -> None:
        self._hub = hub
        self.path = path
        self.deliver = deliver
        self.lost = lost
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

    def jump(self, old: int, new: int, events: Sequence[Event], existing: Container[bytes]) -> None:
        """Tell of all that happened after index `old`, up to `new`, as if it happened now.

        `events` are the newest of it; the first ones may be missing. `existing` are the nodes there
        were at `old`.
        """
        first = events[0].index if events else new + 1
        if first > old + 1:
            self._lose(watcher for watcher in self._all() if watcher.since < first)
        presence = _Presence(self._watchers, existing if first == old + 1 else None)
        for event in events:
            if event.removed_dir:
                # Whether these were told depends on what there was in the part nobody knows.
                self._lose(
                    watcher
                    for path in presence.unclear_below(event.key)
                    for watcher in self._watchers.get(path, ())
                    if watcher.since <= event.index
                )
                self.notify_removed(event, presence.existing)
            presence.note(event)
            if not event.refresh:
                self.notify(event)

    def _all(self) -> Iterable[Watcher]:
        return (watcher for there in self._watchers.values() for watcher in there)

    def _lose(self, watchers: Iterable[Watcher]) -> None:
        for watcher in list(watchers):
            self.remove(watcher)
            watcher.lost()

    def _tell(self, path: bytes, event: Event, *, exact: bool) -> None:
        for watcher in list(self._watchers[path]):
            if (watcher.recursive or exact) and event.index >= watcher.since:
                if not watcher.stream:
                    self.remove(watcher)
                watcher.deliver(event)


class _Presence:
    """Which of the watched paths have a node, while events of the past are gone through."""

    def __init__(self, watched: Iterable[bytes], nodes: Container[bytes] | None) -> None:
        """`nodes`: what there is before the first event; None if nobody knows."""
        self._watched = frozenset(watched)
        self._unclear = set() if nodes is not None else set(self._watched)
        self.existing = {path for path in self._watched if path in (nodes or ())}

    def unclear_below(self, directory: bytes) -> list[bytes]:
        """The paths below a directory that may or may not have a node."""
        prefix = below(directory)
        return [path for path in self._unclear if path.startswith(prefix)]

    def note(self, event: Event) -> None:
        """Learn what an event says: what is written exists, and so does every directory above."""
        there = ancestors(event.key)
        if event.action in REMOVALS:
            gone = {there.pop(0)}
            if event.removed_dir:
                prefix = below(event.key)
                gone.update(path for path in self._watched if path.startswith(prefix))
            self.existing -= gone
            self._unclear -= gone
        known = self._watched.intersection(there)
        self.existing |= known
        self._unclear -= known
