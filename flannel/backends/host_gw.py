"""host-gw: a route to each other host's subnet through that host; all are on one wire.

Laws: the only kernel state is these routes; a route to the same subnet by another way is replaced;
every ten seconds what is missing is added again.
"""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from flannel.backends.backend import BackendError
from flannel.backends.gateways import Subnets, remove_orphans
from flannel.interfaces import External
from flannel.kernel import Kernel, KernelError, Route
from flannel.lease import Lease

CHECK_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class HostGW:
    """Routes by way of the other hosts."""

    kernel: Kernel
    external: External
    subnets: Subnets
    kind: str = "host-gw"
    _routes: dict[IPv4Network, Route] = field(default_factory=dict)

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
        """Remove routes through this interface to subnets that nobody has any more."""
        await remove_orphans(self.kernel, self.external.link.index, self.subnets, leases)

    async def add(self, lease: Lease) -> None:
        """Route a subnet through its host."""
        route = Route(lease.subnet, lease.attributes.public_ip, self.external.link.index)
        self._routes[lease.subnet] = route
        await self.kernel.set_route(route)

    async def remove(self, lease: Lease) -> None:
        """Remove the route to a subnet."""
        route = self._routes.pop(lease.subnet, None)
        if route:
            await self.kernel.remove_route(route)

    async def run(self) -> None:
        """Add again what somebody has removed (an interface that was down loses its routes)."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                present = {
                    (route.destination, route.gateway, route.index)
                    for route in await self.kernel.routes()
                }
            except KernelError as error:
                _log.error("Checking routes: %s", error)
                continue
            for route in list(self._routes.values()):
                missing = (route.destination, route.gateway, route.index) not in present
                # It may have been removed, rightly, while another one was set.
                if missing and self._routes.get(route.destination) == route:
                    await self._recover(route)

    async def _recover(self, route: Route) -> None:
        try:
            await self.kernel.set_route(route)
        except KernelError as error:
            _log.debug("%s", error)  # was said when it was added; the way may open yet
        else:
            _log.info("Route recovered %s via %s", route.destination, route.gateway)

    def serves(self, lease: Lease) -> bool:
        """Leases of hosts that route as we do."""
        return lease.attributes.backend_type == self.kind
