"""Members on hosts of their own: network and mount namespaces joined by a bridge.

Laws: only inside a `room`, so nothing outlives the process; a way is cut by giving the sender a
wrong hardware address for the receiver: what it sends is silently dropped, as by a broken switch,
one direction at a time. Clients sit on the bridge and are not concerned.
"""

from collections.abc import Iterable
from pathlib import Path

from deploy.lab.hosts import Host, Switch, run
from tests.cluster.network import Place

NOWHERE = "02:00:00:00:00:01"
CLIENT_PORT, PEER_PORT = 2379, 2380


class Hosts:
    """A network of hosts 172.17.8.101, .102, ... with the interface eth1."""

    can_cut = True
    can_delay = False
    can_unplug = True

    def __init__(self) -> None:
        self._switch = Switch()
        self._hosts: dict[str, Host] = {}
        self._cut: set[tuple[str, str]] = set()
        self._unplugged: set[str] = set()

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
            self._hosts[name] = self._switch.add()
        return self._hosts[name]

    def bind(self, name: str, source: Path, target: str) -> None:
        """Show a directory under another name, on that host only."""
        self.host(name).run("mount", "--bind", str(source), target)

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
        run("ip", "link", "set", self._hosts[name].wire, "down")

    def heal(self) -> None:
        for origin, target in self._cut:
            self._neighbour("delete", origin, target)
        for name in self._unplugged:
            run("ip", "link", "set", self._hosts[name].wire, "up")
        self._cut.clear()
        self._unplugged.clear()

    async def close(self) -> None:
        self._hosts.clear()
        self._switch.close()

    def _neighbour(self, verb: str, origin: str, target: str, *more: str) -> None:
        here, there = self._hosts[origin], self._hosts[target]
        here.run("ip", "neigh", verb, there.address, *more, "dev", "eth1")
