"""Hosts made of network namespaces, joined by a bridge, with containers behind docker0.

Laws: names carry our process id; whatever was made is removed at the end of the `with`, and what a
killed run left is removed by the next; processes started here die with the test process. Wants
root. (The hosts of deploy.lab live in a room, whose first process a test process cannot be.)
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

NETWORK = "172.17.8"
FIRST = 101
MARK = "flt"
MORTAL = ("setpriv", "--pdeathsig", "KILL", "--")
RUN_S = 30.0

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces want root")


def ip(*words: str) -> str:
    """Run `ip`."""
    return _run(["ip", *words])


class Place:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name = f"{MARK}{os.getpid()}-{name}"
        self._started: list[subprocess.Popen[bytes]] = []
        ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str) -> str:
        """Run `ip` inside."""
        return ip("-n", self.name, *words)

    def run(self, *words: str, check: bool = True) -> str:
        """Run a program inside and wait."""
        return _run(["ip", "netns", "exec", self.name, *words], check=check)

    def json(self, *words: str) -> Any:
        """What `ip -json` says inside."""
        return json.loads(ip("-json", "-n", self.name, *words) or "[]")

    def start(self, words: Sequence[str], output: Path, **environ: str) -> subprocess.Popen[bytes]:
        """Start a program inside."""
        with open(output, "ab") as file:
            process = subprocess.Popen(
                [*MORTAL, "ip", "netns", "exec", self.name, *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=os.environ | environ,
            )
        self._started.append(process)
        return process

    def remove(self) -> None:
        """End what was started, then the namespace."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        ip("netns", "delete", self.name)


class Host(Place):
    """A host with eth1 on the wire."""

    def __init__(self, number: int, wire: "Wire") -> None:
        super().__init__(f"h{number}")
        self.number = number
        self.address = f"{NETWORK}.{FIRST + number - 1}"
        self.cable = f"w{number}"
        self._wire = wire
        self.plug()
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def plug(self) -> None:
        """Make eth1."""
        ip("link", "add", self.cable, "netns", self._wire.name, "type", "veth",
           "peer", "name", "eth1", "netns", self.name)  # fmt: skip
        self._wire.ip("link", "set", self.cable, "master", "wire", "up")
        self.ip("address", "add", f"{self.address}/24", "dev", "eth1")
        self.ip("link", "set", "eth1", "up")
        self.ip("route", "add", "default", "via", f"{NETWORK}.1")

    def unplug(self) -> None:
        """Delete eth1."""
        self.ip("link", "delete", "eth1")


class Wire(Place):
    """The bridge all hosts are on; stores run here."""

    address = f"{NETWORK}.1"

    def __init__(self) -> None:
        super().__init__("wire")
        self.ip("link", "add", "wire", "type", "bridge")
        self.ip("address", "add", f"{self.address}/24", "dev", "wire")
        self.ip("link", "set", "wire", "up")


class Container(Place):
    """A container on a host's docker0."""

    def __init__(self, host: Host, bip: str, mtu: int) -> None:
        super().__init__(f"c{host.number}")
        bridge, _, length = bip.partition("/")
        self.address = bridge.rpartition(".")[0] + "." + str(int(bridge.rpartition(".")[2]) + 1)
        host.ip("link", "add", "docker0", "type", "bridge")
        host.ip("address", "add", bip, "dev", "docker0")
        host.ip("link", "set", "docker0", "up", "mtu", str(mtu))
        ip("link", "add", "vc", "netns", host.name, "type", "veth", "peer", "name", "eth0",
           "netns", self.name)  # fmt: skip
        host.ip("link", "set", "vc", "master", "docker0", "mtu", str(mtu), "up")
        self.ip("address", "add", f"{self.address}/{length}", "dev", "eth0")
        self.ip("link", "set", "eth0", "mtu", str(mtu), "up")
        self.ip("route", "add", "default", "via", bridge)

    def reaches(self, other: "Container", *, size: int = 56) -> bool:
        """Whether an unfragmented ping of that payload is answered."""
        line = ("ping", "-c", "1", "-W", "1", "-M", "do", "-s", str(size), other.address)
        return " 0% packet loss" in self.run(*line, check=False)


@contextlib.contextmanager
def network(hosts: int) -> Iterator[tuple[Wire, list[Host], Callable[[Host, str, int], Container]]]:
    """A wire, hosts on it, and what puts a container on a host."""
    _sweep()
    made: list[Place] = []

    def remove() -> None:
        while made:
            made.pop().remove()

    def container(host: Host, bip: str, mtu: int) -> Container:
        made.append(Container(host, bip, mtu))
        assert isinstance(made[-1], Container)
        return made[-1]

    atexit.register(remove)
    try:
        wire = Wire()
        made.append(wire)
        computers = []
        for number in range(1, hosts + 1):
            computers.append(Host(number, wire))
            made.append(computers[-1])
        yield wire, computers, container
    finally:
        remove()
        atexit.unregister(remove)


def _sweep() -> None:
    """Remove what runs that were killed have left."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        owner = name.removeprefix(MARK).partition("-")[0]
        if name.startswith(MARK) and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            ip("netns", "delete", name)


def _run(line: Sequence[str], *, check: bool = True) -> str:
    done = subprocess.run(line, capture_output=True, text=True, timeout=RUN_S, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(line)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout
