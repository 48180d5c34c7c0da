"""Getting our lease from the store and keeping it: the hands of `acquire` and `holding`.

Laws: whoever loses a race looks again before the next try; so does whoever got no answer, and what
was written all the same is taken; while the store is away it is asked for ever; a renewal and news
of our own key never overlap, so that our own writes are told from others'. A renewal writes over
our lease as it was last seen, or makes it again where there is none: whoever was away for longer
than a lease holds does not take the subnet from who has it by then.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from flannel import acquire
from flannel.acquire import Choose, Create, Exhausted, Remove, Reuse
from flannel.backoff import Backoff
from flannel.config import NetworkConfig
from flannel.duration import go_duration
from flannel.holding import RETRY_S, Finding, Holding, News
from flannel.lease import Attributes, Lease
from flannel.registry import Event, Faster, Gone, Listing, Put, Registry, Spoilt, is_passing
from flannel.resettling import Lost, resettle
from pyetcdctl import ClientError, OutcomeUnknown

LOOK_AGAIN_S = 60.0
"""A wait is never longer, so a machine that slept is not late by as long as it slept."""

_log = logging.getLogger(__name__)

Clock = Callable[[], float]


def seconds_since_boot() -> float:
    """A clock nobody sets, which goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class AcquireError(Exception):
    """There is no lease to be had; the message says why."""


async def acquire_lease(
    registry: Registry,
    config: NetworkConfig,
    attributes: Attributes,
    previous: IPv4Network | None,
    choose: Choose,
    clock: Clock = seconds_since_boot,
    avoided: Collection[IPv4Interface] = (),
) -> Holding:
    """Lease a subnet, a new one aside of the `avoided` addresses; raises AcquireError, or the
    client's error when the store says no."""
    if previous and not config.allows(previous):
        _log.error(
            "Found previously leased subnet (%s) that is not compatible with the Etcd network "
            "config, ignoring", previous,
        )  # fmt: skip
    claim = _Claim(config, attributes, previous, choose, avoided)
    backoff = Backoff()
    tries = 0
    has_tried = False
    while tries < acquire.TRIES_MAX:
        try:
            sent_s = clock()
            lease = await _one_step(registry, claim, has_tried=has_tried)
            if lease:
                return Holding(lease, sent_s)
        except Faster:
            pass
        except ClientError as error:
            if not is_passing(error):
                raise
            _log.error("failed to acquire lease, trying again: %s", error)
            has_tried = True
            await asyncio.sleep(backoff.wait_s())
            continue
        has_tried = True
        tries += 1
    raise AcquireError("Max retries reached trying to acquire a subnet")


@dataclass(frozen=True, slots=True)
class _Claim:
    """What is wanted."""

    config: NetworkConfig
    attributes: Attributes
    previous: IPv4Network | None
    choose: Choose
    avoided: Collection[IPv4Interface]


async def _one_step(registry: Registry, claim: _Claim, *, has_tried: bool) -> Lease | None:
    """Look and do one thing; the lease if that was it."""
    seen = await registry.listing()
    ours = claim.attributes
    step = acquire.next_step(
        claim.config, seen.leases, seen.unreadable, ours.public_ip, claim.previous,
        claim.choose, claim.avoided,
    )  # fmt: skip
    match step:
        case Reuse(lease) if has_tried and lease.attributes == ours:
            # A try whose answer came too late: another one would have the same fate.
            _log.info("Lease of %s is as it was asked for", lease.subnet)
            return lease
        case Reuse(lease, why):
            _log.info("%s", why)
            return await registry.overwrite(lease, ours)
        case Create(subnet, why):
            _log.info("%s", why)
            return await registry.create(subnet, ours)
        case Remove(lease):
            _log.info(
                "Found lease (%s) for current IP (%s) but not compatible with current config, "
                "deleting", lease.subnet, ours.public_ip,
            )  # fmt: skip
            await registry.remove(lease)
            return None
        case Exhausted(why):
            raise AcquireError(why)


