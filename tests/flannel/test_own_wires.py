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


def test_udp_in_a_network_that_is_a_wire(wired: Scene) -> None:
    """The device's route does not come back in the place of the wire's; that is said."""
    wired.host.ip("address", "add", "172.24.0.1/16", "dev", "eth2")
    daemon = wired.daemon({"Type": "udp"}).start().ready()
    wired.host.ip("route", "delete", "172.24.0.0/16", "dev", "flannel0")
    daemon.says("setting the route to 172.24.0.0/16 by interface ")
    assert "file exists" in daemon.log()
    assert "dev eth2 proto kernel" in wired.host.ip("route", "show", "172.24.0.0/16")
    assert daemon.stop() == 0
