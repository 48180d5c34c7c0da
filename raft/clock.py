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
# How far a leader's stamp may be from its last one. While time matters it makes one every half
# second, so more means that it was stopped, or cut off from its disk: an outage.
STAMP_AHEAD_MAX_NS: Final = 1_000_000_000


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
        # The last stamp applied, and when that was.
        self.applied_ns = 0
        self._applied_at_ns = clock.monotonic_ns()
        # As a leader: the last stamp made, and when.
        self._stamp_ns = 0
        self._stamped_at_ns = self._applied_at_ns

    def saw(self, stamp_ns: int) -> None:
        """A stamp in the log has been applied."""
        if stamp_ns > self.applied_ns:
            self.applied_ns = stamp_ns
            self._applied_at_ns = self._clock.monotonic_ns()

    def lead(self, stamp_ns: int) -> None:
        """Make stamps from now on, going on from the last one in the log."""
        self._stamp_ns = stamp_ns
        self._stamped_at_ns = self._clock.monotonic_ns()

    def stamp(self) -> int:
        """The stamp for a new batch: the last one plus the time gone by since, outages apart."""
        now_ns = self._clock.monotonic_ns()
        self._stamp_ns += min(now_ns - self._stamped_at_ns, STAMP_AHEAD_MAX_NS)
        self._stamped_at_ns = now_ns
        return self._stamp_ns

    def reading(self) -> int:
        """Cluster time as well as this member knows it."""
        ahead_ns = self._clock.monotonic_ns() - self._applied_at_ns
        return self.applied_ns + min(ahead_ns, READING_AHEAD_MAX_NS)
