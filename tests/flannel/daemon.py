"""pyflanneld as a process on a host of the tests.

Laws: it is started as a service manager would: readiness is the datagram READY=1, nothing is
guessed from time; every wait has a deadline and shows the log when it fails.
"""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from flannel import env_file
from tests.clients.waiting import until
from tests.flannel.hosts import Host
from tests.oracle.process import ROOT

DEADLINE_S = 60.0
"""The machine may be busy with other tests."""


class Daemon:
    """One pyflanneld, restartable."""

    def __init__(
        self, host: Host, directory: Path, *arguments: str, prefix: tuple[str, ...] = ()
    ) -> None:
        self.host = host
        self._arguments = arguments
        self._prefix = prefix
        self._directory = directory / host.name
        self._directory.mkdir()
        self.log_path = self._directory / "log"
        self.subnet_path = self._directory / "run" / "subnet.env"
        self._notify = self._directory / "notify"
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: socket.socket | None = None

    def start(self, *more: str, **environ: str) -> "Daemon":
        """Run it; does not wait."""
        self._notify.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listener.bind(str(self._notify))
        line = [
            *self._prefix, sys.executable, "-m", "flannel",
            "-subnet-file", str(self.subnet_path), *self._arguments, *more,
        ]  # fmt: skip
        paths = {"NOTIFY_SOCKET": str(self._notify), "PYTHONPATH": str(ROOT)}
        self._process = self.host.start(line, self.log_path, **(paths | environ))
        return self

    def ready(self) -> "Daemon":
        """Wait for READY=1."""
        assert self._listener is not None
        self._listener.settimeout(0.05)

        def said() -> bool:
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(TimeoutError):
                assert self._listener is not None
                return self._listener.recv(99) == b"READY=1"
            return False

        self._until(said, "READY=1")
        self._listener.close()
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running one."""
        assert self._process is not None
        return self._process

    def log(self) -> str:
        """All it has said."""
        return self.log_path.read_text()

    def says(self, text: str, *, times: int = 1) -> None:
        """Wait until it has said so."""
        self._until(lambda: self.log().count(text) >= times, text)

    def exits(self) -> int:
        """Wait for its end; the exit code."""
        self._until(lambda: self.process.poll() is not None, "its end")
        if self._listener:
            self._listener.close()
        return self.process.returncode

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end; the exit code."""
        self.process.send_signal(number)
        return self.exits()

    def subnet_env(self) -> dict[str, str]:
        """What it wrote down."""
        return env_file.read(self.subnet_path)

    @property
    def mtu(self) -> int:
        """The MTU it wrote down."""
        return int(self.subnet_env()["FLANNEL_MTU"])

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            until(condition, what, deadline_s=DEADLINE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log:\n{self.log()}") from None
