"""How long things may take between members, drawn from etcd's two knobs.

Law: every wait in this package ends, and this is where its length comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from raft.core import Timing

_TIMEOUT_MIN_S: Final = 1.0
_TIMEOUT_MAX_S: Final = 5.0
_BACKOFF_MAX_S: Final = 1.0
# While a peer waits for its disk it says nothing, however short the election time-out.
_CHECK_MIN_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations in seconds."""

    timeout_s: float
    """For a connection to come to be, and for a handshake to be answered."""
    backoff_min_s: float
    """Before the second attempt to connect; doubled for each one that follows."""
    backoff_max_s: float
    check_s: float
    """How often a connection is looked at; one that was idle meanwhile gets a ping."""
    lived_s: float
    """A connection that lasted so long worked: losing it is no reason to wait."""

    @classmethod
    def of(cls, timing: Timing) -> Pace:
        """Return the durations for a heartbeat and an election time-out."""
        election_s = timing.election_ms / 1000
        timeout_s = min(max(election_s, _TIMEOUT_MIN_S), _TIMEOUT_MAX_S)
        return cls(
            timeout_s=timeout_s,
            backoff_min_s=min(timing.heartbeat_ms / 1000, _BACKOFF_MAX_S),
            backoff_max_s=_BACKOFF_MAX_S,
            check_s=max(election_s / 2, _CHECK_MIN_S),
            lived_s=timeout_s,
        )

    def backoff_s(self, failures: int, chance: float) -> float:
        """Return how long to wait after so many failures in a row; `chance` is in [0, 1)."""
        if not failures:
            return 0.0
        doubled_s = self.backoff_min_s * 2.0 ** min(failures - 1, 16)
        return min(doubled_s, self.backoff_max_s) * (0.5 + chance / 2)
