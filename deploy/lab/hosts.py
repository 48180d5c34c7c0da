"""Hosts made of namespaces: a network, mounts and files of their own, joined by a switch.

Laws: only inside a `room`, so that nothing outlives the process. A host's interface to the others
is eth1 with 172.17.8.N, as in the talk (docs/lab.md); what it writes to /etc, /run and /var/lib
after `furnish` is its own. Containers are network namespaces behind the host's bridge docker0.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.lab import room

NETWORK: Final = "172.17.8"
FIRST: Final = 101
BRIDGE: Final = "hosts"
_COMMAND_S: Final = 60.0
_END_S: Final = 10.0


class CommandFailed(Exception):
    """A command on a host failed; the message has its line and what it printed."""


def run(*line: str, text: str | None = None, timeout_s: float = _COMMAND_S) -> str:
    """Run a command; what it printed. Raises CommandFailed."""
    try:
        done = subprocess.run(
            line,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{shlex.join(line)}: not done within {timeout_s:g} s") from None
    if done.returncode != 0:
        raise CommandFailed(f"{shlex.join(line)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


@dataclass(slots=True)
class Host:
    """A network and a mount namespace, alive as long as its holder's standard input."""

    number: int
    holder: subprocess.Popen[bytes]
    containers: dict[str, Container] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return f"{NETWORK}.{self.number}"

    @property
    def wire(self) -> str:
        """The switch's end of its cable."""
        return f"host{self.number}"

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a program there."""
        return ("nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--")

    def run(self, *line: str, timeout_s: float = _COMMAND_S) -> str:
        """Run a command there; what it printed."""
        return run(*self.prefix, *line, timeout_s=timeout_s)

    def write(self, path: str, text: str) -> None:
        """Write a file there."""
        self.run("mkdir", "-p", str(Path(path).parent))
        run(*self.prefix, "tee", path, text=text)

    def read(self, path: str) -> str:
        """Read a file there."""
        return self.run("cat", path)

    def furnish(self) -> None:
        """Give it an /etc, a /run and a /var/lib of its own."""
        self.run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self.run("mkdir", "/run/upper", "/run/work")
        self.run(
            "mount", "-t", "overlay", "overlay",
            "-o", "lowerdir=/etc,upperdir=/run/upper,workdir=/run/work", "/etc",
        )  # fmt: skip
        self.run("mount", "-t", "tmpfs", "tmpfs", "/var/lib")

    def contain(self, name: str, address: str, gateway: str, mtu: int) -> Container:
        """Start a container on docker0; `address` with its prefix length."""
        holder = hold("--net")
        container = Container(name, address.partition("/")[0], holder)
        self.containers[name] = container
        inner = container.prefix
        wire = f"veth-{name}"
        self.run("ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0",
                 "netns", str(holder.pid))  # fmt: skip
        self.run("ip", "link", "set", wire, "mtu", str(mtu), "master", "docker0", "up")
        run(*inner, "ip", "link", "set", "lo", "up")
        run(*inner, "ip", "link", "set", "eth0", "mtu", str(mtu), "up")
        run(*inner, "ip", "address", "add", address, "dev", "eth0")
        run(*inner, "ip", "route", "add", "default", "via", gateway)
        return container

    def end(self) -> None:
        """End its containers and itself."""
        for container in self.containers.values():
            let_go(container.holder)
        let_go(self.holder)


@dataclass(slots=True)
class Container:
    """A network namespace on a host's docker0."""

    name: str
    address: str
    holder: subprocess.Popen[bytes]

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a program in it."""
        return ("nsenter", f"--target={self.holder.pid}", "--net", "--")

    def run(self, *line: str, timeout_s: float = _COMMAND_S) -> str:
        """Run a command in it; what it printed."""
        return run(*self.prefix, *line, timeout_s=timeout_s)


class Switch:
    """The network the hosts are on; we are on it as .1."""

    def __init__(self) -> None:
        assert room.is_inside(), "hosts are made inside a room only"
        self.hosts: list[Host] = []
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")

    def add(self) -> Host:
        """Add a host."""
        host = Host(FIRST + len(self.hosts), hold("--net", "--mount", "--propagation", "slave"))
        self.hosts.append(host)
        run("ip", "link", "add", host.wire, "type", "veth", "peer", "name", "eth1",
            "netns", str(host.holder.pid))  # fmt: skip
        run("ip", "link", "set", host.wire, "master", BRIDGE, "up")
        host.run("ip", "link", "set", "lo", "up")
        host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth1")
        host.run("ip", "link", "set", "eth1", "up")
        return host

    def close(self) -> None:
        """End all hosts; their names are free then."""
        for host in self.hosts:
            # The kernel takes its time to delete the cable with the host.
            with contextlib.suppress(CommandFailed):  # there is none yet
                run("ip", "link", "delete", host.wire)
            host.end()
        self.hosts.clear()
        run("ip", "link", "delete", BRIDGE)


def hold(*namespaces: str) -> subprocess.Popen[bytes]:
    """Start a process that keeps new namespaces alive until its standard input ends; the network
    is one of them.
    """
    line = ["unshare", *namespaces, "cat"]
    holder = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    ours = Path("/proc/self/ns/net").readlink()
    # `cat` runs only after the namespaces have been made and mounts are slaves.
    while (
        Path(f"/proc/{holder.pid}/ns/net").readlink() == ours
        or Path(f"/proc/{holder.pid}/comm").read_text() != "cat\n"
    ):
        if holder.poll() is not None:
            raise CommandFailed(f"{shlex.join(line)}: exit {holder.returncode}")
    return holder


def let_go(holder: subprocess.Popen[bytes]) -> None:
    """End such a process, and with it the namespaces nobody else is in."""
    with contextlib.suppress(OSError):
        assert holder.stdin is not None
        holder.stdin.close()
    holder.wait(_END_S)
