"""The long simulation: `python -m tests.simulation --seeds 1000 --start 0 --jobs 2`.

A seed alone, with all that happens: `--seeds 1 --start 4711 --trace`.
"""
# ruff: noqa: T201 - a command that prints

import argparse
import sys
import time
from collections import Counter, defaultdict

from tests.simulation.campaign import Outcome, mood_of, run, run_all
from tests.simulation.moods import MOODS

_COLUMNS = (
    ("elections", "elections"),
    ("installs", "installs"),
    ("snapshots", "snapshots"),
    ("truncations", "truncated"),
    ("crash", "crashes"),
    ("kill", "kills"),
    ("power loss", "mid-write"),
    ("fatal", "fatal"),
    ("refuses", "refused"),
    ("configurations", "configs"),
    ("ok", "answered"),
    ("unknown", "unknown"),
    ("read ok", "reads"),
    ("events watched", "events"),
)


def main() -> int:
    """Run the seeds, print the table; 1 if a law was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--start", type=int, default=0, help="the first one")
    parser.add_argument("--mood", choices=MOODS, help="all seeds in one mood")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--trace", action="store_true", help="print all that happens")
    parser.add_argument("--counts", action="store_true", help="print all that was counted")
    options = parser.parse_args()
    seeds = range(options.start, options.start + options.seeds)
    tasks = [(options.mood or mood_of(seed), seed) for seed in seeds]
    began_s = time.monotonic()
    if options.trace:
        outcomes = [run(mood, seed, print) for mood, seed in tasks]
    else:
        outcomes = []
        for outcome in run_all(tasks, options.jobs):
            outcomes.append(outcome)
            if outcome.law:
                print(f"{outcome.mood} seed {outcome.seed}: {outcome.law}: {outcome.detail:.2000}")
                sys.stdout.flush()
    _print_table(outcomes, time.monotonic() - began_s)
    if options.counts:
        total: Counter[str] = sum((o.figures for o in outcomes), Counter())
        print("\n".join(f"{count:>12} {name}" for name, count in sorted(total.items())))
    return 1 if any(outcome.law for outcome in outcomes) else 0


def _print_table(outcomes: list[Outcome], took_s: float) -> None:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.mood].append(outcome)
        groups["total"].append(outcome)
    groups["total"] = groups.pop("total")
    print(f"{'mood':12}{'seeds':>7}{'bad':>5}", end="")
    print("".join(f"{title:>{len(title) + 2}}" for _name, title in _COLUMNS), f"{'cpu/seed':>9}")
    for name, group in groups.items():
        figures: Counter[str] = sum((outcome.figures for outcome in group), Counter())
        print(f"{name:12}{len(group):>7}{sum(bool(o.law) for o in group):>5}", end="")
        print("".join(f"{figures[key]:>{len(title) + 2}}" for key, title in _COLUMNS), end="")
        print(f" {sum(o.cpu_s for o in group) / len(group):>8.2f}s")
    print(f"in {took_s:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
