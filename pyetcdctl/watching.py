"""A watch without gaps, without I/O: what to ask next, and what an answer means.

Laws:

* Every event behind the index a watch began at is told once, in order: the next question goes on
  from the last answer's index, whichever member answers it.
* When the server keeps the events in between no longer (error 401), the subtree is read anew, from
  a quorum, and compared with what is known. What differs comes as one Change with the action
  "resync": `node` is the subtree as it is, `differences` one merged change for each node that came,
  changed or went. If nothing differs there is nothing to tell.
* A member whose index is behind the last event's lags, or the cluster has begun anew, wiped or from
  a backup. A quorum is asked which it is: in the second case a resync is told in any case, and its
  index, the smaller one, is where the watch goes on from.
* An event that is not behind the last one is never told: the server did not heed the index, and the
  subtree is read anew.
* Whatever goes wrong is asked again, at most every second; any other no ends the watch.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pyetcdctl import requests
from pyetcdctl.answers import Node, Result
from pyetcdctl.backoff import Backoff
from pyetcdctl.errors import (
    PASSING,
    BadAnswer,
    ClientError,
    EventIndexCleared,
    IndexBehind,
    KeyNotFound,
)

RESYNC: Final = "resync"
_GONE: Final = ("delete", "expire", "compareAndDelete")


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
        # Why the subtree has to be read anew.
        self._trouble: ClientError | None = None
        self._backoff = Backoff()

    @property
    def pause_s(self) -> float:
        """How long to wait before the next question."""
        return self._backoff.pause_s

    def request(self) -> requests.Request:
        """The next question."""
        if self._index is None or self._trouble is not None:
            quorum = self._trouble is not None
            return requests.get(self._key, recursive=self._recursive, sort=False, quorum=quorum)
        request = requests.wait(self._key, recursive=self._recursive, wait_index=self._index + 1)
        return request._replace(known_index=self._index)

    def took(self, request: requests.Request, outcome: Result | ClientError) -> Change | None:
        """Take an answer; return what there is to tell. Raises what ends the watch."""
        if isinstance(outcome, ClientError):
            return self._failed(request, outcome)
        if not request.waits:
            return self._read(outcome, self._flat(outcome.node))
        if outcome.node.modified_index <= (self._index or 0):
            self._trouble = BadAnswer(BadAnswer.STALE)
            self._backoff.failed()
            return None
        self._backoff.succeeded()
        return self._event(outcome)

    def _failed(self, request: requests.Request, error: ClientError) -> Change | None:
        if isinstance(error, KeyNotFound) and not request.waits:
            return self._read(Result("get", Node(self._key), None, error.index), {})
        if isinstance(error, EventIndexCleared):
            self._trouble = error
            return None
        if isinstance(error, IndexBehind):
            self._trouble = error
        elif not isinstance(error, PASSING):
            raise error
        self._backoff.failed()
        return None

    def _flat(self, node: Node) -> dict[str, Node]:
        below = node.walk() if self._recursive else []
        return {each.key: each._replace(nodes=None) for each in (node, *below)}

    def _event(self, event: Result) -> Change:
        node = event.node
        self._index = node.modified_index
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
        trouble, self._trouble = self._trouble, None
        since = self._index or 0
        has_begun_anew = 0 < result.index < since
        if isinstance(trouble, IndexBehind) and not has_begun_anew:
            return None  # the member lags: another one, or it later, has the events
        before, self._known = self._known, now
        self._index = result.index if has_begun_anew else max(since, result.index)
        if trouble is None:
            return None
        differences = _differences(before, now, 0 if has_begun_anew else since, self._index)
        if not differences and before is not None and not has_begun_anew:
            return None
        return Change(RESYNC, result.node, None, self._index, differences)


def _differences(
    before: dict[str, Node] | None, now: dict[str, Node], since: int, index: int
) -> tuple[Change, ...]:
    """What came, changed or went; what has changed behind an index if nobody knows what there was
    before. Parents before their children.
    """
    known = before or {}
    changed = [
        Change("set", node, known.get(key), index)
        for key, node in now.items()
        if not node.dir
        and (node.modified_index > since if before is None else _differs(known.get(key), node))
    ]
    gone = [
        Change("delete", Node(key, modified_index=index), node, index)
        for key, node in known.items()
        if key not in now
    ]
    return tuple(gone + changed)


def _differs(before: Node | None, node: Node) -> bool:
    return (
        before is None
        or before.value != node.value
        or before.modified_index != node.modified_index
        or before.created_index != node.created_index
    )
