"""The other hosts: what is heard of their leases, told to the data path.

| a lease                                  | what happens                                          |
|------------------------------------------|-------------------------------------------------------|
| is our own subnet                        | passed over: the keeper hears of it                   |
| has our own public IP, another subnet    | ignored, said once: packets to it would come back     |
| is of another kind of backend            | ignored, said once; a way that led there is removed   |
| is not inside the Network, has our own   | the same: its way would lead packets astray that are  |
| address in it, or overlaps our subnet    | our own, or no container's, those to the store too    |
| came, or has changed                     | its way is put up                                     |
| went                                     | its way is taken down                                 |
| is not in a store that was set back      | its way stays for a lease's time, in which its host   |
|                                          | comes back, or until somebody leases its subnet       |

Laws: one bad lease never keeps the others from being served; what the kernel refused is tried
again at the next listing.
"""

import logging
from ipaddress import IPv4Network

from flannel.backends.backend import Backend
from flannel.duration import go_duration
from flannel.interfaces import External
from flannel.kernel import KernelError
from flannel.lease import TTL_S, Lease, LeaseError
from flannel.leasing import Clock, seconds_since_boot
from flannel.ledger import Added, Change, Ledger
from flannel.registry import Event, Gone, Listing, Put

_log = logging.getLogger(__name__)


class Peers:
    """All hosts but this one."""

    def __init__(
        self,
        backend: Backend,
        network: IPv4Network,
        own: IPv4Network,
        external: External,
        clock: Clock = seconds_since_boot,
    ) -> None:
        """`own` is our subnet of the `network`."""
        self._clock = clock
        self._backend = backend
        self._network = network
        self._own = own
        self._public_ip = external.public_ip
        self._address = external.address
        self._ledger = Ledger()
        self._has_begun = False
        self._refused: set[IPv4Network] = set()
        self._ignored: set[tuple[IPv4Network, str]] = set()

    async def hear(self, news: Listing | Event) -> None:
        """Take a listing or an event."""
        match news:
            case Listing(leases, unreadable, _):
                others = [lease for lease in leases if lease.subnet != self._own]
                await self._begin(others)
                changes = self._ledger.replace(others, unreadable, self._clock())
                again = [
                    Added(lease) for lease in self._ledger.leases() if lease.subnet in self._refused
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
                await self._backend.remove(lease)
            elif (why := self._why_ignored(lease)) is not None:
                self._say_once(lease, why)
                await self._backend.remove(lease)
            else:
                _log.info("Subnet added: %s via %s", lease.subnet, lease.attributes.public_ip)
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
        if lease.subnet == self._network or not lease.subnet.subnet_of(self._network):
            return f"it is no part of the Network {self._network}"
        if lease.subnet.overlaps(self._own):
            return f"it overlaps this host's own subnet {self._own}"
        if self._address in lease.subnet:
            return f"this host's own address {self._address} is in it"
        if not self._backend.serves(lease):
            theirs, ours = lease.attributes.backend_type or "none", self._backend.kind
            return f"its backend type is {theirs}, ours is {ours}" if ours else ""
        return None

    def _say_once(self, lease: Lease, why: str) -> None:
        if why and (lease.subnet, why) not in self._ignored:
            self._ignored.add((lease.subnet, why))
            _log.warning("Ignoring lease of %s: %s", lease.subnet, why)
