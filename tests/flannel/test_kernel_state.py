"""Goal: the kernel is told what real flanneld tells it, no more and no less.

Method: recorded leases of other hosts, of each kind, lie in the store beside ours; routes, ARP and
forwarding entries are compared with those recorded on a host of the real daemon.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.waiting import until
from tests.flannel import recorded
from tests.flannel.daemon import Daemon
from tests.flannel.hosts import Host, as_root, network
from tests.flannel.stores import Operator, WireStore

pytestmark = as_root

MAC, NEW_MAC = "62:76:77:99:64:d5", "2e:a7:2e:3e:74:5d"
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
        return Daemon(
            self.host, self.directory,
            "-etcd-endpoints=http://172.17.8.1:2379", f"-etcd-prefix={self.operator.prefix}",
            "-iface=eth1", *arguments,
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


@pytest.fixture(params=["etcd", "pyetcd"], scope="module")
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Host, WireStore]]:
    """One host and one store, for all tests of this module."""
    with network(1) as (wire, (host,), _):
        yield host, WireStore(wire, request.param, tmp_path_factory.mktemp("store")).start()


@pytest.fixture
def scene(place: tuple[Host, WireStore], tmp_path: Path) -> Iterator[Scene]:
    """A clean host with an operator's own prefix."""
    host, store = place
    yield Scene(host, store.operator(), tmp_path)
    for link in host.json("link"):
        if link["ifname"].startswith("flannel"):
            host.ip("link", "delete", link["ifname"])
    host.ip("route", "flush", "root", "172.24.0.0/16")


def test_vxlan(scene: Scene) -> None:
    """Device, address, entries; a changed MAC; removal; what stays when the daemon is killed; what
    a restart keeps (MAC, subnet) and what it clears (leases that went meanwhile)."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    assert scene.arp() == [
        f"172.24.200.0 lladdr {MAC} PERMANENT",
        "172.24.203.0 lladdr 1a:a8:e4:76:ff:e8 PERMANENT",
    ]
    assert scene.fdb() == sorted(
        [f"{MAC} dst 172.17.8.102 self permanent",
         "1a:a8:e4:76:ff:e8 dst 172.17.8.105 self permanent"]
    )  # fmt: skip
    device = scene.host.ip("-d", "address", "show", "flannel.1")
    shown = next(row for row in recorded.load() if "flannel.1" in row.kernel).kernel[1]
    assert f"{shown} nolearning ttl auto" in device
    assert "mtu 1450" in device
    name = scene.operator.lease_of(scene.host.address)
    assert f"inet {name.partition('-')[0]}/32 scope global flannel.1" in device
    mac = re.search(r"link/ether (\S+)", device)
    assert mac
    assert scene.operator.subnets()[name] == ('{"PublicIP":"172.17.8.101",' + DATA % mac[1])
    changed = FOREIGN["172.24.200.0-24"].replace(MAC, NEW_MAC).replace("8.102", "8.109")
    scene.operator.set("subnets/172.24.200.0-24", changed)
    until(lambda: f"{NEW_MAC} dst 172.17.8.109 self permanent" in scene.fdb(), "the new MAC")
    scene.has(ROUTE_200, ROUTE_203)
    assert f"172.24.200.0 lladdr {NEW_MAC} PERMANENT" in scene.arp()
    assert len(scene.fdb()) == 2
    scene.operator.delete("subnets/172.24.203.0-24")
    scene.has(ROUTE_200)
    until(lambda: len(scene.fdb()) == len(scene.arp()) == 1, "the entries are gone too")
    daemon.process.kill()
    daemon.process.wait()
    scene.has(ROUTE_200)
    scene.operator.delete("subnets/172.24.200.0-24")
    scene.operator.set("subnets/172.24.203.0-24", FOREIGN["172.24.203.0-24"])
    daemon.start().ready()
    scene.has(ROUTE_203)
    until(lambda: len(scene.fdb()) == len(scene.arp()) == 1, "stale entries are gone")
    assert mac[1] in scene.host.ip("link", "show", "flannel.1")
    assert scene.operator.lease_of(scene.host.address) == name
    assert daemon.stop() == 0
    scene.has(ROUTE_203)


def test_vxlan_with_direct_routing(scene: Scene) -> None:
    """Who is on our wire is routed to straight; who is behind a gateway, through the tunnel."""
    far = FOREIGN["172.24.203.0-24"].replace("172.17.8.105", "192.0.2.5")
    daemon = scene.daemon({"Type": "vxlan", "DirectRouting": True})
    scene.operator.set("subnets/172.24.203.0-24", far)
    daemon.start().ready()
    direct = "172.24.200.0/24 via 172.17.8.102 dev eth1"
    scene.has(direct, ROUTE_203)
    assert scene.arp() == ["172.24.203.0 lladdr 1a:a8:e4:76:ff:e8 PERMANENT"]
    assert scene.fdb() == ["1a:a8:e4:76:ff:e8 dst 192.0.2.5 self permanent"]
    assert daemon.stop() == 0
    scene.has(direct, ROUTE_203)
    scene.host.ip("route", "add", "172.24.77.0/24", "via", "172.17.8.98")
    daemon.start().ready()
    scene.has(direct, ROUTE_203)
    scene.operator.delete("subnets/172.24.200.0-24")
    scene.operator.delete("subnets/172.24.203.0-24")
    scene.has()
    daemon.stop()


def test_vxlan_with_a_cloned_host(scene: Scene) -> None:
    """Two hosts with one MAC: said, and when one goes the other is reached again."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    clone = FOREIGN["172.24.200.0-24"].replace("8.102", "8.110")
    scene.operator.set("subnets/172.24.210.0-24", clone)
    daemon.says(f"Hosts 172.17.8.102 and 172.17.8.110 have the same VtepMAC {MAC}")
    until(lambda: f"{MAC} dst 172.17.8.110 self permanent" in scene.fdb(), "the last one wins")
    scene.operator.delete("subnets/172.24.210.0-24")
    until(lambda: f"{MAC} dst 172.17.8.102 self permanent" in scene.fdb(), "the other is back")
    scene.has(ROUTE_200, ROUTE_203)
    daemon.stop()


