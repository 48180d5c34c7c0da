"""The longest pauses of pyetcd's event loop with a million keys, under load, at its busiest.

Method: bench.ticker is the real server with a ticker on its loop. The keys are proposed inside
that process (over HTTP a million would take minutes), through the log, as any client's. Then, for
each run, the server is restarted on its directory and gets PUTs of random existing keys on 64
connections, with a snapshot count so small that several snapshots and compactions fall into the
run; a full collection is forced during each snapshot. A run without all three gives no figures.
"""

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench import machine, wrk
from bench.errors import BenchError
from bench.figures import print_table, write_json
from bench.pauses import Record
from bench.servers import MeasuredPyetcd, workspace
from bench.ticker import CONTROL, STACKS
from bench.wrk import Load, Sample

_CONNECTIONS: Final = 64
_SETTLE_S: Final = 2.0
_CONTROL_TIMEOUT_S: Final = 600.0
_WORST: Final = 5


class _Observed(MeasuredPyetcd):
    """pyetcd inside bench.ticker."""

    def command(self) -> list[str]:
        """The wrapper instead of the server."""
        return [sys.executable, "-m", "bench.ticker"]

    def order(self, what: str, **details: int) -> Any:
        """Tell the wrapper what to do, and wait for its answer."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_CONTROL_TIMEOUT_S)
            control.connect(self.env[CONTROL])
            control.sendall(json.dumps({"do": what} | details).encode() + b"\n")
            with control.makefile() as answers:
                return json.loads(answers.readline())


def measure(
    *,
    keys: int,
    value_bytes: int,
    runs: int,
    seconds: int,
    snapshot_count: int,
    stacks: bool,
    json_file: str | None,
    directory: str | None,
) -> None:
    """Measure and print the pauses."""
    wrk.program()
    load = Load("PUT", _CONNECTIONS, seconds, keys, value_bytes)
    results: list[tuple[Record, Sample]] = []
    with workspace(directory) as space:
        facts = machine.facts(space)
        machine.print_facts(facts)
        environment = {CONTROL: str(space / "control")} | ({STACKS: "1"} if stacks else {})
        server = _Observed(
            data_dir=space / "data",
            args=("--snapshot-count", str(snapshot_count)),
            env=environment,
        )
        _fill(server, keys, value_bytes)
        for number in range(runs):
            results.append(_run(server, load))
            _print_run(number + 1, *results[-1])
    _print(results, keys)
    content = [record.as_json() | {"rate": sample.rate} for record, sample in results]
    write_json(json_file, {"facts": facts, "runs": content})


def _fill(server: _Observed, keys: int, value_bytes: int) -> None:
    started_s = time.monotonic()
    with server:
        server.order("begin")
        server.order("load", keys=keys, value_bytes=value_bytes)
        record = Record.from_json(server.order("end"))
        print(f"{keys:,} keys loaded in {time.monotonic() - started_s:.0f} s; the longest pauses:")
        for late in record.worst(_WORST):
            print(f"  {late.words()}")
        server.stop()


def _run(server: _Observed, load: Load) -> tuple[Record, Sample]:
    Path(server.env[CONTROL]).unlink(missing_ok=True)
    with server:
        print(f"restarted in {server.ready_after_s:.1f} s", flush=True)
        time.sleep(_SETTLE_S)
        server.order("begin")
        sample = wrk.run(server.url, load)
        record = Record.from_json(server.order("end"))
        server.stop()
    if not (record.snapshots and record.compactions and record.collections):
        raise BenchError(
            f"{record.snapshots} snapshots, {record.compactions} compactions and "
            f"{record.collections} full collections in {load.seconds} s: at least one of each is "
            "needed; use more --seconds or a smaller --snapshot-count"
        )
    return record, sample


def _print_run(number: int, record: Record, sample: Sample) -> None:
    print(
        f"run {number}: {record.keys:,} nodes, {sample.rate:,.0f} PUT/s, {record.snapshots} "
        f"snapshots, {record.compactions} compactions, {record.collections} full collections; "
        f"the longest of {len(record.pauses_us):,} pauses:"
    )
    for late in record.worst(_WORST):
        print(f"  {late.words()}")
        for stack in late.stacks:
            print(f"            {stack}")
    sys.stdout.flush()


def _print(results: list[tuple[Record, Sample]], keys: int) -> None:
    print(f"\npauses of the event loop, ms; {keys:,} keys, PUT on {_CONNECTIONS} connections")
    print("own max = less the time other processes had the core\n")
    rows = [
        [
            str(number),
            f"{record.p50_ms:.1f}",
            f"{record.p999_ms:.1f}",
            f"{record.max_ms:.1f}",
            f"{record.own_max_ms:.1f}",
            f"{sample.rate:,.0f}/s",
        ]
        for number, (record, sample) in enumerate(results, 1)
    ]
    print_table(("run", "p50", "p99.9", "max", "own max", "PUT"), rows)
    names = sorted({name for record, _sample in results for name in record.longest_ms})
    longest = {name: max(r.longest_ms.get(name, 0.0) for r, _sample in results) for name in names}
    print("\nlongest time of each step, ms, all runs\n")
    ordered = sorted(longest.items(), key=lambda item: -item[1])
    print_table(("step", "longest"), [[name, f"{took_ms:.1f}"] for name, took_ms in ordered])
