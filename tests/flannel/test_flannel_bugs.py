"""Goal: the bugs flannel's users met do not live here. Method: one named test for each.

The numbers are those of flannel's issues and pull requests; each was a lost network for somebody.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator

import pytest

from flannel import leasing
from flannel.following import follow
from flannel.holding import RETRY_S, Holding
from flannel.lease import TTL_S, Attributes
from flannel.leasing import Keeper, acquire_lease
from flannel.ledger import Added, Ledger, Removed
from flannel.registry import Event, Gone, Listing, Put, Registry
from tests.flannel.sample import MAC, OTHER_MAC, US, lease, net, network
from tests.flannel.stores import Operator

DEADLINE_S = 20.0
HISTORY = 1000
VALUE = '{"PublicIP":"172.17.8.102"}'

News = AsyncIterator[Listing | Event]


async def following(news: News) -> Listing | Event:
    """The next news, in time."""
    async with asyncio.timeout(DEADLINE_S):
        return await anext(news)


async def test_issue_125_a_store_that_has_forgotten_is_listed_anew(
    registry: Registry, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon is away for 1,200 writes; what changed meanwhile is not lost, and then events
    come again. flanneld printed the error for ever (#125) or a removal of its own (#126)."""
    operator.set("subnets/10.5.1.0-24", VALUE)
    news = follow(registry)
    first = await following(news)
    assert isinstance(first, Listing)
    operator.set("subnets/10.5.2.0-24", VALUE)
    operator.delete("subnets/10.5.1.0-24")
    operator.overrun(HISTORY + 200)
    ledger = Ledger()
    ledger.replace(first.leases, first.unreadable)
    while {str(one.subnet) for one in ledger.leases()} != {"10.5.2.0/24"}:
        match await following(news):
            case Listing(leases, unreadable, _):
                ledger.replace(leases, unreadable)
            case Put(one, _):
                ledger.put(one)
            case Gone(subnet, _):
                ledger.drop(subnet)
    operator.set("subnets/10.5.3.0-24", VALUE)
    event = await following(news)
    assert isinstance(event, Put)
    assert event.lease.subnet == net("10.5.3.0/24")


def test_issue_283_a_subnet_that_went_and_came_back_is_served_again() -> None:
    """A host whose lease was lost and renewed had no route any more until a restart."""
    ledger = Ledger()
    one = lease("10.1.88.0/24", mac=MAC)
    assert ledger.put(one) == Added(one)
    assert ledger.drop(one.subnet) == [Removed(one)]
    back = lease("10.1.88.0/24", mac=MAC, index=9)
    assert ledger.put(back) == Added(back)
    assert ledger.replace([back], []) == []
    assert ledger.leases() == [back]


