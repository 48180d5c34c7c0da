"""GET and PUT at 1 and 64 connections: rate, median and 99th percentile of both servers.

Method: both servers run the whole time; each round drives etcd and then pyetcd with each load, so
that a disturbance of the machine hits both alike. A ratio is taken within its round; the
median over the rounds counts.
"""

from dataclasses import asdict, dataclass
from typing import Final

from bench import machine, wrk
from bench.figures import Spread, print_table, spread, write_json
from bench.loader import load
from bench.others import Others
from bench.servers import pair, workspace
from bench.wrk import Load, Sample
from tests.oracle.process import Server

KEYS: Final = 1000
VALUE_BYTES: Final = 64
CONNECTIONS: Final = (1, 64)
_WARM_UP_S: Final = 1


@dataclass(frozen=True, slots=True)
class Line:
    """What all rounds of one load came to."""

    load: str
    etcd: list[Sample]
    pyetcd: list[Sample]

    @property
    def ratio(self) -> Spread:
        """How many times etcd's rate pyetcd reached."""
        return spread([b.rate / a.rate for a, b in zip(self.etcd, self.pyetcd, strict=True)])


def measure(
    *, rounds: int, seconds: int, only: str | None, json_file: str | None, directory: str | None
) -> None:
    """Run the comparison and print it."""
    methods = [only.upper()] if only else ["GET", "PUT"]
    loads = [
        Load(method, connections, seconds, KEYS, VALUE_BYTES)
        for method in methods
        for connections in CONNECTIONS
    ]
    wrk.program()
    with workspace(directory) as space:
        facts = machine.facts(space)
        machine.print_facts(facts)
        etcd, pyetcd = pair(space)
        with etcd, pyetcd:
            for server in (etcd, pyetcd):
                load(server.client_port, keys=KEYS, value_bytes=VALUE_BYTES)
            others = Others([etcd.pid, pyetcd.pid])
            lines = _rounds(etcd, pyetcd, loads, rounds=rounds)
            facts["others"] = f"{others.share():.0%} of the processor time"
    _print(lines, rounds, seconds)
    print(f"\nother processes had {facts['others']} meanwhile")
    write_json(json_file, {"facts": facts, "loads": [_as_json(line) for line in lines]})


def _rounds(etcd: Server, pyetcd: Server, loads: list[Load], *, rounds: int) -> list[Line]:
    lines = [Line(f"{load.method} {load.connections:2}", [], []) for load in loads]
    for server in (etcd, pyetcd):
        for load_ in loads:
            wrk.run(server.url, Load(load_.method, load_.connections, _WARM_UP_S))
    for number in range(rounds):
        for load_, line in zip(loads, lines, strict=True):
            line.etcd.append(wrk.run(etcd.url, load_))
            line.pyetcd.append(wrk.run(pyetcd.url, load_))
        rates = "  ".join(f"{line.load} {line.ratio.median:.2f}x" for line in lines)
        print(f"round {number + 1} of {rounds}, medians so far: {rates}", flush=True)
    return lines


def _print(lines: list[Line], rounds: int, seconds: int) -> None:
    print(
        f"\n{KEYS} keys of {VALUE_BYTES} bytes, {rounds} rounds of {seconds} s in turns, "
        "medians; ratio = pyetcd's rate / etcd's\n"
    )
    rows = []
    for line in lines:
        row = [line.load]
        for samples in (line.etcd, line.pyetcd):
            row.append(f"{spread([sample.rate for sample in samples]).median:,.0f}/s")
            row.append(f"{spread([sample.p50_us for sample in samples]).median / 1e3:.2f}")
            row.append(f"{spread([sample.p99_us for sample in samples]).median / 1e3:.2f}")
        ratio = line.ratio
        row += [f"{ratio.median:.2f}x", f"{ratio.low:.2f}..{ratio.high:.2f}"]
        rows.append(row)
    heads = ("load", "etcd", "p50 ms", "p99 ms", "pyetcd", "p50 ms", "p99 ms", "ratio", "range")
    print_table(heads, rows)


def _as_json(line: Line) -> dict[str, object]:
    return {
        "load": line.load,
        "ratio": asdict(line.ratio),
        "etcd": [asdict(sample) for sample in line.etcd],
        "pyetcd": [asdict(sample) for sample in line.pyetcd],
    }
