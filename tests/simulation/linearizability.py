"""Whether what the clients of one key saw can be explained by one register (Wing & Gong, Lowe).

An operation takes effect at one moment between its invocation and its end; one whose outcome is
unknown takes effect at some moment after its invocation, or never. `check` looks for an order that
explains all results: depth first, remembering in which (operations done, value) it has been.

What keeps the search short:
* Writes tell the value they found, so at most moments few of them may come next.
* What changes nothing comes as soon as it may: that rules out nothing else.
* Unknown operations come only right before an operation that needs what they leave: in any order
  that explains everything, they can be put off until then, or left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NEVER: Final = 1 << 62
# How many states are looked at before the question is given up.
STATES_MAX: Final = 200_000


class Anything:
    """A value nobody has seen."""

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final = Anything()
# A value is bytes, or None where there is no key.
Seen = bytes | None | Anything


class Undecided(Exception):
    """The search took too long."""


@dataclass(frozen=True, slots=True)
class Event:
    """One operation on a key.

    It found `before` (or nobody knows what: ANYTHING), or found some value and only that it
    `existed`, and left `after`; ANYTHING: what was there. `finished_ns` is NEVER if nobody knows
    the outcome.
    """

    invoked_ns: int
    finished_ns: int
    before: Seen
    after: Seen
    existed: bool = False
    what: str = ""

    @property
    def certain(self) -> bool:
        """Whether it has happened."""
        return self.finished_ns < NEVER

    def fits(self, value: bytes | None) -> bool:
        """Whether it may happen where the value is this one."""
        if self.before is not ANYTHING:
            return self.before == value
        return value is not None or not self.existed

    def leaves(self, value: bytes | None) -> bytes | None:
        """What is there after it."""
        return value if isinstance(self.after, Anything) else self.after


def check(events: Sequence[Event], value: bytes | None = None) -> bool:
    """Tell whether an order exists that explains everything, beginning with a value.

    Raises Undecided.
    """
    order = sorted(events, key=lambda event: (event.invoked_ns, event.finished_ns))
    certain = sum(1 << n for n, event in enumerate(order) if event.certain)
    visited: set[tuple[int, bytes | None]] = set()
    stack: list[tuple[int, bytes | None]] = [(0, value)]
    while stack:
        done, value = state = stack.pop()
        if done & certain == certain:
            return True
        if state in visited:
            continue
        visited.add(state)
        if len(visited) > STATES_MAX:
            raise Undecided
        stack.extend(_following(order, done, value))
    return False


def _following(
    order: Sequence[Event], done: int, value: bytes | None
) -> list[tuple[int, bytes | None]]:
    """All states one certain operation further, the likeliest one last."""
    candidates: list[tuple[int, Event]] = []
    unknown: list[tuple[int, Event]] = []
    first_end_ns = NEVER
    for number, event in enumerate(order):
        if done >> number & 1:
            continue
        if event.invoked_ns > first_end_ns:
            break  # something has ended before this one began
        first_end_ns = min(first_end_ns, event.finished_ns)
        (candidates if event.certain else unknown).append((1 << number, event))
    found: list[tuple[int, bytes | None]] = []
    for bit, event in candidates:
        if event.fits(value):
            if event.leaves(value) == value:
                return [(done | bit, value)]
            found.append((done | bit, event.leaves(value)))
    for bit, event in candidates:
        if not event.fits(value):
            for used, left in _ways(unknown, value, event, 0):
                found.insert(0, (done | bit | used, event.leaves(left)))
    return found


def _ways(
    unknown: Sequence[tuple[int, Event]], value: bytes | None, needing: Event, used: int
) -> Iterator[tuple[int, bytes | None]]:
    """All shortest ways from a value to one that an operation needs, over unknown operations.

    Yields the operations used and the value reached.
    """
    removed = False
    for bit, event in unknown:
        left = event.after
        if used & bit or isinstance(left, Anything) or not needing.fits(left):
            continue
        blind = event.before is ANYTHING and not event.existed
        if left is None and blind:
            # Of all such removals the one that was asked for first is as good as any.
            if removed:
                continue
            removed = True
        if event.fits(value):
            yield used | bit, left
        else:
            for more, _left in _ways(unknown, value, event, used | bit):
                yield more, left
