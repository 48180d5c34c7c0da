"""wrk: one load against one server, and what it measured.

Laws: a single wrk thread, so that on two cores the server has one for itself; a load in which one
answer was not a success, or one connection failed, gives no figures but a BenchError.
"""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import BenchError

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_MEASURED: Final = re.compile(r"^measured (\{.*\})$", re.MULTILINE)
_NON_2XX: Final = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_SOCKET_ERRORS: Final = ("connect", "read", "write", "timeout")
_GRACE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk is to send: `keys` in turn, of more than 10,000 at random. QGET: a quorum GET."""

    method: str
    connections: int
    seconds: int
    keys: int = 1000
    value_bytes: int = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """What one load came to."""

    requests: int
    rate: float
    p50_us: float
    p99_us: float
    max_us: float


def program() -> str:
    """The path of wrk; BenchError says how to install it."""
    found = shutil.which("wrk")
    if found is None:
        raise BenchError("wrk is not installed: `apt-get install wrk` (Debian, Ubuntu)")
    return found


def version() -> str:
    """What wrk calls itself."""
    # wrk prints its version with the usage text and then fails.
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, check=False)
    return " ".join((done.stdout or done.stderr).split()[:2])


def command(url: str, load: Load) -> list[str]:
    """The command line of a load."""
    return [
        program(),
        "--threads=1",
        f"--connections={load.connections}",
        f"--duration={load.seconds}s",
        "--timeout=10s",
        f"--script={_SCRIPT}",
        url,
        "--",
        load.method,
        str(load.keys),
        str(load.value_bytes),
    ]


def run(url: str, load: Load) -> Sample:
    """Drive a server for `load.seconds`; raise BenchError if anything failed on the way."""
    done = subprocess.run(
        command(url, load),
        capture_output=True,
        text=True,
        check=False,
        timeout=load.seconds + _GRACE_S,
    )
    if done.returncode != 0:
        raise BenchError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    return parse(done.stdout)


def parse(output: str) -> Sample:
    """Read what wrk and load.lua print."""
    found = _MEASURED.search(output)
    if found is None:
        raise BenchError(f"wrk printed no measurement, but: {output.strip()}")
    measured: dict[str, int] = json.loads(found[1])
    printed = _NON_2XX.search(output)
    bad = max(measured["bad_statuses"], int(printed[1]) if printed else 0)
    if bad:
        raise BenchError(f"{bad} of {measured['requests']} answers were errors")
    failed = {name: measured[name] for name in _SOCKET_ERRORS if measured[name]}
    if failed:
        words = ", ".join(f"{count} x {name}" for name, count in failed.items())
        raise BenchError(f"connections failed under load: {words}")
    if not measured["requests"]:
        raise BenchError("no request was answered")
    return Sample(
        requests=measured["requests"],
        rate=measured["requests"] / (measured["duration_us"] / 1e6),
        p50_us=measured["p50_us"],
        p99_us=measured["p99_us"],
        max_us=measured["max_us"],
    )
