"""Many seeds, one after another, in as many processes as wanted.

Law: what becomes of a seed depends on nothing but the seed and its mood: not on the order in which
seeds run, not on the process, not on PYTHONHASHSEED.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING

from tests.simulation.moods import MOODS
from tests.simulation.schedule import Schedule
from tests.simulation.violation import Violation
from tests.simulation.world import laboratory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(slots=True)
class Outcome:
    """What became of a seed."""

    mood: str
    seed: int
    fingerprint: str = ""
    # The law that was broken, and how.
    law: str = ""
    detail: str = ""
    cpu_s: float = 0.0
    figures: Counter[str] = field(default_factory=Counter)


def run(mood: str, seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Run one seed; a law that is broken is in the outcome, anything else is raised."""
    outcome = Outcome(mood, seed)
    began_s = time.process_time()
    collecting = gc.isenabled()
    # What is collected when must not matter, and does not; but it takes time.
    gc.disable()
    try:
        with laboratory():
            schedule = Schedule(seed, MOODS[mood], trace)
            try:
                schedule.run()
            except Violation as violation:
                outcome.law, outcome.detail = violation.law, violation.detail
            outcome.fingerprint = schedule.world.fingerprint()
            outcome.figures = schedule.world.figures()
    finally:
        if collecting:
            gc.enable()
    outcome.cpu_s = time.process_time() - began_s
    return outcome


def mood_of(seed: int) -> str:
    """Seeds take turns with the moods."""
    names = list(MOODS)
    return names[seed % len(names)]


def run_all(tasks: Sequence[tuple[str, int]], jobs: int) -> Iterator[Outcome]:
    """Run (mood, seed) after (mood, seed), in order."""
    if jobs == 1:
        yield from (run(*task) for task in tasks)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run, *zip(*tasks, strict=True), chunksize=1)
