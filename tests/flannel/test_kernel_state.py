"""Goal: the kernel is told what real flanneld tells it, no more and no less.

Method: recorded leases of other hosts, of each kind, lie in the store beside ours; routes, ARP and
forwarding entries are compared with those recorded on a host of the real daemon.
"""

import re
from collections.abc import Iterator

import pytest

from tests.clients.waiting import until
from tests.flannel import kernel_scene, recorded
from tests.flannel.hosts import Host, as_root
from tests.flannel.kernel_scene import DATA, FOREIGN, MAC, ROUTE_200, ROUTE_203, Scene
from tests.flannel.stores import WireStore

pytestmark = as_root

NEW_MAC = "2e:a7:2e:3e:74:5d"


@pytest.fixture(params=["etcd", "pyetcd"], scope="module")
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Host, WireStore]]:
    """One host and one store, for all tests of this module."""
    with kernel_scene.place(request.param, tmp_path_factory.mktemp("store")) as made:
        yield made


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


def test_vxlan_with_a_host_that_changed_its_subnet(scene: Scene) -> None:
    """Its old lease goes a day later: the entry that leads to it stays for the new one."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    scene.operator.set("subnets/172.24.210.0-24", FOREIGN["172.24.200.0-24"])
    daemon.says("Subnet added: 172.24.210.0/24")
    scene.operator.delete("subnets/172.24.200.0-24")
    scene.operator.delete("subnets/172.24.203.0-24")
    until(lambda: len(scene.arp()) == 1, "the last is gone")
    assert scene.fdb() == [f"{MAC} dst 172.17.8.102 self permanent"]
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


def test_vxlan_with_macs_that_cannot_be(scene: Scene) -> None:
    """Our own, a group's, none: ignored, said, and the others are served."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    own = scene.host.json("link", "show", "flannel.1")[0]["address"]
    for mac, why in (
        (own, f"its VtepMAC {own} is this host's own"),
        ("01:00:5e:00:00:01", "VtepMAC must be the MAC of one device, and 01:00:5e:00:00:01 is"),
        ("00:00:00:00:00:00", "VtepMAC must be the MAC of one device, and 00:00:00:00:00:00 is"),
    ):
        value = FOREIGN["172.24.200.0-24"].replace(MAC, mac)
        scene.operator.set("subnets/172.24.210.0-24", value)
        daemon.says(f"Ignoring lease of 172.24.210.0/24: {why}")
    scene.has(ROUTE_200, ROUTE_203)
    daemon.stop()


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


@pytest.mark.parametrize("kind", ["host-gw", "udp", "vxlan"])
def test_another_backend_than_before(scene: Scene, kind: str) -> None:
    """vxlan's device and routes would go before the new ones; so would host-gw's before udp's. A
    device of another network stays."""
    scene.daemon({"Type": "vxlan"}).start().ready().stop()
    scene.host.ip("route", "add", "172.24.77.0/24", "via", "172.17.8.98")
    for name, vni, address in (("flannel.8", "8", "10.9.1.0/32"), ("vx9", "9", "172.24.9.0/32")):
        scene.host.ip("link", "add", name, "type", "vxlan", "id", vni, "dev", "eth1",
                      "local", "172.17.8.101", "dstport", f"48{vni}")  # fmt: skip
        scene.host.ip("address", "add", address, "dev", name)
    scene.operator.configure(Network="172.24.0.0/16", Backend={"Type": kind, "VNI": 7})
    scene.directory /= "second"
    scene.directory.mkdir()
    daemon = scene.second_daemon().start().ready()
    daemon.says("Removing flannel.1, which an earlier run with another Backend has left")
    daemon.says("Removing the route to 172.24.77.0/24 via 172.17.8.98: no lease is served by that")
    address = scene.operator.lease_of("172.17.8.101").partition("-")[0]
    scene.has(
        *{
            "vxlan": [route.replace("flannel.1", "flannel.7") for route in (ROUTE_200, ROUTE_203)],
            "host-gw": ["172.24.201.0/24 via 172.17.8.103 dev eth1"],
            "udp": [f"172.24.0.0/16 dev flannel0 proto kernel scope link src {address}"],
        }[kind]
    )
    links = [link["ifname"] for link in scene.host.json("link")]
    assert "flannel.1" not in links
    assert {"flannel.8", "vx9"} < set(links)
    daemon.stop()
    scene.host.ip("link", "delete", "vx9")


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
