"""Delta debugging: the shortest list of steps that still shows a difference.

Removes ever smaller runs of steps as long as the rest still shows it (Zeller's ddmin), within a
number of attempts and a time, since each one starts two servers.
"""

import time
from collections.abc import Callable

from tests.differential.steps import Step

ATTEMPTS_MAX = 120
BUDGET_S = 60.0


def shrink(steps: list[Step], shows: Callable[[list[Step]], bool]) -> list[Step]:
    """A shorter list that still shows it; the whole list when it does not show up again."""
    until = time.monotonic() + BUDGET_S
    attempts = 1
    if not shows(steps):
        return steps
    pieces = 2
    while len(steps) > 1 and attempts < ATTEMPTS_MAX and time.monotonic() < until:
        size = max(1, len(steps) // pieces)
        shorter = None
        # From the front: the last step is the one that showed it.
        for start in range(0, len(steps), size):
            rest = steps[:start] + steps[start + size :]
            attempts += 1
            if rest and shows(rest):
                shorter = rest
                break
            if attempts >= ATTEMPTS_MAX or time.monotonic() > until:
                break
        if shorter is not None:
            steps, pieces = shorter, max(pieces - 1, 2)
        elif size == 1:
            break
        else:
            pieces = min(pieces * 2, len(steps))
    return steps
