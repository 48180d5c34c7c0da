"""When to stand for election, and whose candidacy to take seriously.

Laws (Ongaro, "Consensus", 2014, sections 3.4, 4.2.3 and 9.6):

* Whoever hears of a leader within an election time-out helps nobody to replace it.
* Before a member raises its term it asks whether it could win (pre-vote), so that one that was cut
  off disturbs nobody when it comes back.
* The time-out is drawn anew each time, between one and two election time-outs.
* A leader whose connection breaks is most likely dead: its followers then wait only a part of an
  election time-out. If it is not, the pre-vote fails and nothing has happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


class ElectionTimer:
    """One member's patience; all times in ns of its monotonic clock."""

    def __init__(self, election_ns: int, chance: random.Random, now_ns: int) -> None:
        self._election_ns = election_ns
        self._chance = chance
        # When a leader was last heard of; None: not since it was given up.
        self._heard_ns: int | None = None
        self._deadline_ns = 0
        self.restart(now_ns)

    def restart(self, now_ns: int) -> None:
        """Wait for a whole time-out from now on."""
        self._deadline_ns = now_ns + self._election_ns + self._draw(self._election_ns)

    def heard(self, now_ns: int) -> None:
        """A leader has been heard of."""
        self._heard_ns = now_ns
        self.restart(now_ns)

    def lost(self, now_ns: int) -> None:
        """The connection to the leader is gone."""
        self._heard_ns = None
        soon_ns = now_ns + self._draw(self._election_ns // 2)
        self._deadline_ns = min(self._deadline_ns, soon_ns)

    def hears_leader(self, now_ns: int) -> bool:
        """Whether a leader was heard of lately."""
        return self._heard_ns is not None and now_ns - self._heard_ns < self._election_ns

    def is_due(self, now_ns: int) -> bool:
        """Whether it is time to stand for election."""
        return now_ns >= self._deadline_ns

    def _draw(self, below_ns: int) -> int:
        return int(self._chance.random() * below_ns)
