"""A host with leases of other hosts in its store, and what its kernel says of them.

Laws: the host and the store serve many scenes; a scene has a prefix of its own, and what flannel
left on the host is removed at its end.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.clients.waiting import until
from tests.flannel.daemon import Daemon
from tests.flannel.hosts import Host, network
from tests.flannel.stores import Operator, WireStore

MAC = "62:76:77:99:64:d5"
DATA = '"BackendType":"vxlan","BackendData":{"VtepMAC":"%s"}}'
FOREIGN = {
    "172.24.200.0-24": '{"PublicIP":"172.17.8.102",' + DATA % MAC,
    "172.24.201.0-24": '{"PublicIP":"172.17.8.103","BackendType":"host-gw"}',
    "172.24.202.0-24": '{"PublicIP":"172.17.8.104"}',
    "172.24.203.0-24": '{"PublicIP":"172.17.8.105","PublicIPv6":null,"BackendType":"vxlan",'
    '"BackendData":{"VNI":1,"VtepMAC":"1a:a8:e4:76:ff:e8"}}',
}
"""One of each backend as v0.10 writes it, and vxlan's of v0.15."""
ROUTE_200 = "172.24.200.0/24 via 172.24.200.0 dev flannel.1 onlink"
ROUTE_203 = "172.24.203.0/24 via 172.24.203.0 dev flannel.1 onlink"


@dataclass
class Scene:
    """A host, a store and who writes into it."""

    host: Host
    operator: Operator
    directory: Path

    def daemon(self, backend: dict[str, object] | None, *arguments: str) -> Daemon:
        """A daemon for 172.24.0.0/16, with the recorded leases in the store."""
        config: dict[str, object] = {"Network": "172.24.0.0/16"}
        if backend is not None:
            config["Backend"] = backend
        self.operator.configure(**config)
        for name, value in FOREIGN.items():
            self.operator.set(f"subnets/{name}", value, ttl=86400)
        return self.second_daemon(*arguments)

    def second_daemon(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Daemon:
        """A daemon for the network as it is."""
        return Daemon(
            self.host, self.directory,
            "-etcd-endpoints=http://172.17.8.1:2379", f"-etcd-prefix={self.operator.prefix}",
            "-iface=eth1", *arguments, prefix=prefix,
        )  # fmt: skip

    def routes(self) -> list[str]:
        """Routes into the network, as `ip route` shows them."""
        lines = self.host.ip("route").splitlines()
        return sorted(line.strip() for line in lines if line.startswith("172.24."))

    def arp(self) -> list[str]:
        """Permanent ARP entries."""
        lines = self.host.ip("neigh", "show", "dev", "flannel.1", "nud", "permanent").splitlines()
        return sorted(line.strip() for line in lines if line.startswith("172.24."))

    def fdb(self) -> list[str]:
        """Forwarding entries."""
        lines = self.host.run("bridge", "fdb", "show", "dev", "flannel.1").splitlines()
        return sorted(line.strip() for line in lines)

    def has(self, *routes: str) -> None:
        """Wait for exactly these routes."""
        until(
            lambda: self.routes() == sorted(routes), f"{routes}, not {self.routes()}",
            deadline_s=20.0,
        )  # fmt: skip


@contextlib.contextmanager
def place(kind: str, directory: Path) -> Iterator[tuple[Host, WireStore]]:
    """One host and one store of that kind."""
    with network(1) as (wire, (host,), _):
        yield host, WireStore(wire, kind, directory).start()


@contextlib.contextmanager
def scene(host: Host, store: WireStore, directory: Path) -> Iterator[Scene]:
    """The host, clean, with an operator's own prefix."""
    yield Scene(host, store.operator(), directory)
    for link in host.json("link"):
        if link["ifname"].startswith("flannel"):
            host.ip("link", "delete", link["ifname"])
    host.ip("route", "flush", "root", "172.24.0.0/16")
