"""Goal: leases are got, kept and lost rightly in a real store.

Method: the leasing code over real sockets against a real etcd and pyetcd, an operator beside it.
"""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address

import pytest

from flannel import leasing
from flannel.config import NetworkConfig
from flannel.holding import Holding
from flannel.lease import TTL_S, Attributes
from flannel.leasing import AcquireError, Keeper, acquire_lease
from flannel.registry import Faster, Gone, Registry
from pyetcdctl import AsyncClient, EtcdError
from tests.flannel.sample import OTHER, US, net, network
from tests.flannel.slow_store import slow
from tests.flannel.stores import Operator
from tests.oracle.process import Server

DEADLINE_S = 20.0
MARGIN_S = 3600.0
PATIENCE_S = 0.5


async def lease_for(
    registry: Registry,
    public_ip: IPv4Address = US,
    *,
    config: NetworkConfig | None = None,
    previous: str = "",
    seed: int = 1,
) -> Holding:
    """Get a lease."""
    return await acquire_lease(
        registry,
        config or network(),
        Attributes(public_ip),
        net(previous) if previous else None,
        random.Random(seed).choice,
    )


async def test_a_fresh_lease(registry: Registry, operator: Operator) -> None:
    """The key flanneld would write, with its TTL."""
    held = await lease_for(registry)
    (name, value) = next(iter(operator.subnets().items()))
    assert value == '{"PublicIP":"172.17.8.101"}'
    assert name == f"{held.lease.subnet.network_address}-24"
    assert TTL_S - 60 < operator.get(f"subnets/{name}")["ttl"] <= TTL_S
    assert held.lease.ttl_s == TTL_S


async def test_the_same_host_gets_the_same_subnet(registry: Registry, operator: Operator) -> None:
    """Found by its public IP, and written anew with the full time."""
    operator.set("subnets/10.5.7.0-24", '{"PublicIP":"172.17.8.101"}', ttl=500)
    held = await lease_for(registry)
    assert held.lease.subnet == net("10.5.7.0/24")
    assert operator.get("subnets/10.5.7.0-24")["ttl"] > TTL_S - 60


async def test_a_reservation_stays_one(registry: Registry, operator: Operator) -> None:
    """Without a TTL before and after."""
    operator.set("subnets/10.5.7.0-24", '{"PublicIP":"172.17.8.101"}')
    held = await lease_for(registry)
    assert held.lease.is_reservation
    assert "ttl" not in operator.get("subnets/10.5.7.0-24")


async def test_a_lease_that_does_not_fit_any_more_is_replaced(
    registry: Registry, operator: Operator
) -> None:
    """The old key goes, a new one comes."""
    operator.set("subnets/10.5.8.0-22", '{"PublicIP":"172.17.8.101"}', ttl=500)
    held = await lease_for(registry)
    assert list(operator.subnets()) == [f"{held.lease.subnet.network_address}-24"]


async def test_the_previous_subnet(registry: Registry, operator: Operator) -> None:
    """Free: created. Another's: taken over."""
    held = await lease_for(registry, previous="10.5.200.0/24")
    assert held.lease.subnet == net("10.5.200.0/24")
    operator.set("subnets/10.5.201.0-24", '{"PublicIP":"172.17.8.102"}', ttl=500)
    held = await lease_for(registry, IPv4Address("172.17.8.109"), previous="10.5.201.0/24")
    assert held.lease.subnet == net("10.5.201.0/24")
    assert operator.subnets()["10.5.201.0-24"] == '{"PublicIP":"172.17.8.109"}'


async def test_twelve_daemons_race_for_seven_subnets(
    registry: Registry, operator: Operator
) -> None:
    """Seven win, five say why, nobody has two and no subnet has two hosts."""
    config = network("10.5.0.0/21")
    outcomes = await asyncio.gather(
        *(
            lease_for(registry, IPv4Address(f"172.17.8.{host}"), config=config, seed=host)
            for host in range(1, 13)
        ),
        return_exceptions=True,
    )
    won = [one for one in outcomes if isinstance(one, Holding)]
    lost = [one for one in outcomes if isinstance(one, AcquireError)]
    assert (len(won), len(lost)) == (7, 5)
    assert all(str(one).startswith("out of subnets") for one in lost)
    stored = operator.subnets()
    assert len(stored) == 7
    assert len(set(stored.values())) == 7
    assert {one.lease.subnet for one in won} == {net(name.replace("-", "/")) for name in stored}