def test_vxlan_whose_device_is_deleted(scene: Scene) -> None:
    """The daemon says so and ends, so that its service manager starts it again; then all is back,
    with the same lease."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    name = scene.operator.lease_of(scene.host.address)
    scene.host.ip("link", "delete", "flannel.1")
    assert daemon.exits() == 1
    assert "flannel.1 is not there any more: somebody has deleted it" in daemon.log()
    daemon.start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    assert scene.operator.lease_of(scene.host.address) == name
    daemon.stop()


def test_vxlan_that_was_down(scene: Scene) -> None:
    """The kernel forgets a device's routes while it is down; entries removed by hand: all come
    back."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    scene.host.ip("link", "set", "flannel.1", "down")
    scene.host.ip("link", "set", "flannel.1", "up")
    scene.has(ROUTE_200, ROUTE_203)
    scene.host.run("bridge", "fdb", "delete", MAC, "dev", "flannel.1", "dst", "172.17.8.102")
    scene.host.ip("neigh", "delete", "172.24.203.0", "dev", "flannel.1")
    until(lambda: len(scene.fdb()) == len(scene.arp()) == 2, "the entries are back")
    assert "Route recovered 172.24.200.0/24 via 172.24.200.0" in daemon.log()
    daemon.stop()


def test_a_device_that_does_not_fit_serves_until_there_is_a_lease(scene: Scene) -> None:
    """No subnet is free: the daemon ends, and the device is as it was."""
    scene.host.ip("link", "add", "flannel.1", "type", "vxlan", "id", "1", "dstport", "4789",
                  "dev", "eth1", "local", "172.17.8.101")  # fmt: skip
    before = scene.host.ip("-d", "link", "show", "flannel.1")
    daemon = scene.daemon({"Type": "vxlan", "Port": 8472})
    scene.operator.configure(
        Network="172.24.0.0/16", SubnetMin="172.24.200.0", SubnetMax="172.24.200.0",
        Backend={"Type": "vxlan", "Port": 8472},
    )  # fmt: skip
    assert daemon.start().exits() == 1
    assert "out of subnets" in daemon.log()
    assert scene.host.ip("-d", "link", "show", "flannel.1") == before


def test_a_lease_beside_the_network(scene: Scene) -> None:
    """Somebody's key must not lead the packets to the store astray: it is ignored, and said."""
    value = FOREIGN["172.24.200.0-24"]
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    for name in ("172.17.8.0-24", "172.24.0.0-16", "0.0.0.0-0"):
        scene.operator.set(f"subnets/{name}", value)
        subnet = name.replace("-", "/")
        daemon.says(f"Ignoring lease of {subnet}: it is no part of the Network 172.24.0.0/16")
        scene.operator.delete(f"subnets/{name}")
    scene.has(ROUTE_200, ROUTE_203)
    assert "172.17.8.0/24 dev eth1 proto kernel" in scene.host.ip("route")
    daemon.stop()