async def test_issue_404_a_wrong_clock_does_not_lose_the_lease(
    registry: Registry, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's clock is two days ahead of the store's: the lease is still due in 23 hours, for
    it is counted from when it was asked for."""
    monkeypatch.setattr(time, "time", lambda: 4e9)
    held = await acquire_lease(registry, network(), Attributes(US), None, random.Random(1).choice)
    due_s = held.due_in(leasing.seconds_since_boot(), 3600.0)
    assert 23 * 3600 - DEADLINE_S < due_s <= 23 * 3600


async def test_issue_522_a_lease_lost_while_away_ends_the_daemon_and_not_in_a_hang(
    registry: Registry, operator: Operator
) -> None:
    """The first listing is without our lease, and without any: flanneld waited for it for ever."""
    held = await acquire_lease(registry, network(), Attributes(US), None, random.Random(1).choice)
    operator.delete("subnets", "?recursive=true")
    keeper = Keeper(registry, held, 3600.0)
    first = await following(follow(registry))
    assert isinstance(first, Listing)
    assert first.leases == ()
    assert await keeper.hear(first) is False


async def test_issue_1240_the_renewal_does_not_hang_on_one_long_timer(
    registry: Registry, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept wakes up late for a timer of 23 hours. Time is looked at every minute,
    on a clock that goes on during sleep; a failed renewal is tried each minute until it works."""
    assert leasing.LOOK_AGAIN_S <= RETRY_S
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(leasing.seconds_since_boot() - now) < DEADLINE_S
    asleep = Holding(lease("10.5.7.0/24", US), since_s=0.0)
    assert asleep.due_in(30 * 3600.0, 3600.0) == 0.0
    moment = 30 * 3600.0
    for _ in range(5):
        asleep = asleep.failed(moment)
        assert asleep.due_in(moment, 3600.0) == RETRY_S
        moment += RETRY_S
        assert asleep.due_in(moment, 3600.0) == 0.0
    held = await acquire_lease(
        registry, network(), Attributes(US), None, random.Random(1).choice, lambda: 0.0
    )
    monkeypatch.setattr(leasing, "LOOK_AGAIN_S", 0.01)
    slept_s = [0.0]
    keeper = Keeper(registry, held, 3600.0, lambda: slept_s[0])
    task = asyncio.ensure_future(keeper.renew_for_ever())
    await asyncio.sleep(0)
    slept_s[0] = 24 * 3600.0 - 1
    async with asyncio.timeout(DEADLINE_S):
        while keeper.holding.lease.index == held.lease.index:
            await asyncio.sleep(0.01)
    task.cancel()


def test_issue_1242_a_reservation_is_not_renewed_in_292_years() -> None:
    """Go's zero time made 2562047h47m16.854775808s of it; here it is never due, and said so."""
    reserved = Holding(lease("10.5.7.0/24", US, ttl_s=0), since_s=5.0)
    assert reserved.due_in(5.0, 3600.0) == math.inf


def test_pull_request_1247_a_mac_that_changed_while_nobody_listened_is_noticed() -> None:
    """Same subnet, same host, new vxlan device: after a resync flanneld kept the old MAC."""
    ledger = Ledger()
    ledger.replace([lease("10.5.1.0/24", mac=MAC), lease("10.5.2.0/24", mac=MAC)], [])
    changed = lease("10.5.1.0/24", mac=OTHER_MAC, index=77)
    assert ledger.replace([changed, lease("10.5.2.0/24", mac=MAC)], []) == [Added(changed)]


async def test_pull_request_1334_an_expired_lease_is_heard_of(
    registry: Registry, operator: Operator
) -> None:
    """While the daemon runs, its key expires: one event, and the keeper says it is lost."""
    held = await acquire_lease(registry, network(), Attributes(US), None, random.Random(1).choice)
    keeper = Keeper(registry, held, 3600.0)
    news = follow(registry)
    assert await keeper.hear(await following(news))
    name = next(iter(operator.subnets()))
    operator.set(f"subnets/{name}", '{"PublicIP":"172.17.8.101"}', ttl=1)
    assert await keeper.hear(await following(news))
    expired = await following(news)
    assert isinstance(expired, Gone)
    assert await keeper.hear(expired) is False


async def test_pull_request_1368_a_bad_entry_does_not_stop_the_watch(
    registry: Registry, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    """flanneld asked for the same event again and again, and missed all that came behind it."""
    news = follow(registry)
    await following(news)
    operator.set("subnets/poison", "x")
    operator.set("subnets/10.5.1.0-24", "spoilt")
    operator.set("subnets/10.5.2.0-24", VALUE)
    seen = [await following(news), await following(news)]
    assert isinstance(seen[1], Put)
    assert seen[1].lease.subnet == net("10.5.2.0/24")
    assert sum("poison" in record.getMessage() for record in caplog.records) == 1


async def test_issue_528_a_dead_connection_is_noticed(
    registry: Registry, operator: Operator
) -> None:
    """A load balancer cuts an idle poll and tells nobody: after a while everything is listed anew
    (gravity #1017: watches broken until a restart)."""
    news = follow(registry, poll_s=0.2)
    first, again = await following(news), await following(news)
    assert isinstance(first, Listing)
    assert isinstance(again, Listing)
    operator.set("subnets/10.5.2.0-24", VALUE)
    while True:
        match await following(news):
            case Put(one, _):
                break
            case Listing(leases, _, _) if leases:
                one = leases[0]
                break
    assert one.subnet == net("10.5.2.0/24")
    assert one.ttl_s in (0, TTL_S)


@pytest.mark.parametrize("where", ["subnets", ""])
async def test_a_directory_that_is_removed_takes_all_leases_with_it(
    registry: Registry, operator: Operator, where: str
) -> None:
    """The event names the directory, or one above it, and no lease."""
    operator.set("subnets/10.5.1.0-24", VALUE)
    news = follow(registry)
    first = await following(news)
    assert isinstance(first, Listing)
    assert len(first.leases) == 1
    operator.delete(where, "?recursive=true")
    second = await following(news)
    assert isinstance(second, Listing)
    assert second.leases == ()
