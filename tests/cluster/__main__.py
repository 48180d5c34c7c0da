"""The long campaign on real processes: `python -m tests.cluster --minutes 60 --members 3 --seed 1`.

With `--namespaces` each member is on a host of its own (network namespaces), else all are on
loopback behind proxies. As root each member has a small disk of its own, to be filled and slowed.
"""
# ruff: noqa: T201 - a command that prints

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from deploy.lab import room
from tests.cluster.campaign import Campaign, Report
from tests.cluster.cluster import Cluster
from tests.cluster.hosts import Hosts
from tests.cluster.links import Links
from tests.cluster.programs import program
from tests.cluster.workload import WRITES_PER_S, Rates

if TYPE_CHECKING:
    from tests.cluster.network import Network


def main() -> int:
    """Run it, print the figures; 1 if anything was violated."""
    options = _options(sys.argv[1:])
    if options.namespaces or not options.no_disks:
        room.enter("tests.cluster", sys.argv[1:])
    space = Path(tempfile.mkdtemp(prefix="cluster-", dir=options.directory))
    try:
        report = uvloop.run(_run(options, space))
    finally:
        if not options.keep:
            shutil.rmtree(space, ignore_errors=True)
    print(report)
    for example in report.examples:
        print("VIOLATION", example)
    return 1 if report.violations else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="pyetcd", help="etcd, pyetcd, or pyetcd:MODULE")
    parser.add_argument("--namespaces", action="store_true", help="hosts instead of loopback")
    parser.add_argument("--no-disks", action="store_true", default=os.geteuid() != 0)
    parser.add_argument("--snapshot-count", type=int, default=100)
    parser.add_argument("--only", default="", help="which faults: a regular expression")
    parser.add_argument("--writes", type=float, default=WRITES_PER_S, help="writes per s, in all")
    parser.add_argument("--directory", help="where the data goes")
    parser.add_argument("--keep", action="store_true", help="keep data and logs")
    return parser.parse_args(arguments)


async def _run(options: argparse.Namespace, space: Path) -> Report:
    network: Network = Hosts() if options.namespaces else Links()
    cluster = Cluster(
        program(options.kind),
        network,
        space=space,
        size=options.members,
        settings={"snapshot-count": str(options.snapshot_count)},
        with_disks=not options.no_disks,
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(cluster.running())
        campaign = Campaign(
            cluster,
            options.seed,
            rates=Rates(writes=options.writes),
            only=options.only,
            say=lambda line: print(line, flush=True),
        )
        return await campaign.run(options.minutes)


if __name__ == "__main__":
    sys.exit(main())
