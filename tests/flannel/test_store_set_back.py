"""Goal: a store that was wiped or restored from a backup costs no host its network.

Method: daemons on hosts of their own, with the store's data directory removed, or put back as it
was, under them; the rest of the decision table against a real store, without daemons.
"""

import asyncio
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flannel.following import SetBack, follow
from flannel.holding import Holding
from flannel.lease import Attributes, Lease
from flannel.registry import Listing, Put, Registry
from flannel.resettling import Lost, resettle
from tests.clients.waiting import until
from tests.flannel.daemon import Daemon
from tests.flannel.hosts import Host, Wire, as_root, network
from tests.flannel.sample import MAC, OTHER, OTHER_MAC, US, lease, net
from tests.flannel.stores import Operator, WireStore

LOUD = "The store was set back, or it is another one: its index is "
PEER = '{"PublicIP":"%s","BackendType":"vxlan","BackendData":{"VtepMAC":"62:76:77:99:64:d5"}}'
DEADLINE_S = 30.0
SUBNET = "10.5.7.0/24"
NAME = "10.5.7.0-24"


class Scene:
    """Two hosts and a store with a data directory of its own."""

    def __init__(self, wire: Wire, hosts: list[Host], kind: str, directory: Path) -> None:
        self.hosts = hosts
        self.store = WireStore(wire, kind, directory).start()
        self.operator: Operator = self.store.operator()
        self.data = directory / "store"
        self._directory = directory

    def daemon(self, host: Host) -> Daemon:
        """A running one."""
        place = (f"-etcd-endpoints={self.store.url}", f"-etcd-prefix={self.operator.prefix}")
        return Daemon(host, self._directory, *place, "-iface=eth1").start().ready()

    def leases(self) -> list[str]:
        """The subnet of each host."""
        return [self.operator.lease_of(host.address) for host in self.hosts]


