"""The long kill -9 campaign: `python -m tests.durability --rounds 50 --seed 1`."""
# ruff: noqa: T201 - a command that prints

import argparse
import sys

from tests.durability.campaign import Campaign


def main() -> int:
    """Run the rounds, print the figures; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.durability", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report = Campaign(options.seed).run(options.rounds)
    print(report)
    for loss in report.losses:
        print("LOST", loss)
    return 1 if report.lost else 0


if __name__ == "__main__":
    sys.exit(main())
