"""How long to wait before asking again, for what goes on for ever.

Laws: pure. The first failure is asked again soon, the following ones less and less often, and never
less often than every second.
"""

from __future__ import annotations

from typing import Final

_PAUSES_S: Final = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)


class Backoff:
    """The failures in a row, and the pause they are worth."""

    def __init__(self) -> None:
        self._failures = 0

    @property
    def pause_s(self) -> float:
        """How long to wait before the next question."""
        return _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]

    def failed(self) -> None:
        """One more."""
        self._failures += 1

    def succeeded(self) -> None:
        """There was an answer."""
        self._failures = 0
