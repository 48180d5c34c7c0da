"""Just enough of systemd to start a service from its unit file on a lab's host.

Laws: what is read of a unit file means what systemd.service(5) says: Environment=, EnvironmentFile=
(a leading dash: it may be missing), ExecStart= and ExecStartPost= (without variables),
WorkingDirectory=, Type=notify. User= and Restart= are not acted on. A service is up when it has
said READY=1; only then ExecStartPost= is run.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.lab.hosts import CommandFailed

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.lab.hosts import Host

_READY_S: Final = 60.0
_STOP_S: Final = 15.0
_LOOK_S: Final = 0.02
_SETTING: Final = re.compile(r"([A-Za-z]+)=(.*)")


class Unit:
    """A unit file's [Service] section."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._settings: dict[str, list[str]] = {}
        section = ""
        for line in path.read_text().splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and (match := _SETTING.fullmatch(line.strip())):
                self._settings.setdefault(match[1], []).append(match[2])

    def all(self, name: str) -> list[str]:
        """All values of a setting."""
        return self._settings.get(name, [])

    def one(self, name: str) -> str:
        """The last value of a setting, "" if there is none."""
        return (self.all(name) or [""])[-1]

    def environment(self, host: Host) -> dict[str, str]:
        """The variables its programs get on a host."""
        variables: dict[str, str] = {}
        for line in self.all("Environment"):
            variables |= dict(word.split("=", 1) for word in shlex.split(line))
        for name in self.all("EnvironmentFile"):
            try:
                variables |= environment_file(host.read(name.removeprefix("-")))
            except CommandFailed:
                if not name.startswith("-"):
                    raise
        return variables


def environment_file(text: str) -> dict[str, str]:
    """The variables in an EnvironmentFile=."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, given, value = line.strip().partition("=")
        if given and not name.startswith(("#", ";")):
            variables[name] = "".join(shlex.split(value)) if value[:1] in "\"'" else value
    return variables


@dataclass(slots=True)
class Service:
    """A started unit."""

    unit: Unit
    host: Host
    process: subprocess.Popen[bytes]
    log: Path
    _notices: socket.socket

    @classmethod
    def start(cls, unit: Unit, host: Host, log: Path) -> Service:
        """Start it, without waiting for it to be up; it prints into `log`."""
        host.run("mkdir", "-p", "/run/systemd")
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # An abstract name would belong to one network namespace; a file is everybody's.
        path = log.with_suffix(".notify")
        path.unlink(missing_ok=True)
        notices.bind(str(path))
        notices.setblocking(False)
        variables = unit.environment(host)
        words = shlex.split(unit.one("ExecStart"))
        directory = unit.one("WorkingDirectory") or "/"
        host.run("mkdir", "-p", directory)
        environment = os.environ | variables | {"NOTIFY_SOCKET": str(path)}
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *host.prefix,
                    "sh",
                    "-c",
                    f'cd {shlex.quote(directory)} && exec "$@"',
                    "-",
                    *words,
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return cls(unit, host, process, log, notices)

    def wait(self, timeout_s: float = _READY_S) -> None:
        """Wait until it is up, and do what comes after; raises CommandFailed with its log."""
        deadline = time.monotonic() + timeout_s
        while not self._is_told_ready():
            if self.process.poll() is not None:
                raise self._failure(f"ended with {self.process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"is not up within {timeout_s:g} s")
            time.sleep(_LOOK_S)
        for line in self.unit.all("ExecStartPost"):
            self.host.run(*shlex.split(line))

    def _is_told_ready(self) -> bool:
        try:
            return b"READY=1" in self._notices.recv(4096)
        except BlockingIOError:
            return False

    def _failure(self, what: str) -> CommandFailed:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        return CommandFailed(f"{self.unit.name} on {self.host.address} {what}:\n{tail}")

    def stop(self) -> None:
        """Stop it as systemd does."""
        self._notices.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
