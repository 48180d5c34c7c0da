"""Time, as the rest of the package is allowed to see it.

Laws:

* Nobody in raft/ asks the operating system for the time; they ask the `Clock` they were handed.
* Cluster time is made of the leader's *monotonic* time and goes on from the last stamp in the log
  (LogCabin's ClusterClock). It stands still while there is no leader, and no wall clock can make
  it jump.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

# How far a member that hears no new stamps lets its reading of cluster time run ahead.
READING_AHEAD_MAX_NS: Final = 1_000_000_000


class Clock(Protocol):
    """Where time comes from."""

    def monotonic_ns(self) -> int: ...

    def wall_ns(self) -> int: ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()


class ClusterClock:
    """Cluster time in ns: stamps for a leader to put on batches, readings for everyone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ns = 0
        self._since_ns = clock.monotonic_ns()

    @property
    def last_ns(self) -> int:
        """The last stamp seen or made."""
        return self._last_ns

    def saw(self, stamp_ns: int) -> None:
        """Go on from a stamp found in the log."""
        if stamp_ns > self._last_ns:
            self._last_ns = stamp_ns
            self._since_ns = self._clock.monotonic_ns()

    def stamp(self) -> int:
        """The stamp for a new batch: the last one plus the time gone by since."""
        now_ns = self._clock.monotonic_ns()
        self._last_ns += now_ns - self._since_ns
        self._since_ns = now_ns
        return self._last_ns

    def reading(self) -> int:
        """Cluster time as well as this member knows it."""
        ahead_ns = self._clock.monotonic_ns() - self._since_ns
        return self._last_ns + min(ahead_ns, READING_AHEAD_MAX_NS)
