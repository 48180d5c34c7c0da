"""A watch without gaps, without I/O: what to ask next, and what an answer means.

Laws:

* Every event behind the index a watch began at is told once, in order: the next question goes on
  from the last answer's index, whichever member answers it.
* When the server keeps the events in between no longer (error 401), the subtree is read anew, from
  a quorum, and compared with what is known. What differs comes as one Change with the action
  "resync": `node` is the subtree as it is, `differences` one merged change for each node that came,
  changed or went. If nothing differs there is nothing to tell.
* A member that is away is asked again, at most every second; any other no ends the watch.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pyetcdctl import requests
from pyetcdctl.answers import Node, Result
from pyetcdctl.errors import (
    PASSING,
    ClientError,
    EtcdError,
    EventIndexCleared,
    KeyNotFound,
    RaftFailed,
)

RESYNC: Final = "resync"
_GONE: Final = ("delete", "expire", "compareAndDelete")
_PAUSES_S: Final = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)


class Change(NamedTuple):
    """One event, or a resync; `index` is where the next one goes on from."""

    action: str
    node: Node
    prev_node: Node | None
    index: int  # type: ignore[assignment]
    differences: tuple[Change, ...] = ()


class Watch:
    """One watch: ask `request()`, tell `took()` how it went."""

    def __init__(self, key: str, *, recursive: bool, after_index: int | None) -> None:
        self._key = key
        self._recursive = recursive
        # The index of the last event that was told, None if it is not known yet where to begin.
        self._index = after_index
        # The subtree as told so far; None while nobody has read it.
        self._known: dict[str, Node] | None = None
        self._is_lost = False
        self._failures = 0

    @property
    def pause_s(self) -> float:
        """How long to wait before the next question."""
        return _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]

    def request(self) -> requests.Request:
        """The next question."""
        if self._index is None or self._is_lost:
            return requests.get(
                self._key, recursive=self._recursive, sort=False, quorum=self._is_lost
            )
        return requests.wait(self._key, recursive=self._recursive, wait_index=self._index + 1)

    def took(self, request: requests.Request, outcome: Result | ClientError) -> Change | None:
        """Take an answer; return what there is to tell. Raises what ends the watch."""
        if isinstance(outcome, EventIndexCleared):
            self._is_lost = True
            return None
        if isinstance(outcome, KeyNotFound) and not request.waits:
            return self._read(Result("get", Node(self._key), None, outcome.index), {})
        if isinstance(outcome, ClientError):
            if isinstance(outcome, EtcdError) and not isinstance(outcome, RaftFailed):
                raise outcome
            if not isinstance(outcome, PASSING):
                raise outcome
            self._failures += 1
            return None
        self._failures = 0
        if not request.waits:
            return self._read(outcome, self._flat(outcome.node))
        return self._event(outcome)

    def _flat(self, node: Node) -> dict[str, Node]:
        below = node.walk() if self._recursive else []
        return {each.key: each._replace(nodes=None) for each in (node, *below)}

    def _event(self, event: Result) -> Change:
        node = event.node
        self._index = max(node.modified_index, (self._index or 0) + 1)
        if self._known is not None:
            if event.action in _GONE or node.dir:
                below = f"{node.key.rstrip('/')}/"
                for key in [key for key in self._known if key.startswith(below)]:
                    del self._known[key]
            if event.action in _GONE:
                self._known.pop(node.key, None)
            elif self._recursive or node.key == self._key:
                self._known[node.key] = node._replace(nodes=None)
        return Change(event.action, node, event.prev_node, self._index)

    def _read(self, result: Result, now: dict[str, Node]) -> Change | None:
        before, self._known = self._known, now
        was_lost, self._is_lost = self._is_lost, False
        since = self._index or 0
        self._index = max(since, result.index)
        if not was_lost:
            return None
        differences = _differences(before, now, since, self._index)
        if not differences and before is not None:
            return None
        return Change(RESYNC, result.node, None, self._index, differences)


def _differences(
    before: dict[str, Node] | None, now: dict[str, Node], since: int, index: int
) -> tuple[Change, ...]:
    """What came, changed or went behind an index, parents before children."""
    known = before or {}
    changed = [
        Change("set", node, known.get(key), index)
        for key, node in now.items()
        if not node.dir
        and (node.modified_index > since or (before is not None and key not in known))
    ]
    gone = [
        Change("delete", Node(key, modified_index=index), node, index)
        for key, node in known.items()
        if key not in now
    ]
    return tuple(gone + changed)
