"""The clients that can be played, and one run of a client as a process.

Laws: a client sees the environment of the case and nothing else that concerns it; its output goes
to pipes; it is a session of its own, so that it has no terminal but the one a case gives it. It
and its children are ended by its id.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.clients.etcdctl import find_etcdctl
from tests.clients.waiting import until
from tests.etcdctl.cases import TIMEOUT, Case, Outcome
from tests.oracle.process import ROOT

_REMOVED_PREFIXES = ("ETCD", "PYTHON")
_DRAIN_S = 3.0
"""How long children of a client that has ended may go on printing."""
_ECHO_OFF_S = 5.0
_ECHO_FLAGS = 3
_READ_MAX = 65536


@dataclass(frozen=True, slots=True)
class Program:
    """A client: how it is started, and which column of the cases it is to follow."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    follows_preferred: bool

    def expected(self, case: Case) -> tuple[Outcome, ...]:
        """The outcomes of which one must be seen."""
        return case.preferred if self.follows_preferred else case.captured

    def environment(self, more: Mapping[str, str | None]) -> dict[str, str]:
        """This process's environment without what concerns clients, with more; None unsets."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_REMOVED_PREFIXES) and not name.lower().endswith("_proxy")
        }
        merged: dict[str, str | None] = {**kept, **self.env, "ETCDCTL_API": "2", **more}
        return {name: value for name, value in merged.items() if value is not None}


def reference() -> Program:
    """Debian's etcdctl 3.4, of which the cases were captured."""
    return Program("etcdctl", (find_etcdctl(),), {}, follows_preferred=False)


def ours() -> Program:
    """Our client, as a module of this tree."""
    argv = (sys.executable, "-m", "pyetcdctl")
    return Program("pyetcdctl", argv, {"PYTHONPATH": str(ROOT)}, follows_preferred=True)


PROGRAMS = {"etcdctl": reference, "pyetcdctl": ours}


class Running:
    """A client that runs; a context manager that leaves nothing running."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        *,
        stdin: bytes | None = None,
        on_terminal: bool = False,
    ) -> None:
        self._collected = {name: bytearray() for name in ("stdout", "stderr", "terminal")}
        self._threads: list[threading.Thread] = []
        self._terminal: int | None = None
        slave: int | None = None
        if on_terminal:
            self._terminal, slave = os.openpty()
            setsid = shutil.which("setsid")
            assert setsid, "setsid is not installed: Debian's package is util-linux"
            # It makes its standard input the controlling terminal and becomes the command.
            command = [setsid, "--ctty", *command]
        has_input = stdin is not None and slave is None
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=directory,
            stdin=slave
            if slave is not None
            else subprocess.PIPE
            if has_input
            else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=slave is None,
        )
        if slave is not None:
            os.close(slave)
        self._collect("stdout", self.process.stdout)
        self._collect("stderr", self.process.stderr)
        if self._terminal is not None:
            self._start(self._read_terminal, self._terminal)
        if has_input:
            self._start(self._feed, stdin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self.process.wait()
        self._join(None)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        if self._terminal is not None:
            os.close(self._terminal)

    @property
    def is_running(self) -> bool:
        """Whether the client itself still runs."""
        return self.process.poll() is None

    def text(self, stream: str) -> str:
        """What has been printed so far to stdout, stderr or terminal."""
        return self._collected[stream].decode("utf-8", "backslashreplace")

    def outcome(self, code: int | str) -> Outcome:
        """What it came to, with this exit code."""
        return Outcome(self.text("stdout"), self.text("stderr"), code, self.text("terminal"))

    def type_line(self, line: str) -> None:
        """Type a line on its terminal, once it has asked and turned echo off."""
        assert self._terminal is not None
        with contextlib.suppress(AssertionError):
            # A client that leaves echo on gets its line as well: the terminal will tell.
            until(self._is_asking, "echo is off", deadline_s=_ECHO_OFF_S)
        os.write(self._terminal, line.encode() + b"\n")

    def finish(self, limit_s: float) -> Outcome:
        """Wait for its end and for the last of its output."""
        try:
            code: int | str = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = TIMEOUT
            self.kill()
        self._join(_DRAIN_S)
        return self.outcome(code)

    def kill(self) -> None:
        """End it and its children."""
        if any(thread.is_alive() for thread in self._threads) or self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            if self.is_running:
                self.process.kill()

    def _is_asking(self) -> bool:
        assert self._terminal is not None
        is_silent = not termios.tcgetattr(self._terminal)[_ECHO_FLAGS] & termios.ECHO
        return (is_silent and bool(self._collected["stdout"])) or not self.is_running

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _collect(self, name: str, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._start(self._read, self._collected[name], stream.fileno())

    def _read(self, into: bytearray, descriptor: int) -> None:
        while data := os.read(descriptor, _READ_MAX):
            into += data

    def _read_terminal(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):  # EIO: the last program on it has ended
            self._read(self._collected["terminal"], descriptor)

    def _feed(self, data: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stream:
            stream.write(data)

    def _join(self, limit_s: float | None) -> None:
        for thread in self._threads:
            thread.join(limit_s)
