"""A process that has imported our server and becomes one each time it is asked to.

Starting Python and importing everything takes much longer than starting the server, and the tests
start it a thousand times. What is started is the server of server/main.py in a process and a
session of its own, with its own arguments, environment and output: only the imports are shared.

Laws: one warm process for each process that runs tests; it ends with it. Nothing runs in the warm
process but this loop: no thread, no event loop. A start that nobody answers for is an error.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parents[2]
_REQUEST_BYTES_MAX: Final = 1 << 20
_ANSWER_S: Final = 60.0
_FILES_MAX: Final = 4096


def environment() -> dict[str, str]:
    """What a started server has of ours: no option of etcd's, of Python's only a path."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD", "PYTHON"))}
    return clean | {"PYTHONPATH": str(ROOT)}


class Warm:
    """The warm process, from outside."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.oracle.warm", str(theirs.fileno())],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ours.settimeout(_ANSWER_S)
        self._ours = ours

    def close(self) -> None:
        """End it; what it has become goes on."""
        self._ours.close()
        self._process.wait()

    def start(self, arguments: list[str], env: dict[str, str], log: IO[bytes]) -> Forked:
        """Start a server; its output goes to `log`."""
        reading, writing = os.pipe()
        request = json.dumps([arguments, env]).encode()
        try:
            socket.send_fds(self._ours, [request], [log.fileno(), writing])
            pid = int(self._ours.recv(100))
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return Forked(pid, reading)


class Forked:
    """A server that the warm process has become; as much of Popen as is used."""

    def __init__(self, pid: int, outcome: int) -> None:
        """`outcome`: a pipe on which the exit code comes."""
        self.pid = pid
        self._outcome = outcome
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"server {self.pid}", timeout or 0.0)
        return code

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._outcome, select.POLLIN)
            if waiting.poll(None if timeout is None else timeout * 1000):
                # Nothing comes if the warm process has ended before it.
                self.returncode = int(os.read(self._outcome, 100) or -signal.SIGKILL)
                os.close(self._outcome)
        return self.returncode


class _Loop:
    """The warm process, from inside."""

    def __init__(self, theirs: socket.socket) -> None:
        self._theirs = theirs
        self._outcomes: dict[int, int] = {}
        self._wakes, wake = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)

    def run(self) -> list[str] | None:
        """Fork until nobody asks any more (None); in a child, return the server's arguments."""
        while True:
            ready = select.select([self._theirs, self._wakes], [], [])[0]
            if self._wakes in ready:
                os.read(self._wakes, 4096)
                self._reap()
            if self._theirs in ready:
                request, fds, _flags, _address = socket.recv_fds(
                    self._theirs, _REQUEST_BYTES_MAX, 2
                )
                if not request:
                    return None
                arguments, env = json.loads(request)
                if self._fork(fds) == 0:
                    self._become(env, log=fds[0])
                    return [str(each) for each in arguments]

    def _fork(self, fds: list[int]) -> int:
        log, outcome = fds
        pid = os.fork()
        if pid:
            self._outcomes[pid] = outcome
            os.close(log)
        return pid

    def _become(self, env: dict[str, str], log: int) -> None:
        """Be as a process that was started anew."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        self._theirs.send(b"%d" % os.getpid())
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, _FILES_MAX)
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        random.seed()

    def _reap(self) -> None:
        while self._outcomes:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            outcome = self._outcomes.pop(pid)
            os.write(outcome, b"%d" % os.waitstatus_to_exitcode(status))
            os.close(outcome)


_warm: list[Warm] = []
_lock = threading.Lock()


def start(arguments: list[str], env: dict[str, str], log: IO[bytes]) -> Forked:
    """Start a server in a process of its own, which has everything imported already."""
    with _lock:
        if not _warm:
            _warm.append(Warm())
            atexit.register(_warm[0].close)
        return _warm[0].start(arguments, env, log)


def _main() -> None:
    from server.main import main

    arguments = _Loop(socket.socket(fileno=int(sys.argv[1]))).run()
    if arguments is not None:
        sys.argv = [str(ROOT / "server" / "__main__.py"), *arguments]
        main()


if __name__ == "__main__":
    _main()
