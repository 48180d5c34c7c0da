"""Goal: the data path outlives the interface it goes by: it may be deleted and made again.

Method: eth1 of a host with a container is deleted, made anew, switched off and on, its address
moved to a bridge; the containers reach each other again, with the daemon that ran.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.waiting import until
from tests.flannel.daemon import Daemon
from tests.flannel.hosts import Container, Host, as_root, network
from tests.flannel.stores import WireStore

pytestmark = as_root

SECONDS = 30.0
ADDRESS = "172.17.8.101"


class Scene:
    """Two hosts with a container each."""

    def __init__(self, daemons: list[Daemon], containers: list[Container]) -> None:
        self.daemon = daemons[0]
        self.one, self.two = containers

    @property
    def host(self) -> Host:
        """Whose interface is played with."""
        return self.daemon.host

    def becomes_whole(self) -> None:
        """In time."""
        until(lambda: self.one.reaches(self.two), "the containers reach each other",
              deadline_s=SECONDS)  # fmt: skip


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """172.24.0.0/16 over the backend asked for."""
    with network(2) as (wire, hosts, contain):
        store = WireStore(wire, "pyetcd", tmp_path).start()
        operator = store.operator()
        operator.configure(Network="172.24.0.0/16", Backend={"Type": request.param})
        arguments = (f"-etcd-endpoints={store.url}", f"-etcd-prefix={operator.prefix}")
        daemons = [Daemon(host, tmp_path, *arguments, "-iface=eth1").start() for host in hosts]
        containers = [
            contain(daemon.host, daemon.ready().subnet_env()["FLANNEL_SUBNET"], daemon.mtu)
            for daemon in daemons
        ]
        scene = Scene(daemons, containers)
        scene.becomes_whole()
        yield scene


@pytest.mark.parametrize("scene", ["host-gw"], indirect=True)
def test_host_gw(scene: Scene) -> None:
    """Deleted and made again, off and on, its address on a bridge: the routes follow; what keeps
    them from it is said once."""
    scene.host.unplug()
    gone = f"interface eth1 is not there, and no other one has {ADDRESS}"
    scene.daemon.says(gone)
    scene.host.plug()
    scene.becomes_whole()
    scene.daemon.says("Route recovered 172.24.")
    scene.host.ip("link", "set", "eth1", "down")
    scene.daemon.says("interface eth1 is switched off")
    scene.host.ip("link", "set", "eth1", "up")
    scene.becomes_whole()
    scene.host.ip("link", "add", "br0", "type", "bridge")
    scene.host.ip("address", "flush", "dev", "eth1")
    scene.daemon.says(f"interface eth1 has not the address {ADDRESS}")
    scene.host.ip("link", "set", "eth1", "master", "br0")
    scene.host.ip("address", "add", f"{ADDRESS}/24", "dev", "br0")
    scene.host.ip("link", "set", "br0", "up")
    scene.becomes_whole()
    for said in (gone, "is switched off", "has not the address"):
        assert scene.daemon.log().count(said) == 1
    assert scene.daemon.stop() == 0


@pytest.mark.parametrize("scene", ["udp"], indirect=True)
def test_udp(scene: Scene) -> None:
    """The socket is bound to the address, which comes back."""
    scene.host.unplug()
    scene.host.plug()
    scene.becomes_whole()
    scene.host.ip("link", "set", "eth1", "down")
    scene.host.ip("link", "set", "eth1", "up")
    scene.becomes_whole()
    assert scene.daemon.stop() == 0


@pytest.mark.parametrize("scene", ["vxlan", "udp"], indirect=True)
def test_another_address(scene: Scene) -> None:
    """Goal: a way that is dead for its address is gone, and one that is back, are said, once each.
    Method: the address is changed, as DHCP does, and comes back on a bridge."""
    lost = f"interface eth1 has not the address {ADDRESS}"
    back = "all is well again"
    scene.host.ip("address", "flush", "dev", "eth1")
    scene.host.ip("address", "add", "172.17.8.111/24", "dev", "eth1")
    scene.daemon.says(lost)
    scene.host.ip("link", "add", "br0", "type", "bridge")
    scene.host.ip("link", "set", "eth1", "master", "br0")
    scene.host.ip("address", "flush", "dev", "eth1")
    scene.host.ip("address", "add", f"{ADDRESS}/24", "dev", "br0")
    scene.host.ip("link", "set", "br0", "up")
    scene.daemon.says(back)
    scene.becomes_whole()
    assert scene.daemon.stop() == 0
    assert scene.daemon.log().count(lost) == scene.daemon.log().count(back) == 1


@pytest.mark.parametrize("scene", ["vxlan"], indirect=True)
def test_vxlan(scene: Scene) -> None:
    """With eth1 goes flannel.1, for the kernel ties it to it: that ends the daemon with a sentence,
    and started again it has all back. Off and on costs nothing."""
    scene.host.ip("link", "set", "eth1", "down")
    scene.host.ip("link", "set", "eth1", "up")
    scene.becomes_whole()
    scene.host.unplug()
    assert scene.daemon.exits() == 1
    assert "flannel.1 is not there any more" in scene.daemon.log()
    scene.daemon.start()
    assert scene.daemon.exits() == 1
    assert "no interface is named eth1" in scene.daemon.log()
    scene.host.plug()
    scene.daemon.start().ready()
    scene.becomes_whole()
    assert scene.daemon.stop() == 0
