"""Goal: what an earlier run left is removed, and what somebody else made is not.

Method: the real program on a host with both.
"""

import pytest

from tests.flannel.daemon import Daemon
from tests.flannel.hosts import as_root
from tests.flannel.kernel_scene import ROUTE_200, ROUTE_203, Scene
from tests.flannel.stores import Operator

pytestmark = as_root

LEFT = ("172.24.32.0/20", "172.24.96.0/19", "172.24.200.192/26", "172.24.77.0/24", "172.24.85.6/31")
"""Of leases of other lengths, shorter and longer, within a lease and beside all of them."""
SOMEBODY_ELSES = (
    "172.24.78.0/26 via 172.17.8.98 dev eth1 proto static",
    "172.24.79.0/26 via 172.17.8.98 dev eth1 metric 50",
    "172.24.80.0/26 via 172.17.8.98 dev eth1 src 172.17.8.101",
    "172.24.81.0/26 via 172.17.8.98 dev eth1 mtu 1400",
    "172.24.82.0/26 via 172.17.8.98 dev eth1 onlink",
    "172.24.83.7 via 172.17.8.98 dev eth1",
    "172.24.84.0/26 dev eth1 scope link",
    "172.24.0.0/16 via 172.17.8.98 dev eth1",
    "172.16.0.0/12 via 172.17.8.98 dev eth1",
)


@pytest.mark.parametrize("kind", ["host-gw", "udp", "vxlan"])
def test_routes_of_another_subnet_length(scene: Scene, kind: str) -> None:
    """Goal: none of them leads packets astray, and no route that has anything flannel's have not
    is touched. Method: `ip route add` of each."""
    for destination in LEFT:
        scene.host.ip("route", "add", destination, "via", "172.17.8.99")
    for route in SOMEBODY_ELSES:
        scene.host.ip("route", "add", *route.split())
    daemon = scene.daemon({"Type": kind}).start().ready()
    for destination in LEFT:
        daemon.says(f"Removing the route to {destination} via 172.17.8.99: no lease is served by")
    address = scene.operator.lease_of("172.17.8.101").partition("-")[0]
    scene.has(
        *(route for route in SOMEBODY_ELSES if route.startswith("172.24.")),
        *{
            "host-gw": ["172.24.201.0/24 via 172.17.8.103 dev eth1"],
            "udp": [f"172.24.0.0/16 dev flannel0 proto kernel scope link src {address}"],
            "vxlan": [ROUTE_200, ROUTE_203],
        }[kind],
    )
    assert daemon.log().count("Removing the route") == len(LEFT)
    assert daemon.stop() == 0
    scene.host.ip("route", "delete", "172.16.0.0/12")


def add_device(scene: Scene, name: str, vni: int, *more: str) -> None:
    """A vxlan device with UDP port 8472 that is on."""
    scene.host.ip("link", "add", name, "type", "vxlan", "id", str(vni), "dev", "eth1",
                  "local", scene.host.address, "dstport", "8472", "gbp", *more)  # fmt: skip
    scene.host.ip("address", "add", f"172.24.{vni}.0/32", "dev", name)
    scene.host.ip("link", "set", name, "up")


TAKEN = {
    "vxlan": "switching flannel.1 on: another program or device has the UDP port 8472",
    "udp": "failed to start listening on UDP socket 172.17.8.101:8472: address already in use",
}


@pytest.mark.parametrize("kind", TAKEN)
def test_a_device_that_has_the_port(scene: Scene, kind: str) -> None:
    """Goal: one that an earlier run has left goes, but not for a start that fails. Method: one of
    another VNI and GBP, which shares no port; no free subnet; another device on the port."""
    add_device(scene, "flannel.7", 7)
    backend: dict[str, object] = {"Type": kind} if kind == "vxlan" else {"Type": kind, "Port": 8472}
    daemon = scene.daemon(backend)
    full = {"SubnetMin": "172.24.7.0", "SubnetMax": "172.24.7.0"}
    scene.operator.set("subnets/172.24.7.0-24", '{"PublicIP":"172.17.8.109"}')
    scene.operator.configure(Network="172.24.0.0/16", Backend=backend, **full)
    assert daemon.start().exits() == 1
    assert "out of subnets" in daemon.log()
    scene.operator.delete("subnets/172.24.7.0-24")
    scene.operator.configure(Network="172.24.0.0/16", Backend=backend)
    add_device(scene, "vx9", 9)
    assert daemon.start().exits() == 1
    assert f"{TAKEN[kind]} (flannel.7, vx9" in daemon.log()
    names = [link["ifname"] for link in scene.host.json("link")]
    assert names == ["lo", "eth1", "flannel.7", "vx9"]
    scene.host.ip("link", "delete", "vx9")
    daemon.start().ready()
    assert "Removing flannel.7, which an earlier run with another Backend has left" in daemon.log()
    names = [link["ifname"] for link in scene.host.json("link")]
    assert names == ["lo", "eth1", "flannel.1" if kind == "vxlan" else "flannel0"]
    assert ":8472" in scene.host.run("ss", "-lun")
    assert daemon.stop() == 0


