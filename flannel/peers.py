"""The other hosts: what is heard of their leases, told to the data path.

| a lease                                  | what happens                                          |
|------------------------------------------|-------------------------------------------------------|
| is our own subnet                        | passed over: the keeper hears of it                   |
| has our public IP, another subnet, or    | ignored, said once: packets to it would come back     |
| an address of this host as its public IP |                                                       |
| is of another kind of backend            | ignored, said once; a way that led there is removed   |
| is not inside the Network, has an        | the same: its way would lead packets astray that are  |
| address of this host in it (of whatever  | our own, or no container's, those to the store and to |
| interface), of the store, or its own     | its own host too                                      |
| public IP, or overlaps our subnet        |                                                       |
| came, or has changed                     | its way is put up                                     |
| went                                     | its way is taken down                                 |
| is not in a store that was set back      | its way stays for a lease's time, in which its host   |
|                                          | comes back, or until somebody leases its subnet       |

Laws: one bad lease never keeps the others from being served; with each listing it is looked again
at what the kernel refused, and at who is ignored, for this host's addresses may have changed.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from ipaddress import IPv4Address, IPv4Network

from flannel import ip
from flannel.backends.backend import Backend
from flannel.duration import go_duration
from flannel.interfaces import External
from flannel.kernel import KernelError
from flannel.lease import TTL_S, Lease, LeaseError
from flannel.leasing import Clock, seconds_since_boot
from flannel.ledger import Added, Change, Ledger
from flannel.registry import Event, Gone, Listing, Put

_log = logging.getLogger(__name__)

Look = Callable[[], Awaitable[Collection[IPv4Address]]]


class Peers:
    """All hosts but this one."""

    def __init__(
        self,
        backend: Backend,
        network: IPv4Network,
        own: IPv4Network,
        external: External,
        look: Look,
        look_for_store: Look,
        *,
        clock: Clock = seconds_since_boot,
    ) -> None:
        """`own` is our subnet of the `network`; `look` tells what addresses this host has, and
        `look_for_store` those of the store."""
        self._clock = clock
        self._backend = backend
        self._network = network
        self._own = own
        self._public_ip = external.public_ip
        self._look = look
        self._look_for_store = look_for_store
        self._address = external.address
        self._addresses = [external.address]
        """This host's, in order."""
        self._stores: list[IPv4Address] = []
        """The store's, in order."""
        self._ledger = Ledger()
        self._has_begun = False
        self._refused: set[IPv4Network] = set()
        self._ignored: dict[IPv4Network, str] = {}
        """Why, as it was said last."""

    async def hear(self, news: Listing | Event) -> None:
        """Take a listing or an event."""
        try:
            # That of -iface may be away for now: it comes back.
            self._addresses = sorted({*await self._look(), self._address})
        except KernelError as error:
            _log.error("%s", error)
        self._stores = sorted(await self._look_for_store())
        match news:
            case Listing(leases, unreadable, _):
                others = [lease for lease in leases if lease.subnet != self._own]
                await self._begin(others)
                changes = self._ledger.replace(others, unreadable, self._clock())
                again = [
                    Added(lease)
                    for lease in self._ledger.leases()
                    if lease.subnet in self._refused or self._why_ignored(lease) is not None
                ]
                for change in [*changes, *again]:
                    await self._apply(change)
            case Put(lease, _) if lease.subnet != self._own:
                await self._apply(self._ledger.put(lease))
            case Gone(subnet, _) if subnet != self._own:
                for change in self._ledger.drop(subnet):
                    await self._apply(change)
            case _:
                pass

    async def settle(self, listing: Listing) -> None:
        """Take the first listing of a store that was set back: nobody is dropped for it."""
        kept = self._ledger.keep_missing(listing.leases, self._clock() + TTL_S)
        if kept:
            _log.warning(
                "Leases of others (%d) are not in the store any more: the ways there stay for %s, "
                "or until somebody else leases the subnet", kept, go_duration(TTL_S),
            )  # fmt: skip
        await self.hear(listing)

    async def _begin(self, leases: list[Lease]) -> None:
        """The first time: what an earlier run left for others than these is removed."""
        if self._has_begun:
            return
        try:
            await self._backend.begin(
                [lease for lease in leases if self._why_ignored(lease) is None]
            )
            self._has_begun = True
        except KernelError as error:
            _log.error("Removing what an earlier run left: %s", error)

    async def _apply(self, change: Change) -> None:
        lease = change.lease
        self._refused.discard(lease.subnet)
        try:
            if not isinstance(change, Added):
                _log.info("Subnet removed: %s", lease.subnet)
                self._ignored.pop(lease.subnet, None)
                await self._backend.remove(lease)
            elif (why := self._why_ignored(lease)) is not None:
                self._say_once(lease, why)
                await self._backend.remove(lease)
                self._refused.add(lease.subnet)
            else:
                _log.info("Subnet added: %s via %s", lease.subnet, lease.attributes.public_ip)
                self._ignored.pop(lease.subnet, None)
                await self._backend.add(lease)
        except LeaseError as error:
            _log.error("Ignoring lease of %s: %s", lease.subnet, error)
        except KernelError as error:
            _log.error("Subnet %s via %s: %s", lease.subnet, lease.attributes.public_ip, error)
            self._refused.add(lease.subnet)

    def _why_ignored(self, lease: Lease) -> str | None:
        """None if it is served; empty if there is nothing to say about it (alloc serves nobody)."""
        if lease.attributes.public_ip == self._public_ip:
            return (
                f"it has this host's own public IP {self._public_ip} (another host with it? give "
                "each its own -iface or -public-ip, then restart both)"
            )
        if lease.attributes.public_ip in self._addresses:
            return (
                f"its public IP {lease.attributes.public_ip} is an address of this host too (as "
                "behind NAT? give each host its own -iface or -public-ip)"
            )
        if lease.subnet == self._network or not lease.subnet.subnet_of(self._network):
            return f"it is no part of the Network {self._network}"
        if lease.subnet.overlaps(self._own):
            return f"it overlaps this host's own subnet {self._own}"
        if own := ip.first_within(lease.subnet, self._addresses):
            return f"this host's own address {own} is in it"
        if store := ip.first_within(lease.subnet, self._stores):
            return f"the store's address {store} is in it"
        if lease.attributes.public_ip in lease.subnet:
            return f"its own public IP {lease.attributes.public_ip} is in it"
        if not self._backend.serves(lease):
            theirs, ours = lease.attributes.backend_type or "none", self._backend.kind
            return f"its backend type is {theirs}, ours is {ours}" if ours else ""
        return None

    def _say_once(self, lease: Lease, why: str) -> None:
        if why and self._ignored.get(lease.subnet) != why:
            self._ignored[lease.subnet] = why
            _log.warning("Ignoring lease of %s: %s", lease.subnet, why)