class Keeper:
    """Our lease, renewed in time."""

    def __init__(
        self,
        registry: Registry,
        holding: Holding,
        margin_s: float,
        clock: Clock = seconds_since_boot,
        remember: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`remember` is told whether the subnet is ours, whenever that changes."""
        self._registry = registry
        self._holding = holding
        self._margin_s = margin_s
        self._clock = clock
        self._remember = remember
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def subnet(self) -> IPv4Network:
        """What is ours."""
        return self._holding.lease.subnet

    @property
    def holding(self) -> Holding:
        """What is known of it."""
        return self._holding

    async def hear(self, news: Listing | Event) -> bool:
        """Take news of our key; whether we still have the lease."""
        async with self._writing:
            said = _news_of(self.subnet, news)
            if said is None:
                return True
            finding = self._judge(said)
            if finding is Finding.REVOKED and isinstance(news, Gone):
                await self._see_who_has_it()
            if finding not in (Finding.STALE, Finding.REVOKED):
                self._changed.set()
            return finding is not Finding.REVOKED

    async def resettle(self, listing: Listing) -> None:
        """Have our lease in a store that was set back, and lists that; raises Lost."""
        async with self._writing:
            try:
                self._hold(await resettle(self._registry, self._holding, listing, self._clock))
            except Lost:
                self._remember(False)
                raise
            self._changed.set()

    async def renew_for_ever(self) -> None:
        """Renew whenever it is due."""
        self._say_when()
        while True:
            due_s = self._holding.due_in(self._clock(), self._margin_s)
            if due_s <= 0:
                await self._renew()
                continue
            self._changed.clear()
            try:
                async with asyncio.timeout(min(due_s, LOOK_AGAIN_S)):
                    await self._changed.wait()
                self._say_when()
            except TimeoutError:
                pass

    async def _renew(self) -> None:
        async with self._writing:
            sent_s = self._clock()
            try:
                lease = await self._write_surely()
            except Faster:
                await self._look()
            except ClientError as error:
                self._put_off("Error renewing lease", error)
                return
            else:
                self._holding = self._holding.written(lease, sent_s)
                if not lease.is_reservation:
                    _log.info("Lease renewed, new ttl: %d s", lease.ttl_s)
        self._say_when()

    async def _write_surely(self) -> Lease:
        """Write by a member that answers; raises Faster."""
        try:
            return await self._write_anew()
        except OutcomeUnknown:
            # A write with a condition is not repeated by the client. A listing is, and who answers
            # it is asked next.
            self._holding = self._holding.failed(self._clock())
            await self._registry.listing()
            return await self._write_anew()

    async def _write_anew(self) -> Lease:
        """Write our lease as it was last seen, or nobody's; raises Faster if it is neither."""
        ours = self._holding.lease
        if self._holding.is_overdue:
            return await self._registry.replace(ours)
        try:
            return await self._registry.overwrite(ours, ours.attributes)
        except Faster:
            return await self._registry.create(
                ours.subnet, ours.attributes, is_reservation=ours.is_reservation
            )

    async def _look(self) -> None:
        """Judge what is there instead of what was last seen."""
        try:
            listing = await self._registry.listing()
        except ClientError as error:
            self._put_off("Error looking for our lease", error)
            return
        news = _news_of(self.subnet, listing)
        if news is None or self._judge(news) in (Finding.STALE, Finding.REVOKED):
            # Its index has fallen, or it went a moment ago: the watch will tell.
            self._holding = self._holding.failed(self._clock())

    async def _see_who_has_it(self) -> None:
        """Who leased our subnet since we lost it does not lose it by our starting again."""
        try:
            news = _news_of(self.subnet, await self._registry.listing())
        except ClientError as error:
            _log.error("Looking who has %s now: %s", self.subnet, error)
            return
        if news and news.attributes:
            owner = news.attributes.public_ip
            if owner != self._holding.lease.attributes.public_ip:
                _log.error("Lease of %s is that of %s now", self.subnet, owner)
                self._remember(False)

    def _put_off(self, what: str, error: ClientError) -> None:
        self._holding = self._holding.failed(self._clock())
        _log.error("%s (trying again in %d s): %s", what, RETRY_S, error)

    def _judge(self, news: News) -> Finding:
        """Take news of our key, and say what the operator should know."""
        ours = self._holding.lease
        holding, finding = self._holding.hear(news, self._clock())
        _tell(finding, ours, news)
        self._hold(holding)
        return finding

    def _hold(self, holding: Holding) -> None:
        before, self._holding = self._holding, holding
        if holding.is_ours != before.is_ours:
            self._remember(holding.is_ours)

    def _say_when(self) -> None:
        if not self._holding.is_ours:
            return
        if self._holding.lease.is_reservation:
            _log.info("Lease of %s is a reservation: it is not renewed", self.subnet)
            return
        due_s = self._holding.due_in(self._clock(), self._margin_s)
        _log.info("Waiting for %s to renew lease", go_duration(due_s))


def _news_of(subnet: IPv4Network, news: Listing | Event) -> News | None:
    """What there is about one subnet; None if nothing."""
    match news:
        case Put(lease, index) if lease.subnet == subnet:
            return News(index, attributes=lease.attributes, ttl_s=lease.ttl_s)
        case Gone(where, index) if where == subnet:
            return News(index, gone=True)
        case Spoilt(where, index) if where == subnet:
            return News(index)
        case Listing(leases, unreadable, index):
            for lease in leases:
                if lease.subnet == subnet:
                    return News(lease.index, attributes=lease.attributes, ttl_s=lease.ttl_s)
            return News(index) if subnet in unreadable else News(index, gone=True)
        case _:
            return None


def _tell(finding: Finding, ours: Lease, news: News) -> None:
    """Log what the operator should know."""
    us = ours.attributes.public_ip
    match finding:
        case Finding.SHARED:
            _log.warning(
                "Lease of %s was written by somebody else: an operator, or a second flanneld with "
                "the public IP %s (give each host its own -iface or -public-ip)", ours.subnet, us,
            )  # fmt: skip
        case Finding.RIVAL:
            _log.error(
                "Another flanneld has the public IP %s of this host and overwrote the lease of %s: "
                "give each host its own -iface or -public-ip, then restart both", us, ours.subnet,
            )  # fmt: skip
        case Finding.TAKEN if news.attributes:
            _log.error(
                "Lease of %s was taken over by %s: both hosts now use that subnet; stop one of "
                "them, or start this one again to get another subnet (was the subnet file copied "
                "from here?)",
                ours.subnet, news.attributes.public_ip,
            )  # fmt: skip
        case Finding.GARBLED:
            _log.error("Lease of %s has become unreadable: writing it anew", ours.subnet)
        case Finding.ANOTHERS:
            _log.error(
                "Lease of %s has become unreadable, and is another daemon's by now: it is left "
                "alone", ours.subnet,
            )  # fmt: skip
        case Finding.REVOKED:
            _log.error("Lease has been revoked. Shutting down daemon.")
        case _:
            pass
