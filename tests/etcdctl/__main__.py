"""`python -m tests.etcdctl --client C --server S [--only REGEX]`: plays cases, prints counts."""
# ruff: noqa: T201 - a command prints

import argparse
import re
import sys
import textwrap
import time

from tests.etcdctl.campaign import SERVERS, WORKERS, played_against, run
from tests.etcdctl.cases import load
from tests.etcdctl.exceptions import argued
from tests.etcdctl.programs import PROGRAMS


def main() -> int:
    """Runs all, or some, cases."""
    parser = argparse.ArgumentParser(prog="python -m tests.etcdctl")
    parser.add_argument("--client", choices=list(PROGRAMS), default="pyetcdctl")
    parser.add_argument("--server", choices=list(SERVERS), default="etcd")
    parser.add_argument("--only", type=re.compile, default=re.compile(""), metavar="REGEX")
    parser.add_argument("--workers", type=int, default=WORKERS)
    options = parser.parse_args()
    cases = [case for case in load() if options.only.search(case.name)]
    cases = played_against(options.server, cases)
    began = time.monotonic()
    results = run(cases, PROGRAMS[options.client](), options.server, workers=options.workers)
    exceptions = argued(options.client, options.server)
    failed = [case for case in cases if results[case.name]]
    for case in failed:
        known = f" (argued: {exceptions[case.name]})" if case.name in exceptions else ""
        print(f"{case.name}{known}: {' '.join(case.argv)}")
        print(textwrap.indent(results[case.name], "    "))
    seconds = time.monotonic() - began
    print(f"{len(cases) - len(failed)} of {len(cases)} in {seconds:.0f} s")
    return 1 if {case.name for case in failed} - exceptions.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
