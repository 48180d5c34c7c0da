"""A watch without gaps, without I/O: what to ask next, and what an answer means.

Laws:

* Every event behind the index a watch began at is told once, in order: the next question goes on
  from the last answer's index, whichever member answers it.
* When the server keeps the events in between no longer (error 401), the subtree is read anew, from
  a quorum, and compared with what is known. What differs comes as one Change with the action
  "resync": `node` is the subtree as it is, `differences` one merged change for each node that came,
  changed or went; directories with something in them come with that. If nothing differs there is
  nothing to tell.
* Of a watch that was begun behind an index, known is what its events told. What was there at that
  index, had no event, and went with one that is not kept is in nobody's memory: it is not in
  `node`, and the first resync is told in any case. Who says with `known` what there was is told all
  that went.
* A member whose index is behind the last event's lags, or the cluster has begun anew, wiped or from
  a backup. A quorum is asked which it is: in the second case a resync is told in any case, and its
  index, the smaller one, is where the watch goes on from.
* An event that is not behind the last one is never told: the server did not heed the index, and the
  subtree is read anew.
* A question that has heard nothing for POLL_S is asked again, after a look round the endpoints for
  one that answers and knows a leader: a member that hangs, or is cut off, is left then. It goes on
  from the index of the head that began the silence, so that what happens elsewhere does not age it.
* Whatever goes wrong is asked again, at most every second; any other no ends the watch. What goes
  wrong twice in a row is an outage, and so is silence when nobody answers that look; the head of
  any answer ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyetcdctl import arguments, requests
from pyetcdctl.answers import Node, Result
from pyetcdctl.backoff import Backoff
from pyetcdctl.errors import (
    PASSING,
    BadAnswer,
    ClientError,
    DeadlineExceeded,
    EventIndexCleared,
    IndexBehind,
    KeyNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RESYNC: Final = "resync"
POLL_S: Final = 60.0
"""How long one question may stay open: a member may be silently gone."""
_GONE: Final = ("delete", "expire", "compareAndDelete")


class Change(NamedTuple):
    """One event, or a resync; `index` is where the next one goes on from."""

    action: str
    node: Node
    prev_node: Node | None
    index: int  # type: ignore[assignment]
    differences: tuple[Change, ...] = ()

    def apply(self, nodes: dict[str, Node]) -> None:
        """Bring a picture of what is watched, nodes by their keys, to where this change leads.

        A picture that is begun empty behind an index is whole from the first resync on.
        """
        if self.action == RESYNC:
            nodes.clear()
            nodes.update(self.node.by_key())
        elif self.action in _GONE:
            nodes.pop(self.node.key, None)
            if self.node.dir:
                below = f"{self.node.key}/"
                for key in [key for key in nodes if key.startswith(below)]:
                    del nodes[key]
        else:
            nodes[self.node.key] = self.node._replace(nodes=None)


class Watch:
    """One watch: ask `request()`, tell `took()` how it went."""

    def __init__(
        self,
        key: str,
        *,
        recursive: bool,
        after_index: int | None = None,
        known: Result | None = None,
        on_outage: Callable[[ClientError | None], None] | None = None,
    ) -> None:
        """`known`: what a reading of the key said, recursive if this is; in the place of
        `after_index`. `on_outage` is told why an outage is one, once, and by None that it is over.
        """
        if known is not None and after_index is not None:
            raise ValueError("known and after_index are given, but each says where to begin")
        arguments.text("key", key)
        if known is not None:
            arguments.instance("known", known, Result)
        if after_index is not None:
            arguments.index("after_index", after_index)
        self._key = key
        self._recursive = recursive
        # Up to where all has been told, None if it is not known yet where to begin; and up to where
        # the question that is open has said that there is nothing.
        self._index = after_index if known is None else known.index
        self._heard = 0
        self.is_silent = False
        # The subtree as told so far, and whether that is all of it.
        self._known: dict[str, Node] = {}
        self._is_whole = known is not None
        if known is not None:
            self._known = self._watched(known.node).by_key()
        # Why the subtree has to be read anew.
        self._trouble: ClientError | None = None
        self._backoff = Backoff()
        self._on_outage = on_outage
        self._failures = 0

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
        self._heard = self._index
        return request._replace(known_index=self._index, within_s=POLL_S, on_head=self._hear)

    def _hear(self, index: int) -> None:
        self._heard = max(self._heard, index)
        self.answered()

    def answered(self) -> None:
        """Somebody has answered."""
        was_outage, self._failures = self._failures > 1, 0
        if was_outage and self._on_outage is not None:
            self._on_outage(None)

    def failed(self, error: ClientError) -> None:
        """Nobody has."""
        if isinstance(error, PASSING):
            self._failures += 1
            if self._failures == 2 and self._on_outage is not None:
                self._on_outage(error)

    def took(self, request: requests.Request, outcome: Result | ClientError) -> Change | None:
        """Take an answer; return what there is to tell. Raises what ends the watch.

        `is_silent` says afterwards whether an endpoint that answers is to be looked for.
        """
        self.is_silent = request.waits and isinstance(outcome, DeadlineExceeded)
        if self.is_silent:
            self._index = self._heard
            self._failures = max(1, self._failures)
            return None
        if isinstance(outcome, ClientError):
            return self._failed(request, outcome)
        self.answered()
        if not request.waits:
            return self._read(outcome)
        if outcome.node.modified_index <= (self._index or 0):
            self._trouble = BadAnswer(BadAnswer.STALE)
            self._backoff.failed()
            return None
        self._backoff.succeeded()
        return self._event(outcome)

    def _failed(self, request: requests.Request, error: ClientError) -> Change | None:
        if isinstance(error, KeyNotFound) and not request.waits:
            return self._read(Result("get", Node(self._key), None, error.index))
        if isinstance(error, EventIndexCleared):
            self.answered()
            self._trouble = error
            return None
        if isinstance(error, IndexBehind):
            self._trouble = error
        elif not isinstance(error, PASSING):
            raise error
        self.failed(error)
        self._backoff.failed()
        return None

    def _watched(self, node: Node) -> Node:
        """Of what a reading said, what is watched: of a directory perhaps nothing below."""
        return node if self._recursive else node._replace(nodes=None)

    def _event(self, event: Result) -> Change:
        self._index = event.node.modified_index
        change = Change(event.action, event.node, event.prev_node, self._index)
        change.apply(self._known)
        return change

    def _read(self, result: Result) -> Change | None:
        trouble, self._trouble = self._trouble, None
        since = self._index or 0
        has_begun_anew = 0 < result.index < since
        if isinstance(trouble, IndexBehind) and not has_begun_anew:
            return None  # the member lags: another one, or it later, has the events
        node = self._watched(result.node)
        before, self._known = self._known, node.by_key()
        was_whole, self._is_whole = self._is_whole, True
        self._index = result.index if has_begun_anew else max(since, result.index)
        if trouble is None:
            return None
        # What nobody has been told, and did not change either, was there before.
        told_since = 0 if was_whole or has_begun_anew else since
        differences = _differences(before, self._known, told_since, self._index)
        if not differences and was_whole and not has_begun_anew:
            return None
        return Change(RESYNC, node, None, self._index, differences)


def _differences(
    before: dict[str, Node], now: dict[str, Node], since: int, index: int
) -> tuple[Change, ...]:
    """What went, came or changed: what was not known before counts if it has changed behind an
    index. Parents before their children.
    """
    parents = {key.rpartition("/")[0] for key in now}
    gone = [
        Change("delete", Node(key, dir=node.dir, modified_index=index), node, index)
        for key, node in before.items()
        if key not in now or now[key].dir != node.dir
    ]
    changed = [
        Change("set", node, before.get(key), index)
        for key, node in now.items()
        if (_differs(before[key], node) if key in before else node.modified_index > since)
        and not (node.dir and key in parents)
    ]
    return tuple(gone + changed)


def _differs(before: Node, node: Node) -> bool:
    return (
        before.value != node.value
        or before.modified_index != node.modified_index
        or before.created_index != node.created_index
    )
