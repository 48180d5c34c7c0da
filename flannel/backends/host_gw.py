"""host-gw: a route to each other host's subnet through that host; all are on one wire.

Laws: the only kernel state is these routes; a route to the same subnet by another way is replaced;
every five seconds what is missing is added again, through the interface that has our address by
then: it may have been made anew, or the address have moved to a bridge.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from flannel import interfaces
from flannel.backends.backend import BackendError
from flannel.backends.leftovers import Territory, clear
from flannel.backends.upkeep import keep, put_back
from flannel.interfaces import External
from flannel.kernel import Kernel, Link
from flannel.lease import Lease
from flannel.tables import Route, used


@dataclass(slots=True)
class HostGW:
    """Routes by way of the other hosts."""

    kernel: Kernel
    external: External
    territory: Territory
    kind: str = "host-gw"
    _link: Link = field(init=False)
    """The outer interface, as it was last seen."""
    _gateways: dict[IPv4Network, IPv4Address] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._link = self.external.link

    @property
    def mtu(self) -> int:
        """Nothing is added to a packet."""
        return self.external.link.mtu

    async def prepare(self) -> str:
        """Refuse to work through NAT, for a gateway must be on the wire, or without rights."""
        if self.external.public_ip != self.external.address:
            raise BackendError(
                f"host-gw cannot work behind NAT: the public IP {self.external.public_ip} is not "
                f"the address {self.external.address} of {self.external.link.name}"
            )
        await self.kernel.check_rights(self.external.link)
        return ""

    async def start(self, subnet: IPv4Network) -> None:
        """The route to our own subnet is the containers' bridge's."""

    async def undo(self) -> None:
        """Nothing was made."""

    async def begin(self, leases: Collection[Lease]) -> None:
        """Remove routes to subnets that nobody has any more, and what other backends left."""
        await clear(self.kernel, self._link.index, self.territory, leases)

    async def add(self, lease: Lease) -> None:
        """Route a subnet through its host."""
        self._gateways[lease.subnet] = lease.attributes.public_ip
        await self._put_up(lease.subnet)

    async def remove(self, lease: Lease) -> None:
        """Remove the route to a subnet."""
        if lease.subnet in self._gateways:
            route = self._route(lease.subnet)
            del self._gateways[lease.subnet]
            await self.kernel.remove_route(route)

    async def run(self) -> None:
        """Add again what is gone (an interface that was down loses its routes)."""
        await keep(f"the routes to other hosts by {self.external.address}", self._put_right)

    async def _put_right(self) -> None:
        self._link = await interfaces.find_again(self.kernel, self.external)
        present = used(await self.kernel.routes())
        wanted = [self._route(subnet) for subnet in self._gateways]
        await put_back(
            [
                (route, partial(self._put_up, route.destination))
                for route in wanted
                if route.way not in present
            ]
        )

    async def _put_up(self, subnet: IPv4Network) -> None:
        # While others were put back its lease may have gone.
        if subnet in self._gateways:
            await self.kernel.set_route(self._route(subnet))

    def _route(self, subnet: IPv4Network) -> Route:
        return Route(subnet, self._gateways[subnet], self._link.index)

    def serves(self, lease: Lease) -> bool:
        """Leases of hosts that route as we do."""
        return lease.attributes.backend_type == self.kind
