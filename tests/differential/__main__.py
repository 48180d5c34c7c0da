"""`python -m tests.differential --requests 20000 --seed 1`: the long run, with a report."""
# ruff: noqa: T201 - a command prints

import argparse
import sys
import time

from tests.differential.faults import FAULTS, Fault
from tests.differential.run import Plan, Report, run
from tests.differential.steps import show
from tests.oracle import Pyetcd, RealEtcd

SERVERS = {"pyetcd": Pyetcd, "etcd": RealEtcd}


def main() -> int:
    """Runs and prints; the exit code tells whether anything is unexplained."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--server", choices=SERVERS, default="pyetcd")
    parser.add_argument("--fault", choices=FAULTS, help="plant an error in front of the server")
    parser.add_argument("--no-shrink", action="store_true", help="no short script on failure")
    options = parser.parse_args()
    plan = Plan(
        requests=options.requests,
        seed=options.seed,
        make_tested=SERVERS[options.server],
        make_fault=FAULTS[options.fault] if options.fault else Fault,
        shrinks=not options.no_shrink,
    )
    started = time.monotonic()
    report = run(plan, progress=lambda line: print(line, file=sys.stderr))
    print_report(report)
    print(f"{time.monotonic() - started:.0f} s, seed {options.seed}")
    return 1 if report.differences else 0


def print_report(report: Report) -> None:
    """The differences, one of each kind, their short scripts, and the counts."""
    kinds: dict[str, list[object]] = {}
    for difference in report.differences:
        kinds.setdefault(difference.kind, []).append(difference)
    for alike in kinds.values():
        print(alike[0])
        if len(alike) > 1:
            print(f"    ({len(alike) - 1} more of this kind)")
    for script in report.scripts:
        print("a short script that shows a difference:", *map(show, script), sep="\n    ")
    print(f"requests {report.requests}, events {report.events}, episodes {report.episodes}")
    print("statuses:", ", ".join(f"{s}: {n}" for s, n in sorted(report.statuses.items())))
    print(f"unexplained differences {len(report.differences)}")
    print(f"explained {report.explained.total()}")
    for name, count in report.explained.most_common():
        print(f"    {count:6} {name}")


sys.exit(main())
