"""All mutants, or some: `python -m tests.mutants [--only TEXT] [--jobs 2]`.

Prints for each one who killed it and how long that took; the exit code is 1 if one survived.
"""
# ruff: noqa: T201 - a command that prints

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.campaign import Campaign, copy_of_the_tree, imports_the_copy, write_killers
from tests.mutants.table import MUTANTS

SEEDS = 60


def main() -> int:
    """Run the mutants, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--only", default="", help="those whose name contains this")
    parser.add_argument("--jobs", type=int, default=2, help="how many side by side")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the simulation, for survivors")
    parser.add_argument("--list", action="store_true", help="print what each one breaks")
    options = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:66} {mutant.breaks}")
        return 0
    with copy_of_the_tree() as copy:
        if not imports_the_copy(copy):
            print("a copy of the tree does not use its own raft/")
            return 1
    campaign = Campaign(seeds=options.seeds)
    survivors = 0
    took_s = 0.0
    killers = dict(campaign.killers)
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, outcome in zip(mutants, pool.map(campaign.run, mutants), strict=True):
            print(f"{mutant.name:66} {outcome.killer or 'SURVIVED':120} {outcome.took_s:6.1f} s")
            sys.stdout.flush()
            survivors += outcome.killer is None
            took_s += outcome.took_s
            if outcome.killer is not None:
                killers[mutant.name] = outcome.killer
                write_killers({m.name: killers[m.name] for m in MUTANTS if m.name in killers})
    print(f"{len(mutants)} mutants, {survivors} survived, {took_s:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
