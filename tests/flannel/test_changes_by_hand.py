"""Goal: what somebody changes by hand is put back within seconds and said, or ends the daemon.

Method: the real program; `ip` and `bridge` beside it.
"""

import time
from pathlib import Path

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