async def test_a_race_for_a_reused_lease_is_lost_by_whoever_saw_it_earlier(
    registry: Registry, operator: Operator
) -> None:
    """Between the look and the write somebody else took it: no blind overwrite."""
    operator.set("subnets/10.5.7.0-24", '{"PublicIP":"172.17.8.101"}', ttl=500)
    seen = (await registry.listing()).leases[0]
    operator.set("subnets/10.5.7.0-24", '{"PublicIP":"172.17.8.102"}', ttl=500)
    with pytest.raises(Faster):
        await registry.overwrite(seen, Attributes(US))
    with pytest.raises(Faster):
        await registry.remove(seen)
    assert operator.subnets() == {"10.5.7.0-24": '{"PublicIP":"172.17.8.102"}'}


async def test_keys_of_others_below_subnets(
    registry: Registry, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    """Skipped, said once each; a spoilt lease counts as taken, and so does a directory."""
    operator.set("subnets/README", "hello")
    operator.set("subnets/deep/10.5.1.0-24", '{"PublicIP":"172.17.8.102"}')
    operator.set("subnets/10.5.2.0-24", "not json")
    operator.set("subnets/10.5.3.0-24/deeper", "a directory's")
    for _ in range(3):
        found = await registry.listing()
        assert found.leases == ()
        assert found.unreadable == {net("10.5.2.0/24"), net("10.5.3.0/24")}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert all(text.startswith("Ignoring bad subnet node: ") for text in said)
    three = network(SubnetMin="10.5.1.0", SubnetMax="10.5.3.0")
    assert (await lease_for(registry, config=three)).lease.subnet == net("10.5.1.0/24")


async def test_what_the_store_refuses_is_an_error(registry: Registry, operator: Operator) -> None:
    """`subnets` is a file: no retry can help."""
    operator.set("subnets", "a file")
    with pytest.raises(EtcdError) as caught:
        await lease_for(registry)
    assert caught.value.code == 104


class Unshuffled(random.Random):
    """Endpoints are asked as they are given."""

    def shuffle(self, x: object) -> None:
        """Leave it."""


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """The URL of a member that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class Wall:
    """A clock that is moved by hand, and knows how often it was looked at."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now_s


async def eventually(check: Callable[[], bool]) -> None:
    """Return as soon as it is so; TimeoutError if that takes too long."""
    async with asyncio.timeout(DEADLINE_S):
        while not check():
            await asyncio.sleep(0.005)


async def looked_again(clock: Wall) -> None:
    """The keeper has asked for the time a few times more."""
    seen = clock.looks
    await eventually(lambda: clock.looks > seen + 4)


async def test_a_lease_is_renewed_when_it_is_due_and_not_before(
    registry: Registry, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is moved by 23 hours: one write; a second one never comes."""
    monkeypatch.setattr(leasing, "LOOK_AGAIN_S", 0.01)
    clock = Wall()
    held = await acquire_lease(
        registry, network(), Attributes(US), None, random.Random(1).choice, clock
    )
    keeper = Keeper(registry, held, MARGIN_S, clock)
    name = next(iter(operator.subnets()))
    task = asyncio.ensure_future(keeper.renew_for_ever())
    try:
        clock.now_s += 23 * 3600 - 1
        await looked_again(clock)
        assert keeper.holding.lease.index == held.lease.index
        clock.now_s += 1
        await eventually(lambda: keeper.holding.lease.index > held.lease.index)
        first = operator.get(f"subnets/{name}")["modifiedIndex"]
        assert first == keeper.holding.lease.index
        await looked_again(clock)
        assert operator.get(f"subnets/{name}")["modifiedIndex"] == first
    finally:
        task.cancel()


async def renewed(registry: Registry, held: Holding, done: Callable[[Keeper], bool]) -> Keeper:
    """The keeper of a lease whose time is over, when it has done so."""
    keeper = Keeper(registry, held, MARGIN_S, lambda: held.since_s + 2 * TTL_S)
    task = asyncio.ensure_future(keeper.renew_for_ever())
    try:
        await eventually(lambda: done(keeper))
    finally:
        task.cancel()
    return keeper


async def test_a_renewal_makes_a_lost_key_again(registry: Registry, operator: Operator) -> None:
    """As flanneld's plain PUT does; news of its end, heard then, are old."""
    held = await lease_for(registry)
    name = next(iter(operator.subnets()))
    operator.delete(f"subnets/{name}")
    gone = Gone(held.lease.subnet, held.lease.index + 1)
    keeper = await renewed(registry, held, lambda keeper: keeper.holding.lease != held.lease)
    assert operator.get(f"subnets/{name}")["ttl"] > TTL_S - 60
    assert await keeper.hear(gone)


async def test_a_spoilt_reservation_is_written_anew_as_one(
    registry: Registry, operator: Operator
) -> None:
    """At once, and without a TTL."""
    operator.set("subnets/10.5.7.0-24", '{"PublicIP":"172.17.8.101"}')
    held = await lease_for(registry)
    operator.set("subnets/10.5.7.0-24", "not json")
    keeper = Keeper(registry, held, MARGIN_S)
    assert await keeper.hear(await registry.listing())
    await renewed(registry, keeper.holding, lambda keeper: not keeper.holding.is_overdue)
    assert operator.subnets() == {"10.5.7.0-24": '{"PublicIP":"172.17.8.101"}'}
    assert "ttl" not in operator.get("subnets/10.5.7.0-24")


async def test_who_leased_our_subnet_when_our_time_was_over_keeps_it(
    registry: Registry, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    """We were paused meanwhile, and renew before we hear of it."""
    held = await lease_for(registry)
    name = next(iter(operator.subnets()))
    operator.delete(f"subnets/{name}")
    operator.set(f"subnets/{name}", '{"PublicIP":"172.17.8.102"}', ttl=500)
    keeper = await renewed(
        registry, held, lambda keeper: keeper.holding.lease.index > held.lease.index
    )
    assert operator.subnets() == {name: '{"PublicIP":"172.17.8.102"}'}
    assert operator.get(f"subnets/{name}")["ttl"] <= 500
    assert not keeper.holding.is_ours
    assert f"Lease of {held.lease.subnet} was taken over by 172.17.8.102" in caplog.text


async def test_a_renewal_over_what_an_operator_wrote(
    registry: Registry, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    """Our own value, with little time left: renewed, and said."""
    held = await lease_for(registry)
    ((name, value),) = operator.subnets().items()
    operator.set(f"subnets/{name}", value, ttl=500)
    await renewed(registry, held, lambda _: operator.get(f"subnets/{name}")["ttl"] > 500)
    assert "was written by somebody else: an operator" in caplog.text


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_renewal_goes_round_a_member_that_hangs(
    server: Server, registry: Registry, operator: Operator, is_heard: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """It passes the write on, or does not: the next member renews the lease at once, and once."""
    held = await lease_for(registry)
    name = next(iter(operator.subnets()))
    caplog.set_level("INFO")
    async with (
        slow(server, 600.0) if is_heard else silent() as url,
        AsyncClient([url, server.url], luck=Unshuffled(), timeout_s=PATIENCE_S) as client,
    ):
        slowly = Registry(client, operator.prefix)
        keeper = await renewed(
            slowly, held, lambda keeper: keeper.holding.lease.index > held.lease.index
        )
    assert operator.get(f"subnets/{name}")["modifiedIndex"] == keeper.holding.lease.index
    assert "somebody else" not in caplog.text
    assert "trying again" not in caplog.text


async def test_other_hosts_are_told_apart_by_address(
    registry: Registry, operator: Operator
) -> None:
    """Two hosts, two leases."""
    one, two = await lease_for(registry, US), await lease_for(registry, OTHER)
    assert one.lease.subnet != two.lease.subnet
    assert {json.loads(value)["PublicIP"] for value in operator.subnets().values()} == {
        str(US), str(OTHER),
    }  # fmt: skip
