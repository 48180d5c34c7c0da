"""Waiting for a condition, with a deadline and without a guess how long it takes."""

import threading
import time
from collections.abc import Callable

DEADLINE_S = 15.0
POLL_S = 0.005


def until(condition: Callable[[], bool], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Return as soon as the condition holds; AssertionError if it does not in time."""
    ends = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < ends, f"not within {deadline_s} s: {what}"
        pause.wait(POLL_S)
