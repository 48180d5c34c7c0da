"""`python -m tests.conformance [--server pyetcd|etcd] [NAME ...]`: replays and prints counts."""
# ruff: noqa: T201 - a command prints

import argparse
import sys
import time

from tests.conformance.examples import load
from tests.conformance.replay import Replayer
from tests.conformance.verdicts import judge, known_differences
from tests.oracle import Pyetcd, RealEtcd


def main() -> int:
    """Runs all, or the named, examples."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--server", choices=["pyetcd", "etcd"], default="pyetcd")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    examples = [one for one in load() if not options.names or one.name in options.names]
    is_ours = options.server == "pyetcd"
    replayer = Replayer(Pyetcd if is_ours else RealEtcd)
    started = time.monotonic()
    results = replayer.run(examples)
    known = known_differences() if is_ours else {}
    tally = judge(results, {n: k for n, k in known.items() if n in results or not options.names})
    for name, found in tally.failures.items():
        print(f"{name}:", *found, sep="\n    ")
    seconds = time.monotonic() - started
    print(f"{tally.counts()}; {replayer.servers_started} servers, {seconds:.0f} s")
    return 1 if tally.failures else 0


sys.exit(main())
