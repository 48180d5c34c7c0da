"""Goal: what somebody changes by hand is put back within seconds and said, or ends the daemon.

Method: the real program; `ip` and `bridge` beside it.
"""

import time
from pathlib import Path

import pytest

from bench.others import process_seconds
from tests.clients.waiting import until
from tests.flannel.hosts import as_root
from tests.flannel.kernel_scene import MAC, ROUTE_200, ROUTE_203, Scene

pytestmark = as_root

SECONDS = 12.0
"""More than the recheck takes, less than twice."""


def cpu_s(pid: int) -> float:
    """Seconds of processor time a process has used."""
    return process_seconds(Path(f"/proc/{pid}/stat").read_text())


def test_udp_whose_device_is_deleted(scene: Scene) -> None:
    """A sentence and exit 1, without a busy second."""
    daemon = scene.daemon(None).start().ready()
    used_s, since = cpu_s(daemon.process.pid), time.monotonic()
    scene.host.ip("link", "delete", "flannel0")
    while daemon.process.poll() is None:
        assert cpu_s(daemon.process.pid) - used_s < 1.0, daemon.log()
        assert time.monotonic() - since < SECONDS, daemon.log()
        time.sleep(0.01)
    assert daemon.exits() == 1
    assert "flannel0 is not there any more: somebody has deleted it" in daemon.log()


def test_udp_whose_device_is_changed(scene: Scene) -> None:
    """Off, without its address, with another MTU, without the route: all come back."""
    daemon = scene.daemon(None).start().ready()
    (route,) = scene.routes()
    address = route.split()[-1]
    scene.host.ip("link", "set", "flannel0", "down", "mtu", "1300")
    scene.host.ip("address", "flush", "dev", "flannel0")
    scene.has(route)
    daemon.says(f"flannel0 had lost its address: it has {address}/16 again")
    daemon.says("flannel0 had been switched off: it is on again")
    daemon.says("flannel0 had got the MTU 1300: it has 1472 again")
    scene.host.ip("route", "delete", "172.24.0.0/16")
    until(lambda: len(scene.routes()) == 1, "the route is back", deadline_s=SECONDS)
    assert daemon.stop() == 0


def test_vxlan_whose_device_is_changed(scene: Scene) -> None:
    """Off, without its address, with another MTU and MAC, an entry that leads elsewhere."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    (link,) = scene.host.json("address", "show", "flannel.1")
    scene.host.ip("address", "flush", "dev", "flannel.1")
    scene.host.ip("link", "set", "flannel.1", "down", "mtu", "1300", "address", MAC)
    scene.has(ROUTE_200, ROUTE_203)
    (again,) = scene.host.json("address", "show", "flannel.1")
    for name in ("mtu", "address"):
        assert again[name] == link[name]
    assert again["addr_info"][0]["local"] == link["addr_info"][0]["local"]
    for said in ("had got the MTU 1300", f"had got the MAC {MAC}", "had lost its address",
                 "had been switched off"):  # fmt: skip
        daemon.says(f"flannel.1 {said}")
    to = ("dev", "flannel.1", "dst")
    scene.host.run("bridge", "fdb", "replace", MAC, *to, "172.17.8.99", "self", "permanent")
    until(lambda: f"{MAC} dst 172.17.8.102 self permanent" in scene.fdb(), "back",
          deadline_s=SECONDS)  # fmt: skip
    daemon.says("Route recovered 172.24.200.0/24 via 172.24.200.0")
    assert daemon.stop() == 0


@pytest.mark.parametrize("way", ["port 9999", "vni 77", "via eth1"])
def test_vxlan_whose_entry_goes_another_way(scene: Scene, way: str) -> None:
    """Goal: an entry that leads to the right host by a port, a VNI or an interface of its own comes
    back. Method: `bridge fdb replace`."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    ours = f"{MAC} dst 172.17.8.102 self permanent"
    until(lambda: ours in scene.fdb(), "the entry is there")
    to = ("dev", "flannel.1", "dst", "172.17.8.102", *way.split())
    scene.host.run("bridge", "fdb", "replace", MAC, *to, "self", "permanent")
    assert ours not in scene.fdb()
    until(lambda: ours in scene.fdb(), "back", deadline_s=SECONDS)
    daemon.says("Route recovered 172.24.200.0/24 via 172.24.200.0")
    assert len(scene.fdb()) == 2
    assert daemon.stop() == 0