INNER = {"Network": "172.24.128.0/17", "Backend": {"Type": "vxlan", "VNI": 2}}
"""A network within the one beside it, which leases from 172.24.10.0 to 172.24.99.255."""
OUTER_RANGE = {"SubnetMin": "172.24.10.0", "SubnetMax": "172.24.99.0"}


def inner_daemon(scene: Scene) -> Daemon:
    """A running daemon of the inner network, with a subnet of the outer one's upper half."""
    around = scene.operator
    scene.operator = Operator(around.ask_raw, f"{around.prefix}-inner")
    scene.operator.configure(**INNER)
    inner = scene.second_daemon().start().ready()
    scene.operator = around
    scene.directory /= "outer"
    scene.directory.mkdir()
    return inner


@pytest.mark.parametrize("kind", ["host-gw", "udp", "vxlan"])
def test_a_network_within_ours_that_is_served(scene: Scene, kind: str) -> None:
    """Goal: two daemons of one host that lease from ranges apart live side by side. Method: one
    runs, and one whose Network, but not its range, has that one's within it starts."""
    inner = inner_daemon(scene)
    before = scene.host.ip("-4", "-d", "-o", "address", "show", "flannel.2")
    daemon = scene.daemon({"Type": kind})
    scene.operator.configure(Network="172.24.0.0/16", **OUTER_RANGE, Backend={"Type": kind})
    scene.host.ip("route", "add", "172.24.77.0/24", "via", "172.17.8.98")
    daemon.start().ready()
    daemon.says("Removing the route to 172.24.77.0/24 via 172.17.8.98")
    daemon.says("Subnet added")
    assert scene.host.ip("-4", "-d", "-o", "address", "show", "flannel.2") == before
    assert "Removing flannel.2" not in daemon.log()
    assert (daemon.stop(), inner.stop()) == (0, 0)


def test_a_network_within_ours_that_has_the_port(scene: Scene) -> None:
    """Goal: its device is not taken for one that is left. Method: one whose port is not shared, for
    GBP."""
    inner = inner_daemon(scene)
    before = scene.host.ip("-4", "-d", "-o", "address", "show", "flannel.2")
    backend: dict[str, object] = {"Type": "vxlan", "GBP": True}
    daemon = scene.daemon(backend)
    scene.operator.configure(Network="172.24.0.0/16", **OUTER_RANGE, Backend=backend)
    assert daemon.start().exits() == 1
    assert f"{TAKEN['vxlan']} (flannel.2)" in daemon.log()
    assert scene.host.ip("-4", "-d", "-o", "address", "show", "flannel.2") == before
    assert inner.stop() == 0


@pytest.mark.parametrize("network", ["172.24.0.0/16", "172.25.0.0/16"])
def test_the_device_of_a_subnet_that_is_not_leased_any_more(scene: Scene, network: str) -> None:
    """Goal: it stays, for it may be another daemon's that has our subnet file, and that is said.
    Method: another VNI, and a range or a Network without the subnet in the subnet file."""
    daemon = scene.daemon({"Type": "vxlan"})
    scene.operator.configure(
        Network="172.24.0.0/16", SubnetMin="172.24.9.0", SubnetMax="172.24.9.0",
        Backend={"Type": "vxlan"},
    )  # fmt: skip
    assert daemon.start().ready().stop() == 0
    first = network.replace(".0.0/16", ".10.0")
    scene.operator.configure(Network=network, SubnetMin=first, Backend={"Type": "vxlan", "VNI": 7})
    daemon.start().ready()
    daemon.says("flannel.1 has the address 172.24.9.0 of the subnet before")
    daemon.says("if it is left, `ip link delete flannel.1`")
    assert "flannel.1" in scene.host.ip("link")
    assert daemon.stop() == 0


def test_two_daemons_with_one_subnet_file(scene: Scene) -> None:
    """Goal: who forgets the flag does not lose the other network's device. Method: two networks
    apart, with a VNI each; the second finds the first one's subnet in the file, then the first the
    second's."""
    first = scene.daemon({"Type": "vxlan"}).start().ready()
    names = ["lo", "eth1", "flannel.1", "flannel.2"]
    around = scene.operator
    scene.operator = Operator(around.ask_raw, f"{around.prefix}-beside")
    scene.operator.configure(Network="172.25.0.0/16", Backend={"Type": "vxlan", "VNI": 2})
    scene.directory /= "second"
    scene.directory.mkdir()
    second = scene.second_daemon(f"-subnet-file={first.subnet_path}")
    second.start().ready()
    second.says("of the subnet before")
    assert [link["ifname"] for link in scene.host.json("link")] == names
    assert first.stop() == 0
    first.start().ready()
    first.says("of the subnet before")
    assert [link["ifname"] for link in scene.host.json("link")] == names
    assert (second.stop(), first.stop()) == (0, 0)
