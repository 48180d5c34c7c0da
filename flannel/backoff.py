"""How long to wait before asking again: longer each time, up to a bound.

Laws: pure; after a success the waits begin anew.
"""

from dataclasses import dataclass

FIRST_S = 1.0
FACTOR = 2.0
MAX_S = 5.0
"""A store that is back is noticed this soon."""


@dataclass(slots=True)
class Backoff:
    """The waits of one retried action."""

    _next_s: float = FIRST_S

    def wait_s(self) -> float:
        """The next wait, seconds."""
        now_s, self._next_s = self._next_s, min(self._next_s * FACTOR, MAX_S)
        return now_s

    def reset(self) -> None:
        """It worked."""
        self._next_s = FIRST_S
