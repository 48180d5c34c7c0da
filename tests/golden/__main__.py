"""`python -m tests.golden [--rewrite] [SCRIPT ...]`: plays scripts on a real etcd.

`--rewrite` puts what it answers into the scripts. It is the only way to make expectations: what
pyetcd answers never becomes one.
"""
# ruff: noqa: T201 - a command prints

import argparse
import sys
from pathlib import Path

from tests.golden.play import SCRIPTS, differences, results
from tests.golden.script import load, write
from tests.golden.stages import HttpStage
from tests.oracle import RealEtcd


def main() -> int:
    """Plays or rewrites; the exit code tells whether anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden")
    parser.add_argument("--rewrite", action="store_true")
    parser.add_argument("scripts", nargs="*", type=Path)
    options = parser.parse_args()
    found: list[str] = []
    for path in options.scripts or SCRIPTS:
        with RealEtcd() as server:
            if options.rewrite:
                blocks = load(path)
                write(path, blocks, results(blocks, HttpStage(server)))
            else:
                found += differences(path, HttpStage(server))
    print(*found, f"{len(options.scripts or SCRIPTS)} scripts", sep="\n")
    return 1 if found else 0


sys.exit(main())