@pytest.fixture(params=["etcd", "pyetcd"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """With a network of vxlan."""
    with network(2) as (wire, hosts, _):
        made = Scene(wire, hosts, request.param, tmp_path)
        made.operator.configure(Network="172.24.0.0/16", Backend={"Type": "vxlan"})
        yield made


def routes(host: Host) -> set[str]:
    """Subnets of others that packets go to."""
    lines = host.ip("route", "show", "dev", "flannel.1").splitlines()
    return {line.split()[0] for line in lines}


@as_root
def test_a_wiped_store(scene: Scene) -> None:
    """Everybody keeps the subnet and every way; who does not come back is reached until somebody
    else has the subnet; news is heard again."""
    daemons = [scene.daemon(host) for host in scene.hosts]
    scene.operator.set("subnets/172.24.200.0-24", PEER % "172.17.8.109", ttl=86400)
    names = scene.leases()
    expected = {names[1].replace("-", "/"), "172.24.200.0/24"}
    until(lambda: routes(scene.hosts[0]) == expected, "all are served", deadline_s=DEADLINE_S)
    scene.store.kill()
    shutil.rmtree(scene.data)
    scene.store.start()
    until(lambda: scene.leases() == names, "both are leased again", deadline_s=DEADLINE_S)
    for daemon in daemons:
        daemon.says(LOUD)
        daemon.says("are not in the store any more: the ways there stay for 24h0m0s")
    assert routes(scene.hosts[0]) == expected
    scene.operator.set("subnets/172.24.201.0-24", PEER % "172.17.8.110", ttl=86400)
    until(lambda: routes(scene.hosts[0]) == expected | {"172.24.201.0/24"}, "news is heard")
    fdb = ("bridge", "fdb", "show", "dev", "flannel.1")
    scene.operator.set("subnets/172.24.200.0-24", PEER % "172.17.8.111", ttl=86400)
    until(lambda: "172.17.8.111" in scene.hosts[0].run(*fdb), "the new owner is reached")
    assert "172.17.8.109" not in scene.hosts[0].run(*fdb)
    assert [daemon.stop() for daemon in daemons] == [0, 0]
    assert all(daemon.log().count(LOUD) == 1 for daemon in daemons)


@as_root
def test_a_store_restored_from_a_backup(scene: Scene, tmp_path: Path) -> None:
    """One lease is in it, one was newer; both hosts keep theirs."""
    first = scene.daemon(scene.hosts[0])
    scene.store.kill()
    shutil.copytree(scene.data, tmp_path / "backup")
    scene.store.start()
    scene.store.overrun(20)
    second = scene.daemon(scene.hosts[1])
    names = scene.leases()
    until(lambda: len(routes(scene.hosts[0])) == 1, "both are served", deadline_s=DEADLINE_S)
    scene.store.kill()
    shutil.rmtree(scene.data)
    shutil.copytree(tmp_path / "backup", scene.data)
    scene.store.start()
    until(lambda: scene.leases() == names, "both are leased again", deadline_s=DEADLINE_S)
    first.says(LOUD)
    second.says(LOUD)
    assert [len(routes(host)) for host in scene.hosts] == [1, 1]
    assert [first.stop(), second.stop()] == [0, 0]


@as_root
def test_another_host_was_faster(scene: Scene) -> None:
    """The subnet is another's there: a sentence and exit 1; the data path stays. Started again, as
    the sentence says, the host gets another subnet, and the other one keeps its own."""
    daemon = scene.daemon(scene.hosts[0])
    (name,) = scene.operator.subnets()
    daemon.process.send_signal(signal.SIGSTOP)
    scene.store.kill()
    shutil.rmtree(scene.data)
    scene.store.start()
    scene.operator.set(f"subnets/{name}", PEER % "172.17.8.109", ttl=86400)
    daemon.process.send_signal(signal.SIGCONT)
    assert daemon.exits() == 1
    subnet = name.replace("-", "/")
    assert f"{subnet} is leased by 172.17.8.109 there: this host has lost {subnet}" in daemon.log()
    assert "172.17.8.109" in scene.operator.subnets()[name]
    assert "flannel.1" in scene.hosts[0].ip("link")
    assert "FLANNEL_SUBNET" not in daemon.subnet_env()
    scene.operator.configure(Network="172.24.0.0/16", Backend={"Type": "vxlan"})
    daemon.start().ready()
    assert "172.17.8.109" in scene.operator.subnets()[name]
    assert scene.leases()[0] not in ("", name)
    assert daemon.stop() == 0


OURS = Holding(lease(SUBNET, US, mac=MAC, index=900), since_s=0.0)


async def settled(registry: Registry, holding: Holding = OURS) -> Holding:
    """After the store was set back."""
    async with asyncio.timeout(DEADLINE_S):
        return await resettle(registry, holding, await registry.listing(), lambda: 5.0)


@pytest.mark.parametrize("there", [None, lease(SUBNET, US, mac=OTHER_MAC).attributes, "spoilt"])
async def test_our_value_is_put_there(
    registry: Registry, operator: Operator, there: Attributes | str | None
) -> None:
    """Nobody's, ours of another day, unreadable: ours as it is."""
    if there:
        operator.set(f"subnets/{NAME}", there if isinstance(there, str) else there.to_json())
    held = await settled(registry)
    assert operator.subnets() == {NAME: OURS.lease.attributes.to_json()}
    assert held.lease.index == operator.get(f"subnets/{NAME}")["modifiedIndex"]
    assert held.since_s == 5.0


async def test_what_is_there_already_is_kept_with_its_time(
    registry: Registry, operator: Operator
) -> None:
    """It is renewed when that is due; a reservation that is missing stays one."""
    operator.set(f"subnets/{NAME}", OURS.lease.attributes.to_json(), ttl=4000)
    index = operator.get(f"subnets/{NAME}")["modifiedIndex"]
    held = await settled(registry)
    assert (held.lease.index, held.due_in(5.0, 3600.0)) == (index, pytest.approx(400, abs=30))
    operator.delete(f"subnets/{NAME}")
    reserved = Holding(Lease(net(SUBNET), OURS.lease.attributes, 0, 900), since_s=0.0)
    assert (await settled(registry, reserved)).lease.is_reservation
    assert "ttl" not in operator.get(f"subnets/{NAME}")


@pytest.mark.parametrize("name", [NAME, "10.5.4.0-22", "10.5.7.128-25"])
async def test_another_hosts_is_left_to_it(
    registry: Registry, operator: Operator, name: str
) -> None:
    """Our subnet, one around it, one in it."""
    operator.set(f"subnets/{name}", Attributes(OTHER).to_json(), ttl=100)
    with pytest.raises(Lost, match=f"{name.replace('-', '/')} is leased by {OTHER} there"):
        await settled(registry)
    assert list(operator.subnets().values()) == [Attributes(OTHER).to_json()]


async def test_a_store_that_repeats_itself_is_asked_with_a_pause() -> None:
    """Whatever it answers, it is not asked as fast as it can."""
    asked = []

    class Broken:
        async def listing(self) -> Listing:
            asked.append("listing")
            return Listing((), frozenset(), 70)

        async def event(self, after: int) -> Put:
            asked.append("event")
            return Put(lease(SUBNET), after)

    async def hear() -> list[object]:
        return [type(news) async for news in follow(Broken(), 90)]  # type: ignore[arg-type]

    task = asyncio.ensure_future(hear())
    await asyncio.wait([task], timeout=0.5)
    task.cancel()
    assert asked == ["listing", "event"]


async def test_an_index_that_fell_is_told(registry: Registry, operator: Operator) -> None:
    """Once; from there on the new store's count."""
    operator.set(f"subnets/{NAME}", Attributes(OTHER).to_json())
    news = follow(registry, 10**9, poll_s=0.2)
    first, second = await anext(news), await anext(news)
    assert isinstance(first, SetBack)
    assert isinstance(second, Listing)
