"""The server that is maltreated, and how it must be afterwards."""

import contextlib
import json
import socket
import time
from pathlib import Path

from tests.clients.reachable import watchers
from tests.clients.waiting import until
from tests.oracle import Closed, Connection, Late, Pyetcd, Request, Response

RESIDENT_MAX_BYTES = 600 << 20
MOMENT_S = 0.2
_BAD_WORDS = ("Traceback", "a bug:", " C | ", "Error in", "exception was never retrieved")


class Victim(Pyetcd):
    """pyetcd, with the questions that are asked after each test."""

    kind = "victim"

    @property
    def resident_bytes(self) -> int:
        """The memory it occupies."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel shows no VmRSS")

    @property
    def open_files(self) -> int:
        """How many descriptors it has."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def is_quiet(self) -> bool:
        """Whether the log is free of tracebacks and of what comes with them."""
        printed = self.log_path.read_text(errors="replace")
        return not any(word in printed for word in _BAD_WORDS)

    def check(self) -> None:
        """The server is as healthy as before; AssertionError if not."""
        assert self.running, self.log()
        with self.connect() as connection:
            assert connection.ask(Request.form("PUT", "/v2/keys/alive", "value=1")).status < 300
            assert connection.ask(Request("GET", b"/health")).status == 200
        assert self.is_quiet(), self.log()
        assert self.resident_bytes < RESIDENT_MAX_BYTES
        until(lambda: watchers(self) == 0, "all watchers are gone")


def raw(server: Pyetcd, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes on a connection of their own; all that comes back until it ends or falls silent.

    `end`: tell the server that nothing more comes. What it waits for then never arrives.
    """
    with server.connect() as connection:
        connection.send(data)
        if end:
            with contextlib.suppress(OSError):
                connection._socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Late):
            return connection.rest()
        raise AssertionError(f"no answer and no end within the deadline: {data[:200]!r}")


def raw_many(server: Pyetcd, cases: list[bytes]) -> list[bytes]:
    """Send each on a connection of its own, all at once; what comes back on each.

    The server is given a moment before it is told that nothing more comes, as most clients do not
    say so before they have their answer.
    """
    with contextlib.ExitStack() as stack:
        connections = []
        for data in cases:
            connection = stack.enter_context(server.connect())
            connection.send(data)
            connections.append(connection)
        until_s = time.monotonic() + MOMENT_S
        got = []
        for connection in connections:
            first = b""
            with contextlib.suppress(Late):
                first = connection.rest(until=until_s)
            with contextlib.suppress(OSError):
                connection._socket.shutdown(socket.SHUT_WR)
            got.append(first)
        return [
            first + connection.rest() for first, connection in zip(got, connections, strict=True)
        ]


def statuses(answers: bytes) -> list[int]:
    """The status codes of the answers in what a connection has sent."""
    return [
        int(line[9:12])
        for line in answers.split(b"\n")
        if line.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")) and line[9:12].isdigit()
    ]


def error_of(answer: Response) -> tuple[int, int, str]:
    """Status, errorCode and cause of a v2 error."""
    body = json.loads(answer.body)
    return answer.status, body["errorCode"], body["cause"]


def drain(connection: Connection) -> bytes:
    """Read what is left, to the end of the connection."""
    with contextlib.suppress(Closed, Late):
        return connection.rest()
    return b""
