"""How much of raft/ and kvstore/ the simulation reaches by itself:
`python -m tests.simulation.reach --seeds 150` (about five minutes; exit 1 below 95 % of branches).

What is replaced in simulation cannot be reached by it, and is not counted: the real clock, disk and
network.
"""
# ruff: noqa: T201 - a command that prints

import argparse
import sys

import coverage

REPLACED = ("*/raft/disk.py", "*/raft/unsafe_disk.py", "*/raft/transport.py", "*/raft/peers/*")
WANTED = 95.0


def main() -> int:
    """Run seeds under coverage, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.reach", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=150)
    parser.add_argument("--start", type=int, default=0)
    options = parser.parse_args()
    measured = coverage.Coverage(
        branch=True, source=["raft", "kvstore"], omit=REPLACED, data_file=None
    )
    measured.start()
    # Imported under coverage, so that what modules do when they are imported counts.
    from tests.simulation.campaign import mood_of, run

    broken = 0
    for seed in range(options.start, options.start + options.seeds):
        outcome = run(mood_of(seed), seed)
        if outcome.law:
            broken += 1
            print(f"{outcome.mood} seed {seed}: {outcome.law}: {outcome.detail:.2000}")
    measured.stop()
    reached = measured.report(show_missing=True, precision=1)
    print(f"{options.seeds} seeds, {broken} broken; {reached:.1f} % reached, {WANTED} % wanted")
    return 1 if broken or reached < WANTED else 0


if __name__ == "__main__":
    sys.exit(main())
