"""Members on hosts of their own: network and mount namespaces joined by a bridge.

Laws: only inside a `room`, so nothing outlives the process; a way is cut by giving the sender a
wrong hardware address for the receiver: what it sends is silently dropped, as by a broken switch,
one direction at a time. Clients sit on the bridge and are not concerned.
"""

import contextlib
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import room
from tests.cluster.network import Place

NETWORK = "172.17.8"
FIRST = 101
BRIDGE = "hosts"
NOWHERE = "02:00:00:00:00:01"
CLIENT_PORT, PEER_PORT = 2379, 2380


@dataclass(frozen=True, slots=True)
class Host:
    """A network and a mount namespace, alive as long as its holder's standard input."""

    number: int
    holder: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return f"{NETWORK}.{self.number}"

    @property
    def wire(self) -> str:
        """The bridge's end of its cable."""
        return f"host{self.number}"

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a program there."""
        return ("nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--")


class Hosts:
    """A network of hosts 172.17.8.101, .102, ... with the interface eth1."""

    can_cut = True
    can_delay = False
    can_unplug = True

    def __init__(self) -> None:
        assert room.is_inside(), "hosts are made inside a room only"
        self._hosts: dict[str, Host] = {}
        self._cut: set[tuple[str, str]] = set()
        self._unplugged: set[str] = set()
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")

    async def place(self, name: str) -> Place:
        host = self.host(name)
        clients = f"http://{host.address}:{CLIENT_PORT}"
        peers = f"http://{host.address}:{PEER_PORT}"
        return Place(
            name, host.address, CLIENT_PORT, f"http://127.0.0.1:{CLIENT_PORT},{clients}", clients,
            peers, peers, host.prefix,
        )  # fmt: skip

    def host(self, name: str) -> Host:
        """The host with that name, made when it is first asked for."""
        if name not in self._hosts:
            number = FIRST + len(self._hosts)
            line = ["unshare", "--net", "--mount", "--propagation", "slave", "cat"]
            holder = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            host = self._hosts[name] = Host(number, holder)
            _wait_for_namespace(holder.pid)
            _run("ip", "link", "add", host.wire, "type", "veth", "peer", "name", "eth1",
                 "netns", str(holder.pid))  # fmt: skip
            _run("ip", "link", "set", host.wire, "master", BRIDGE, "up")
            _run(*host.prefix, "ip", "link", "set", "lo", "up")
            _run(*host.prefix, "ip", "address", "add", f"{host.address}/24", "dev", "eth1")
            _run(*host.prefix, "ip", "link", "set", "eth1", "up")
        return self._hosts[name]

    def bind(self, name: str, source: Path, target: str) -> None:
        """Show a directory under another name, on that host only."""
        _run(*self.host(name).prefix, "mount", "--bind", str(source), target)

    def attach(self, name: str, pid: int) -> None:
        pass

    def cut(self, origin: str, target: str) -> None:
        self._cut.add((origin, target))
        self._neighbour("replace", origin, target, "lladdr", NOWHERE, "nud", "permanent")

    def delay(self, origin: str, target: str, seconds: float) -> None:
        raise NotImplementedError("hosts' ways are cut or whole")

    def reset(self, names: Iterable[str]) -> None:
        raise NotImplementedError("hosts' ways are cut or whole")

    def unplug(self, name: str) -> None:
        self._unplugged.add(name)
        _run("ip", "link", "set", self._hosts[name].wire, "down")

    def heal(self) -> None:
        for origin, target in self._cut:
            self._neighbour("delete", origin, target)
        for name in self._unplugged:
            _run("ip", "link", "set", self._hosts[name].wire, "up")
        self._cut.clear()
        self._unplugged.clear()

    async def close(self) -> None:
        for host in self._hosts.values():
            with contextlib.suppress(OSError):
                assert host.holder.stdin is not None
                host.holder.stdin.close()
            host.holder.wait(10)
        self._hosts.clear()
        _run("ip", "link", "delete", BRIDGE)

    def _neighbour(self, verb: str, origin: str, target: str, *more: str) -> None:
        here, there = self._hosts[origin], self._hosts[target]
        _run(*here.prefix, "ip", "neigh", verb, there.address, *more, "dev", "eth1")


def _run(*line: str) -> None:
    done = subprocess.run(line, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, (line, done.stderr)


def _wait_for_namespace(pid: int) -> None:
    """Until the holder has left our network namespace."""
    ours = Path("/proc/self/ns/net").readlink()
    # `cat` runs only after both namespaces have been made and mounts are slaves.
    while (
        Path(f"/proc/{pid}/ns/net").readlink() == ours
        or Path(f"/proc/{pid}/comm").read_text() != "cat\n"
    ):
        pass
