"""What an earlier run has left, maybe one with another backend, and nothing accounts for any more.

| left                                                     | goes                                |
|----------------------------------------------------------|-------------------------------------|
| a route by a gateway through the outer interface, to a   | unless the subnet is leased by a    |
| subnet of the network with the length of a lease         | host that is reached so             |
| a vxlan device flannel.N, with what hangs on it          | unless it is this run's, or has an  |
|                                                          | address beside the network, or none |

Law: what flannel has made is told by its form alone.
"""

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network

from flannel.kernel import Kernel
from flannel.lease import Lease

_DEVICE = re.compile(r"flannel\.[0-9]+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subnets:
    """Where leases come from."""

    network: IPv4Network
    length: int


async def clear(
    kernel: Kernel, outer: int, subnets: Subnets, leases: Collection[Lease], own_device: int = 0
) -> None:
    """The table above; `outer` and `own_device` are indices of interfaces, `leases` those that are
    reached by a gateway, or may be."""
    await _clear_devices(kernel, subnets, own_device)
    leased = {lease.subnet for lease in leases}
    for route in await kernel.routes():
        if (
            route.is_ours
            and route.gateway
            and route.index == outer
            and route.destination.prefixlen == subnets.length
            and route.destination.subnet_of(subnets.network)
            and route.destination not in leased
        ):
            _log.info("Removing the route to %s via %s: no lease is served by that way",
                      route.destination, route.gateway)  # fmt: skip
            await kernel.remove_route(route)


async def _clear_devices(kernel: Kernel, subnets: Subnets, own: int) -> None:
    for link in await kernel.links():
        if link.vxlan and link.index != own and _DEVICE.fullmatch(link.name):
            addresses = await kernel.addresses(link.index)
            if addresses and all(one.address in subnets.network for one in addresses):
                _log.warning("Removing %s, which an earlier run with another Backend has left",
                             link.name)  # fmt: skip
                await kernel.remove_link(link)
