"""Our command line as a process, beside a server it finds by the environment."""

import contextlib
import os
import pty
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.waiting import until
from tests.oracle.process import ROOT

END_S = 30.0
PROGRAM = (sys.executable, "-m", "pyetcdctl")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    code: int
    out: str
    err: str


def environment(endpoints: str, **more: str) -> dict[str, str]:
    """This process's, without what concerns clients."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ETCD", "PYTHON", "NO_COLOR", "FORCE_COLOR"))
    }
    ours = {"ETCDCTL_ENDPOINTS": endpoints, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    return {**kept, **ours, **more}


def run(endpoints: str, *words: str, stdin: str = "", **more: str) -> Outcome:
    """Run it to its end."""
    done = subprocess.run(
        [*PROGRAM, *words],
        env=environment(endpoints, **more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=END_S,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


class Running:
    """One that goes on; its output goes to files."""

    def __init__(self, endpoints: str, words: Sequence[str], directory: Path, **more: str) -> None:
        self._files = (directory / "out", directory / "err")
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self.process = subprocess.Popen(
                [*PROGRAM, *words],
                env=environment(endpoints, **more),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return self._files[0].read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it has complained of so far."""
        return self._files[1].read_text(encoding="utf-8")

    def says(self, text: str) -> None:
        """Wait until it has printed this."""
        until(lambda: text in self.out, f"{text!r} in {self.out!r}, {self.err!r}", deadline_s=END_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self.process.send_signal(number)

    def ended(self) -> Outcome:
        """Wait for its end."""
        return Outcome(self.process.wait(END_S), self.out, self.err)


@contextlib.contextmanager
def running(endpoints: str, *words: str, **more: str) -> Iterator[Running]:
    """Run it beside the test; it is gone at the end."""
    with tempfile.TemporaryDirectory() as directory:
        started = Running(endpoints, words, Path(directory), **more)
        try:
            yield started
        finally:
            started.process.kill()
            started.process.wait()


class Terminal:
    """A shell's script with a terminal of its own; one types, and sees what it shows."""

    def __init__(self, master: int, process: "subprocess.Popen[bytes]") -> None:
        self._master, self._process = master, process
        self._shown = bytearray()

    @property
    def shown(self) -> str:
        """All that it has shown so far."""
        with contextlib.suppress(BlockingIOError, OSError):  # EIO: the last of them has gone
            while data := os.read(self._master, 65536):
                self._shown += data
        return self._shown.decode()

    def shows(self, text: str) -> None:
        """Wait until it has shown this."""
        until(lambda: text in self.shown, f"{text!r} in {self.shown!r}", deadline_s=END_S)

    def type(self, text: str) -> None:
        """Type: \\x03 is Ctrl-C, \\x1a Ctrl-Z."""
        os.write(self._master, text.encode())

    def ended(self) -> int:
        """Wait for its end."""
        return self._process.wait(END_S)


@contextlib.contextmanager
def at_terminal(script: str, endpoints: str, *, typed: str = "") -> Iterator[Terminal]:
    """Run a script with job control beside the test; `$CTL` in it is our program. `typed` has been
    typed before it begins.
    """
    master, slave = pty.openpty()
    os.write(master, typed.encode())
    os.set_blocking(master, False)
    process = subprocess.Popen(
        ["setsid", "--ctty", "bash", "--norc", "-c", f"set -m; {script}"],
        env=environment(endpoints, CTL=shlex.join(PROGRAM)),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)  # SIGHUP for whoever is left


def on_terminal(command: Sequence[str], environment: dict[str, str]) -> str:
    """Run a command with a terminal; all that it showed."""
    master, slave = pty.openpty()
    try:
        with subprocess.Popen(
            command,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        ) as process:
            os.close(slave)
            shown = bytearray()
            with contextlib.suppress(OSError):  # EIO: the last of them has gone
                while data := os.read(master, 65536):
                    shown += data
            assert process.wait(END_S) == 0, shown
    finally:
        os.close(master)
    return shown.decode()