def first_to(scene: Scene, subnet: str) -> str:
    """The route to a subnet that is used."""
    return (scene.host.ip("route", "show", subnet).splitlines() or [""])[0].strip()


@pytest.mark.parametrize(
    ("backend", "subnet", "host", "ours"),
    [
        ({"Type": "vxlan"}, "172.24.200.0/24", "172.24.200.0", "dev flannel.1 onlink"),
        (
            {"Type": "vxlan", "DirectRouting": True},
            "172.24.200.0/24",
            "172.17.8.102",
            "dev eth1",
        ),
        ({"Type": "host-gw"}, "172.24.201.0/24", "172.17.8.103", "dev eth1"),
    ],
    ids=["vxlan", "direct", "host-gw"],
)
def test_a_route_that_leads_elsewhere(
    scene: Scene, backend: dict[str, object], subnet: str, host: str, ours: str
) -> None:
    """Goal: it is put back, once. Method: by the same gateway through another interface, one in
    front of ours; one for a TOS, beside it, is left alone."""
    route = f"{subnet} via {host} {ours}"
    scene.host.ip("link", "add", "eth9", "type", "veth", "peer", "name", "far9")
    try:
        scene.host.ip("link", "set", "eth9", "up")
        scene.host.ip("link", "set", "far9", "up")
        daemon = scene.daemon(backend).start().ready()
        until(lambda: first_to(scene, subnet) == route, "the route is there")
        scene.host.ip("route", "add", subnet, "tos", "0x10", "via", "172.17.8.98", "dev", "eth1")
        for change in (
            ("replace", subnet, "via", host, "dev", "eth9", "onlink"),
            ("prepend", subnet, "via", "172.17.8.98", "dev", "eth1"),
        ):
            scene.host.ip("route", *change)
            shown = scene.host.ip("route", "show", subnet, "tos", "0").splitlines()
            assert shown[0].strip() != route
            until(
                lambda: scene.host.ip("route", "get", host_in(subnet)).startswith(
                    f"{host_in(subnet)} via {host} {' '.join(ours.split()[:2])} "
                ),
                "back", deadline_s=SECONDS,
            )  # fmt: skip
        assert "tos" in scene.host.ip("route", "show", subnet)
        daemon.says("Route recovered")
        assert daemon.stop() == 0
        assert daemon.log().count("Route recovered") == 2
    finally:
        scene.host.ip("link", "delete", "eth9")


def host_in(subnet: str) -> str:
    """A container's address."""
    return subnet.replace(".0/24", ".9")


def test_two_networks_with_one_vni(scene: Scene) -> None:
    """The second says so and leaves the first alone; after a change of the Network the device is
    our own."""
    first = scene.daemon({"Type": "vxlan"}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    before = scene.host.ip("-4", "-d", "address", "show", "flannel.1")
    own = scene.operator.lease_of(scene.host.address).partition("-")[0]
    scene.operator.configure(Network="10.9.0.0/16", Backend={"Type": "vxlan"})
    scene.directory /= "second"
    scene.directory.mkdir()
    second = scene.second_daemon()
    assert second.start().exits() == 1
    expected = f"flannel.1 has the address {own}, which is not in the Network 10.9.0.0/16"
    assert expected in second.log()
    assert scene.host.ip("-4", "-d", "address", "show", "flannel.1") == before
    first.stop()
    first.start().ready()
    assert " 10.9." in scene.host.ip("address", "show", "flannel.1")
    first.stop()
