"""Where the event loop's thread was while a tick was overdue, as a thread of its own sees it.

It sees what holds the interpreter only when that lets go, so a long call into C shows where it
was made from, at best. Costs a wake-up every few milliseconds.
"""

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

_LOOK_EVERY_S: Final = 0.004
_FRAMES: Final = 6
_KEPT_MAX: Final = 10


class Sampler(threading.Thread):
    """Looks at the thread that made it whenever `overdue` says so."""

    def __init__(self, overdue: Callable[[], bool]) -> None:
        super().__init__(name="stack sampler", daemon=True)
        self._overdue = overdue
        self._target = threading.get_ident()
        self._seen: list[str] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look until the process ends."""
        while not self._stopped.wait(_LOOK_EVERY_S):
            if self._overdue() and len(self._seen) < _KEPT_MAX:
                self._seen.append(_words(sys._current_frames().get(self._target)))

    def take(self) -> list[str]:
        """What was seen since the last call."""
        seen, self._seen = self._seen, []
        return seen


def _words(frame: FrameType | None) -> str:
    names: list[str] = []
    while frame is not None and len(names) < _FRAMES:
        code = frame.f_code
        names.append(f"{code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(names) or "no frame"
