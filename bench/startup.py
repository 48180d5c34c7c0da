"""How long a server takes from exec to its first answer, on a fresh directory and on a full one.

Method: from just before fork and exec to the first 200 for a GET of the root key, asked for
every 5 ms, which is also the resolution. The restart comes after a SIGTERM, with the page cache
warm.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench import machine
from bench.figures import Spread, print_table, spread, write_json
from bench.loader import load
from bench.servers import MeasuredEtcd, MeasuredPyetcd, workspace

_KINDS: Final = (MeasuredEtcd, MeasuredPyetcd)


def measure(
    *, keys: int, value_bytes: int, runs: int, json_file: str | None, directory: str | None
) -> None:
    """Start each server several times and print how long it took."""
    with workspace(directory) as space:
        facts = machine.facts(space)
        machine.print_facts(facts)
        fresh = _fresh(space, runs)
        full = _full(space, runs, keys, value_bytes)
    rows = [
        [kind, *_cells(times)]
        for what, found in (("fresh", fresh), (f"{keys:,} keys", full))
        for kind, times in ((f"{server}, {what}", spread(s)) for server, s in found.items())
    ]
    print(f"exec to the first answer, ms, {runs} runs\n")
    print_table(("start", "median", "min", "max"), rows)
    write_json(
        json_file,
        {
            "facts": facts,
            "fresh_s": {kind: asdict(spread(times)) for kind, times in fresh.items()},
            "full_s": {kind: asdict(spread(times)) for kind, times in full.items()},
        },
    )


def _fresh(space: Path, runs: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {kind.kind: [] for kind in _KINDS}
    for number in range(runs):
        for kind in _KINDS:
            home = space / f"fresh-{kind.kind}-{number}"
            home.mkdir()
            with kind(data_dir=home / "data") as server:
                times[kind.kind].append(server.ready_after_s)
    return times


def _full(space: Path, runs: int, keys: int, value_bytes: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    for kind in _KINDS:
        home = space / f"full-{kind.kind}"
        home.mkdir()
        with kind(data_dir=home / "data") as server:
            load(server.client_port, keys=keys, value_bytes=value_bytes)
            times[kind.kind] = [server.restart().ready_after_s for _ in range(runs)]
    return times


def _cells(times: Spread) -> list[str]:
    return [f"{seconds * 1e3:,.0f}" for seconds in (times.median, times.low, times.high)]