def test_vxlan_whose_vni_is_taken(scene: Scene) -> None:
    """Who has it is said, and nothing is leased or left behind."""
    scene.host.ip("link", "add", "other", "type", "vxlan", "id", "1", "dstport", "8472",
                  "dev", "eth1")  # fmt: skip
    try:
        daemon = scene.daemon({"Type": "vxlan"}).start()
        assert daemon.exits() == 1
    finally:
        scene.host.ip("link", "delete", "other")
    assert "making vxlan device flannel.1: file exists: other has the VNI 1 already" in daemon.log()
    assert not scene.operator.lease_of(scene.host.address)
    scene.has()


def test_vxlan_options_and_a_device_that_does_not_fit(scene: Scene) -> None:
    """VNI, Port and GBP; a device of that name with another port is made anew, an address of an
    older subnet replaced."""
    scene.host.ip("link", "add", "flannel.7", "type", "vxlan", "id", "7", "dstport", "4789",
                  "dev", "eth1", "local", "172.17.8.101")  # fmt: skip
    scene.host.ip("address", "add", "172.24.9.0/32", "dev", "flannel.7")
    options: dict[str, object] = {"Type": "vxlan", "VNI": 7, "Port": 8473, "GBP": True}
    daemon = scene.daemon(options).start().ready()
    device = scene.host.ip("-d", "address", "show", "flannel.7")
    assert "vxlan id 7 local 172.17.8.101 dev eth1 srcport 0 0 dstport 8473 nolearning" in device
    assert " gbp " in device
    assert device.count("inet ") == 1
    assert "already exists with incompatible configuration: port: 8473 vs 4789" in daemon.log()
    daemon.stop()


def test_host_gw(scene: Scene) -> None:
    """Routes only; one that somebody removes comes back, one by another way is replaced, one that
    an earlier run left goes."""
    scene.host.ip("route", "add", "172.24.201.0/24", "via", "172.17.8.99")
    scene.host.ip("route", "add", "172.24.77.0/24", "via", "172.17.8.98")
    scene.host.ip("route", "add", "172.24.78.0/24", "dev", "eth1", "proto", "kernel")
    daemon = scene.daemon({"Type": "host-gw"}).start().ready()
    ours = "172.24.201.0/24 via 172.17.8.103 dev eth1"
    kept = "172.24.78.0/24 dev eth1 proto kernel scope link"
    scene.has(ours, kept)
    assert not [link for link in scene.host.json("link") if link["ifname"].startswith("flannel")]
    assert scene.operator.subnets()[scene.operator.lease_of("172.17.8.101")] == (
        '{"PublicIP":"172.17.8.101","BackendType":"host-gw"}'
    )
    scene.host.ip("route", "delete", "172.24.201.0/24")
    daemon.says("Route recovered 172.24.201.0/24 via 172.17.8.103")
    scene.has(ours, kept)
    scene.operator.delete("subnets/172.24.201.0-24")
    scene.has(kept)
    daemon.stop()


def test_udp(scene: Scene) -> None:
    """No Backend at all: a TUN device with the network's length, the port, no more; it ends with
    the daemon."""
    daemon = scene.daemon(None).start().ready()
    name = scene.operator.lease_of("172.17.8.101")
    address = name.partition("-")[0]
    assert scene.operator.subnets()[name] == '{"PublicIP":"172.17.8.101"}'
    scene.has(f"172.24.0.0/16 dev flannel0 proto kernel scope link src {address}")
    device = scene.host.ip("address", "show", "flannel0")
    assert "mtu 1472" in device
    assert f"inet {address}/16 scope global flannel0" in device
    assert "172.17.8.101:8285" in scene.host.run("ss", "-lun")
    daemon.stop()
    scene.has()


def test_alloc(scene: Scene) -> None:
    """A lease and a file; nothing in the kernel."""
    daemon = scene.daemon({"Type": "alloc"}).start().ready()
    scene.has()
    assert [link["ifname"] for link in scene.host.json("link")] == ["lo", "eth1"]
    assert daemon.subnet_env() == {
        "FLANNEL_NETWORK": "172.24.0.0/16",
        "FLANNEL_SUBNET": scene.operator.lease_of("172.17.8.101")
        .replace(".0-", ".1-")
        .replace("-", "/"),
        "FLANNEL_MTU": "1500",
        "FLANNEL_IPMASQ": "false",
    }
    daemon.stop()
