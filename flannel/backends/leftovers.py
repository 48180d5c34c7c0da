"""What an earlier run has left, maybe one with another backend, and nothing accounts for any more.

| left                                                     | goes                                |
|----------------------------------------------------------|-------------------------------------|
| a route by a gateway through the outer interface, to a   | unless the subnet is leased by a    |
| part of the network that a lease can have                | host that is reached so             |
| a vxlan device flannel.N, with what hangs on it          | unless it is this run's, or has     |
|                                                          | none of our addresses, or others    |

Our addresses are those of subnets that the configuration leases. What is beside SubnetMin and
SubnetMax may be another daemon's, whose Network lies within ours; so may the subnet before, if two
have one subnet file: a device that has it is said, and stays.

Laws: what flannel has made is told by its form alone. A route's length says nothing: SubnetLen may
have been another, and a route that is longer than ours goes before it. One with a protocol, metric,
source or other option of its own, or to a single host, is somebody else's. All this goes when the
data path is there; only a device that keeps it from its UDP port goes before, but when there is a
lease, and not unless the port is free then.
"""

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from flannel.config import NetworkConfig
from flannel.interfaces import OUR_DEVICES
from flannel.kernel import Kernel, Link
from flannel.lease import LENGTH_MAX, Lease

_DEVICE = re.compile(r"flannel\.[0-9]+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Territory:
    """Which addresses are this daemon's to give to a device, and which may be an earlier run's."""

    config: NetworkConfig
    previous: IPv4Network | None
    """The subnet in the subnet file, of this Network or of another: an earlier run's, if no other
    daemon writes that file."""

    @property
    def network(self) -> IPv4Network:
        """The Network."""
        return self.config.network

    def has(self, address: IPv4Address) -> bool:
        """Whether the address is ours, as above."""
        return self.config.spans(address)

    def had(self, address: IPv4Address) -> bool:
        """Whether the subnet before has it."""
        return self.previous is not None and address in self.previous


async def clear(
    kernel: Kernel,
    outer: int,
    territory: Territory,
    leases: Collection[Lease],
    own_device: int = 0,
) -> None:
    """The table above; `outer` and `own_device` are indices of interfaces, `leases` those that are
    reached by a gateway, or may be."""
    network = territory.network
    await _clear_devices(kernel, territory, own_device)
    leased = {lease.subnet for lease in leases}
    for route in await kernel.routes():
        if (
            route.is_ours
            and route.gateway
            and not route.is_onlink
            and route.index == outer
            and network.prefixlen < route.destination.prefixlen <= LENGTH_MAX
            and route.destination.subnet_of(network)
            and route.destination not in leased
        ):
            _log.info("Removing the route to %s via %s: no lease is served by that way",
                      route.destination, route.gateway)  # fmt: skip
            await kernel.remove_route(route)


async def in_the_way(kernel: Kernel, addresses: Collection[IPv4Address]) -> str:
    """Which route by a device of flannel's packets to one of the store's addresses take, in words;
    empty if none do."""
    names = {link.index: link.name for link in await kernel.links()}
    own = {one.address for one in await kernel.addresses()}
    routes = await kernel.routes()
    for address in sorted(set(addresses) - own):
        ways = [route for route in routes if address in route.destination]
        way = max(ways, key=lambda route: route.destination.prefixlen, default=None)
        name = names.get(way.index or 0, "") if way else ""
        if way and name.startswith(OUR_DEVICES):
            return (
                f"Packets to the store at {address} go into {name}, by the route to "
                f"{way.destination}: is it left of an earlier run? `ip route delete "
                f"{way.destination} dev {name}` removes it"
            )
    return ""


async def _clear_devices(kernel: Kernel, territory: Territory, own: int) -> None:
    for link in await kernel.links():
        if link.index == own:
            continue
        if await _is_left(kernel, link, territory):
            await _remove(kernel, link)
        else:
            await _say_if_left(kernel, link, territory)


async def port_holders(kernel: Kernel, port: int, own_device: int = 0) -> list[Link]:
    """The other vxlan devices that have a UDP port: those that are on."""
    return [
        link
        for link in await kernel.links()
        if link.vxlan and link.vxlan.port == port and link.is_up and link.index != own_device
    ]


async def can_free_port(
    kernel: Kernel, port: int, territory: Territory, own_device: int = 0
) -> bool:
    """Whether nobody has a UDP port that is taken but devices that an earlier run has left."""
    holders = await port_holders(kernel, port, own_device)
    return bool(holders) and all([await _is_left(kernel, link, territory) for link in holders])


async def free_port(kernel: Kernel, port: int, territory: Territory, own_device: int = 0) -> bool:
    """Remove the devices left that have a UDP port, if it is free then; whether it is."""
    if not await can_free_port(kernel, port, territory, own_device):
        return False
    for link in await port_holders(kernel, port, own_device):
        await _remove(kernel, link)
    return True


async def _say_if_left(kernel: Kernel, link: Link, territory: Territory) -> None:
    if not _is_flannels(link):
        return
    for one in await kernel.addresses(link.index):
        if territory.had(one.address):
            _log.warning(
                "%s has the address %s of the subnet before, which this configuration does not "
                "lease: if it is left, `ip link delete %s`; if another daemon uses it, give each a "
                "-subnet-file of its own", link.name, one.address, link.name,
            )  # fmt: skip
            return


def _is_flannels(link: Link) -> bool:
    return bool(link.vxlan and _DEVICE.fullmatch(link.name))


async def _is_left(kernel: Kernel, link: Link, territory: Territory) -> bool:
    if not _is_flannels(link):
        return False
    addresses = await kernel.addresses(link.index)
    return bool(addresses) and all(territory.has(one.address) for one in addresses)


async def _remove(kernel: Kernel, link: Link) -> None:
    _log.warning("Removing %s, which an earlier run with another Backend has left", link.name)
    await kernel.remove_link(link)
