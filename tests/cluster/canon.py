"""The one sequence of events, put together from all that anybody saw.

Every change of the store has an index of its own, so one event belongs to one index, on every
member and for ever. Law: an index told in two ways is a violation; so a lost write shows as soon as
its index is given to another. What nobody could see (all watchers' histories cleared at
once) is a hole, and nothing is claimed across a hole.
"""

from bisect import bisect_right
from collections.abc import Iterable

from tests.cluster.history import Event, Node, Segment


class Canon:
    """Events by index, and the state at any index."""

    def __init__(self, base: dict[str, Node], base_index: int) -> None:
        self.base_index = base_index
        self.events: dict[int, Event] = {}
        self.first_seen: dict[int, float] = {}
        """When an event was first seen by anybody who did not cause it."""
        self.conflicts: list[str] = []
        self.order: list[int] = []
        self._base = base
        self._of_key: dict[str, tuple[list[int], list[Node | None]]] = {}
        self._covered: list[tuple[int, int]] = []

    def tell(self, source: str, event: Event, seen: float) -> Event:
        """Take an event in; gives the one that counts for its index."""
        known = self.events.setdefault(event.index, event)
        if known is not event and known != event:
            self.conflicts.append(
                f"index {event.index}: {source} tells {_words(event)}, before it was "
                f"{_words(known)}"
            )
        if seen < self.first_seen.get(event.index, float("inf")):
            self.first_seen[event.index] = seen
        return known

    def seal(self, watched: Iterable[Segment]) -> None:
        """Everything has been told; `watched` are the segments of those who watch all keys."""
        self.order = sorted(index for index in self.events if index > self.base_index)
        for key, node in self._base.items():
            self._of_key[key] = ([node.modified], [node])
        for index in self.order:
            event = self.events[index]
            indexes, nodes = self._of_key.setdefault(event.key, ([], []))
            indexes.append(index)
            nodes.append(None if event.removes else event.node)
        reach = self.base_index
        self._covered = []
        for segment in sorted(watched, key=lambda one: (one.after, one.through)):
            if segment.through <= reach:
                continue
            if self._covered and segment.after <= reach:
                first, _ = self._covered[-1]
                self._covered[-1] = (first, segment.through)
            else:
                self._covered.append((segment.after, segment.through))
            reach = segment.through

    def between(self, after: int, through: int) -> list[int]:
        """The indexes in (after, through]."""
        return self.order[bisect_right(self.order, after) : bisect_right(self.order, through)]

    def at(self, key: str, index: int) -> tuple[int, Node | None]:
        """The index of a key's last change up to `index`, and what was there then."""
        indexes, nodes = self._of_key.get(key, ([], []))
        place = bisect_right(indexes, index) - 1
        return (indexes[place], nodes[place]) if place >= 0 else (self.base_index, None)

    def of_key(self, key: str) -> list[int]:
        """The indexes of a key's changes."""
        return self._of_key.get(key, ([], []))[0]

    def state(self, index: int) -> dict[str, Node]:
        """All keys at an index."""
        found = {key: self.at(key, index)[1] for key in self._of_key}
        return {key: node for key, node in found.items() if node is not None}

    def sure(self, after: int, through: int) -> bool:
        """Whether no event in (after, through] can have escaped everybody."""
        after = max(after, self.base_index)
        return after >= through or any(
            first <= after and through <= last for first, last in self._covered
        )

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The ranges that nobody saw."""
        last = max(self.order, default=self.base_index)
        found, reach = [], self.base_index
        for first, end in self._covered:
            if first > reach:
                found.append((reach, first))
            reach = end
        return [*found, (reach, last)] if reach < last else found


def _words(event: Event) -> str:
    before = f", before {event.before}" if event.before else ""
    return f"{event.action} {event.key} {event.node}{before}"
