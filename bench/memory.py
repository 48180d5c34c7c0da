"""Resident memory of both servers after loading the same keys.

Method: the figures are the kernel's (VmRSS, VmHWM of /proc/PID/status). `empty` is read before
the first key, `loaded` a few seconds after the last one, when a garbage collector that wants to
give memory back has had its chance; what a key costs is their difference.
"""

import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench import machine
from bench.errors import BenchError
from bench.figures import print_table, write_json
from bench.loader import load
from bench.servers import pair, workspace
from tests.oracle.process import Server

_SETTLE_S: Final = 5.0
_KIB: Final = 1024
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the kernel says about one process."""

    resident_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """One server's memory before and after."""

    empty: Footprint
    loaded: Footprint
    keys: int

    @property
    def per_key_bytes(self) -> float:
        """What one more key costs."""
        return (self.loaded.resident_bytes - self.empty.resident_bytes) / self.keys


def measure(*, keys: int, value_bytes: int, json_file: str | None, directory: str | None) -> None:
    """Load each server and print what it takes."""
    results: dict[str, Result] = {}
    with workspace(directory) as space:
        facts = machine.facts(space)
        machine.print_facts(facts)
        for server in pair(space):
            with server:
                results[server.kind] = _result(server, keys, value_bytes)
    print(f"{keys:,} keys with values of {value_bytes} bytes; MiB of resident memory\n")
    rows = []
    for kind, result in results.items():
        sizes = (
            result.empty.resident_bytes,
            result.loaded.resident_bytes,
            result.loaded.peak_bytes,
        )
        rows.append(
            [kind, *(f"{size / _MIB:.1f}" for size in sizes), f"{result.per_key_bytes:,.0f}"]
        )
    print_table(("server", "empty", "loaded", "peak", "bytes per key"), rows)
    ours, theirs = results["pyetcd"].loaded, results["etcd"].loaded
    print(f"\npyetcd / etcd, loaded: {ours.resident_bytes / theirs.resident_bytes:.2f}x")
    write_json(json_file, {"facts": facts, **{k: asdict(r) for k, r in results.items()}})


def _result(server: Server, keys: int, value_bytes: int) -> Result:
    empty = footprint(_status(server))
    load(server.client_port, keys=keys, value_bytes=value_bytes)
    time.sleep(_SETTLE_S)
    return Result(empty, footprint(_status(server)), keys)


def _status(server: Server) -> str:
    return Path(f"/proc/{server.pid}/status").read_text()


def footprint(status: str) -> Footprint:
    """Read the text of /proc/PID/status."""
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
    if len(found) != 2:
        raise BenchError("/proc/PID/status shows no VmRSS and VmHWM")
    return Footprint(int(found["VmRSS"]) * _KIB, int(found["VmHWM"]) * _KIB)
