"""One member: a real process that can be killed, paused, ended and started again.

Laws: only signals, files and its public HTTP are used; the process group is killed by its id
whatever happens; a pause is undone before anything else is asked of the process.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import orjson

from bench.others import process_seconds
from tests.cluster.client import Broken, Client, Late, NotSent
from tests.cluster.network import Place
from tests.cluster.programs import Program
from tests.oracle.process import ROOT

STOP_S = 20.0
LOG_TAIL_BYTES = 3000
PROBE_S = 1.5


class Member:
    """A process at a place, with its data directory and its log."""

    def __init__(
        self,
        program: Program,
        place: Place,
        settings: dict[str, str],
        *,
        directory: Path,
        by_environment: bool = False,
    ) -> None:
        self.program = program
        self.place = place
        self.settings = settings
        self.directory = directory
        self.by_environment = by_environment
        self.paused = False
        self.ended = False
        """Whether it was ended on purpose, or removed."""
        self.log_path = directory.with_name(directory.name + ".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._probe = Client(place.client_host, place.client_port)

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Its name, and its place's."""
        return self.place.name

    @property
    def running(self) -> bool:
        """Whether the process is alive, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id; only while it runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended by itself; None while it runs and after we ended it."""
        return None if self._process is None else self._process.poll()

    def client(self) -> Client:
        """A new client of this member."""
        return Client(self.place.client_host, self.place.client_port)

    def spawn(self) -> None:
        """Start the process; it is not ready yet."""
        assert not self.running, self
        self.ended = False
        line = [*self.place.prefix, *self.program.command]
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("ETCD", "PYTHON"))
        }
        environment |= {"PYTHONPATH": str(ROOT)} | self.program.environment
        if self.by_environment:
            environment |= {variable(name): value for name, value in self.settings.items()}
        else:
            line += [f"--{name}={value}" for name, value in self.settings.items()]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                line,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.kill)

    def kill(self) -> None:
        """SIGKILL, to the end of the process."""
        self.ended, self.paused = True, False
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_S)
            atexit.unregister(self.kill)
        self._probe.close()

    def terminate(self) -> None:
        """SIGTERM only; `running` tells when it has ended."""
        self.resume()
        self.ended = True
        if self.running:
            os.kill(self.pid, signal.SIGTERM)

    def stop(self) -> int:
        """SIGTERM, then the exit code; SIGKILL and -9 when it does not end in time."""
        self.terminate()
        process = self._process
        if process is None:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        self.kill()
        return process.returncode

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """SIGCONT, if it was paused."""
        if self.paused and self.running:
            os.kill(self.pid, signal.SIGCONT)
        self.paused = False

    def log(self) -> str:
        """The end of what it has printed."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")

    async def get(self, target: str, *, timeout_s: float = PROBE_S) -> tuple[int, object]:
        """Status and JSON body of a GET; (0, None) if there is no complete answer."""
        try:
            answer = await self._probe.ask("GET", target, timeout_s=timeout_s)
            return answer.status, orjson.loads(answer.body or b"null")
        except (NotSent, Broken, Late, orjson.JSONDecodeError):
            return 0, None

    async def leader(self) -> str | None:
        """The name of the leader it knows."""
        status, found = await self.get("/v2/members/leader")
        return str(found["name"]) if status == 200 and isinstance(found, dict) else None

    async def is_ready(self) -> bool:
        """Whether it serves linearizable reads."""
        return (await self.get("/v2/keys/?quorum=true"))[0] == 200

    def cpu_seconds(self) -> float:
        """User and system time the process has taken so far."""
        return process_seconds(Path(f"/proc/{self.pid}/stat").read_text())


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return "ETCD_" + name.upper().replace("-", "_")


def now() -> float:
    """The one clock of all observations, in s."""
    return time.monotonic()
