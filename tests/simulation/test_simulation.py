"""The short campaign: the seeds that every commit has to live through, and what they meet.

`python -m tests.simulation --seeds 10000` is the long one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.campaign import Outcome, mood_of, run, run_all
from tests.simulation.moods import MOODS

SEEDS = range(300)
JOBS = 2
# What 300 seeds must have seen at the least: about a half of what they do see.
EVENTS = {
    "elections": 700,
    "installs": 150,
    "snapshots": 900,
    "restores": 500,
    "truncations": 60,
    "crash": 700,
    "kill": 150,
    "power cut": 80,
    "power loss": 150,
    "fatal": 50,
    "refuses": 5,
    "stopped": 100,
    "gone": 60,
    "pause": 150,
    "configurations": 400,
    "add ok": 80,
    "remove ok": 50,
    "update ok": 10,
    "add failed": 20,
    "ok": 15000,
    "unknown": 400,
    "read ok": 5000,
    "histories": 1500,
    "events watched": 8000,
    "isolate leader": 150,
    "one way": 150,
    "lost messages": 300,
    "doubled messages": 500,
    "TimeoutNow": 50,
    "watches: lost": 1,
    "full disk": 50,
}


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """All seeds, run once."""
    return list(run_all([(mood_of(seed), seed) for seed in SEEDS], JOBS))


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_no_law_is_broken(outcomes: list[Outcome]) -> None:
    """Goal: agreement and state machine keep every law of tests/simulation, whatever goes wrong.
    Method: seeds in all moods; repeat one alone with `--seeds 1 --start SEED --trace`."""
    broken = [f"{o.mood} seed {o.seed}: {o.law}: {o.detail}" for o in outcomes if o.law]
    assert not broken, "\n".join(broken)


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_something_happened(outcomes: list[Outcome]) -> None:
    """Goal: the seeds meet what they are meant to meet. Method: count."""
    total: Counter[str] = sum((outcome.figures for outcome in outcomes), Counter())
    assert {mood: o.mood for o in outcomes for mood in [o.mood]}.keys() == MOODS.keys()
    lacking = {what: total[what] for what, least in EVENTS.items() if total[what] < least}
    assert not lacking
    assert not total["undecided histories"]


def fingerprints(hash_seed: str, tasks: list[tuple[str, int]]) -> list[str]:
    """Run seeds in a process of their own."""
    script = (
        "import sys; from tests.simulation.campaign import run\n"
        "for task in sys.argv[1:]:\n"
        "    mood, seed = task.split('/'); print(run(mood, int(seed)).fingerprint)"
    )
    arguments = [f"{mood}/{seed}" for mood, seed in tasks]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_seed_is_one_history() -> None:
    """Goal: a seed can be replayed, on any machine. Method: the same seeds here, and in processes
    with other hash seeds and in another order; each message and event counts."""
    tasks = [("harsh", 1), ("membership", 2), ("snapshot", 3), ("chaos", 4), ("disk", 5)]
    here = [run(*task).fingerprint for task in tasks]
    assert len(set(here)) == len(tasks)
    assert fingerprints("1", tasks) == here
    assert fingerprints("2", tasks[::-1]) == here[::-1]
