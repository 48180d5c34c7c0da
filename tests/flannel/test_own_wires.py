"""Goal: flannel never takes the routes of the host's own wires.

Method: the real program on a host with a second interface inside the Network, and its routes.
"""

from collections.abc import Iterator

import pytest

from tests.flannel.hosts import as_root
from tests.flannel.kernel_scene import FOREIGN, Scene

pytestmark = as_root


@pytest.fixture
def wired(scene: Scene) -> Iterator[Scene]:
    """A host with eth2."""
    scene.host.ip("link", "add", "eth2", "type", "veth", "peer", "name", "far")
    for name in ("eth2", "far"):
        scene.host.ip("link", "set", name, "up")
    yield scene
    scene.host.ip("link", "delete", "eth2")


@pytest.mark.parametrize(
    ("kind", "model"), [("vxlan", "200"), ("host-gw", "201"), ("udp", "202"), ("alloc", "202")]
)
def test_a_lease_that_covers_a_wire(wired: Scene, kind: str, model: str) -> None:
    """It is ignored, and said, whatever the data path."""
    wired.host.ip("address", "add", "172.24.9.1/24", "dev", "eth2")
    daemon = wired.daemon({"Type": kind})
    wired.operator.set("subnets/172.24.9.0-24", FOREIGN[f"172.24.{model}.0-24"])
    daemon.start().ready()
    why = "this host's own address 172.24.9.1 is in it"
    daemon.says(f"Ignoring lease of 172.24.9.0/24: {why}")
    assert wired.host.ip("route", "show", "172.24.9.0/24").split()[1:3] == ["dev", "eth2"]
    assert daemon.stop() == 0


def test_a_lease_that_covers_the_store_or_its_own_host(scene: Scene) -> None:
    """It is ignored, and said: its route would be the last thing heard of the store. A new lease of
    ours is aside of the store, too."""
    scene.operator.configure(
        Network="172.17.0.0/16", SubnetLen=26, SubnetMin="172.17.8.0", SubnetMax="172.17.8.192",
        Backend={"Type": "vxlan"},
    )  # fmt: skip
    value = FOREIGN["172.24.200.0-24"]
    scene.operator.set("subnets/172.17.8.0-26", value)
    scene.operator.set("subnets/172.17.9.0-24", value.replace("172.17.8.102", "172.17.9.5"))
    daemon = scene.second_daemon("-public-ip=172.17.8.130").start().ready()
    daemon.says("Ignoring lease of 172.17.8.0/26: the store's address 172.17.8.1 is in it")
    daemon.says("Ignoring lease of 172.17.9.0/24: its own public IP 172.17.9.5 is in it")
    assert daemon.subnet_env()["FLANNEL_SUBNET"] == "172.17.8.193/26"
    assert "flannel" not in scene.host.ip("route")
    scene.operator.set("subnets/172.17.10.0-24", value)
    daemon.says("Subnet added: 172.17.10.0/24")
    assert daemon.stop() == 0


def test_a_route_left_behind_that_leads_the_store_astray(scene: Scene) -> None:
    """The config is waited for, and what is in the way is said."""
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    daemon.stop()
    way = ("172.17.8.0/26", "dev", "flannel.1")
    scene.host.ip("route", "add", *way)
    daemon.start()
    daemon.says(
        "Packets to the store at 172.17.8.1 go into flannel.1, by the route to 172.17.8.0/26: is "
        "it left of an earlier run? `ip route delete 172.17.8.0/26 dev flannel.1` removes it"
    )
    scene.host.ip("route", "delete", *way)
    daemon.ready()
    assert daemon.stop() == 0


def test_udp_in_a_network_that_is_a_wire(wired: Scene) -> None:
    """The device's route does not come back in the place of the wire's; that is said."""
    wired.host.ip("address", "add", "172.24.0.1/16", "dev", "eth2")
    daemon = wired.daemon({"Type": "udp"}).start().ready()
    wired.host.ip("route", "delete", "172.24.0.0/16", "dev", "flannel0")
    daemon.says("setting the route to 172.24.0.0/16 by interface ")
    assert "file exists" in daemon.log()
    assert "dev eth2 proto kernel" in wired.host.ip("route", "show", "172.24.0.0/16")
    assert daemon.stop() == 0
