"""Starts that are meant to fail, and servers with something done to them before they start."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.oracle import Server
from tests.oracle.process import ROOT

REFUSAL_S = 30.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a start ended."""

    code: int
    lines: tuple[str, ...]

    @property
    def complaints(self) -> list[str]:
        """The lines that are neither news nor warnings."""
        return [line for line in self.lines if " I | " not in line and " W | " not in line]


SERVER = (sys.executable, "-m", "server")


def refused(server: Server, *prefix: str, program: tuple[str, ...] = SERVER) -> Refusal:
    """Start a stopped server on its data again, and wait until it has given up.

    `prefix` is a program that runs another one, with its options; `program` the server's own.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD", "PYTHON"))}
    done = subprocess.run(
        [*prefix, *program, *server.options()],
        cwd=ROOT,
        env=clean | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=REFUSAL_S,
    )
    return Refusal(done.returncode, tuple(done.stdout.splitlines()))


def log_files(server: Server) -> list[Path]:
    """The segments of a server's log, oldest first."""
    return sorted((server.data_dir / "member" / "wal").glob("*.log"))


def end_of_data(path: Path) -> int:
    """Where the zeros begin that fill a segment up."""
    return len(path.read_bytes().rstrip(b"\0"))
