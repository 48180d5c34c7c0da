"""Routes to other hosts' subnets straight through those hosts: host-gw, and vxlan's DirectRouting.

Law: which of them an earlier run has made is told by their form alone: through the outer interface,
by way of a gateway, to a subnet of the network with the length of a lease.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network

from flannel.kernel import Kernel
from flannel.lease import Lease

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subnets:
    """Where leases come from."""

    network: IPv4Network
    length: int


async def remove_orphans(
    kernel: Kernel, index: int, subnets: Subnets, leases: Collection[Lease]
) -> None:
    """Remove the routes through the interface with that index to subnets that nobody leases."""
    leased = {lease.subnet for lease in leases}
    for route in await kernel.routes():
        if (
            route.is_ours
            and route.gateway
            and route.index == index
            and route.destination.prefixlen == subnets.length
            and route.destination.subnet_of(subnets.network)
            and route.destination not in leased
        ):
            _log.info("Removing the route to %s, which nobody leases", route.destination)
            await kernel.remove_route(route)
