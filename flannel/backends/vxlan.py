"""vxlan: the kernel packs frames into UDP; we say which MAC is where, and which subnet is whose.

For the lease of a subnet S by a host P with the MAC M, in this order:

    ARP      S's network address -> M                on flannel.VNI, permanent
    FDB      M -> P                                  on flannel.VNI, permanent
    route    S via S's network address, onlink       dev flannel.VNI

With DirectRouting, and P on our own wire, only `S via P`. No kernel state names a host's own
subnet but the address SUBNET.0/32 of the device, which packets sent by the host itself carry.

Laws: a device that agrees with what is asked for is kept, so the MAC that others learnt stays;
a step that fails undoes the ones before it; what the device holds for leases that are no more is
removed when the first list of leases is seen. A device that somebody deletes ends the run: what is
started again makes all of it anew.
"""

import asyncio
import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from flannel import gojson
from flannel.backends.backend import BackendError
from flannel.backends.gateways import Subnets, remove_orphans
from flannel.device import OVERHEAD_BYTES, Vxlan, difference
from flannel.interfaces import External
from flannel.kernel import HOST_BITS, Kernel, KernelError, Link, Neighbour, Route
from flannel.lease import Lease, LeaseError

MAC_BYTES = 6
CHECK_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the config's Backend."""

    vni: int
    port: int
    gbp: bool
    direct_routing: bool
    learning: bool


@dataclass(frozen=True, slots=True)
class Path:
    """The way to a subnet: through the tunnel, or (without entries) straight to the host."""

    route: Route
    arp: Neighbour | None = None
    fdb: Neighbour | None = None


@dataclass(slots=True)
class VXLAN:
    """The device and the ways through it."""

    kernel: Kernel
    external: External
    subnets: Subnets
    settings: Settings
    kind: str = "vxlan"
    _link: Link | None = None
    _is_made: bool = False
    """Whether the device is this run's, or was about to be."""
    _misfit: Link | None = None
    """A device of our name that does not fit; it serves until the lease is there."""
    _mac: str = field(default_factory=lambda: _new_mac())
    """Of the device, if it is made here."""
    _paths: dict[IPv4Network, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The device's name."""
        return f"flannel.{self.settings.vni}"

    @property
    def mtu(self) -> int:
        """What is left of a packet of the outer interface."""
        return self.external.link.mtu - OVERHEAD_BYTES

    @property
    def link(self) -> Link:
        """The device, once it is prepared."""
        if self._link is None:
            raise BackendError(f"{self.name} has not been prepared")
        return self._link

    async def prepare(self) -> str:
        """Keep the device or make it; others need its MAC."""
        found = await self.kernel.link(self.name)
        if found is None:
            await self._make()
        elif why := self._unusable(found):
            _log.warning("%s already exists with incompatible configuration: %s; recreating device",
                         self.name, why)  # fmt: skip
            self._misfit = found
        else:
            self._mac = found.mac
            if found.mtu != self.mtu:
                await self.kernel.set_mtu(found, self.mtu)
            self._link = found
        return f'{{"VtepMAC":"{self._mac}"}}'

    async def start(self, subnet: IPv4Network) -> None:
        """Give the device the address of our subnet and switch it on."""
        if self._misfit:
            await self.kernel.remove_link(self._misfit)
            self._misfit = None
            await self._make()
        address = subnet.network_address
        others = [
            one
            for one in await self.kernel.addresses(self.link.index)
            if (one.address, one.length) != (address, HOST_BITS)
        ]
        if len(others) > 1:
            listed = ", ".join(f"{one.address}/{one.length}" for one in others)
            raise BackendError(
                f"failed to configure interface {self.name}: it has the addresses {listed}, "
                "and only one may be replaced"
            )
        for one in others:
            await self.kernel.remove_address(self.link, one.address, one.length)
        await self.kernel.add_address(self.link, address, HOST_BITS)
        await self.kernel.set_up(self.link)

    async def undo(self) -> None:
        """Remove the device if it is this run's."""
        made = await self.kernel.link(self.name) if self._is_made else None
        if made:
            await self.kernel.remove_link(made)

    async def begin(self, leases: Collection[Lease]) -> None:
        """Clear the device, and the ways past it, of what no lease accounts for."""
        await remove_orphans(self.kernel, self.external.link.index, self.subnets, leases)
        paths = [path for lease in leases if self.serves(lease) for path in self._tunnels(lease)]
        arp, fdb = {path.arp for path in paths}, {path.fdb for path in paths}
        routes = {(path.route.destination, path.route.gateway) for path in paths}
        for entry in await self.kernel.arp(self.link):
            if entry not in arp:
                await self.kernel.remove_arp(self.link, entry)
        for entry in await self.kernel.fdb(self.link):
            if entry not in fdb:
                await self.kernel.remove_fdb(self.link, entry)
        for route in await self.kernel.routes():
            if route.index == self.link.index and (
                (route.destination, route.gateway) not in routes
            ):
                _log.info("Removing the route to %s, which nobody leases", route.destination)
                await self.kernel.remove_route(route)

    async def add(self, lease: Lease) -> None:
        """Put up the way to a subnet, in place of the one that led there before."""
        path = await self._path(lease)
        before = self._paths.get(lease.subnet)
        if before and before != path:
            await self._take_down(before)
        for other in self._with_mac_of(path):
            _log.error(
                "Hosts %s and %s have the same VtepMAC %s (was one cloned?): only one is reached",
                other.fdb and other.fdb.address, lease.attributes.public_ip,
                path.fdb and path.fdb.mac,
            )  # fmt: skip
        self._paths[lease.subnet] = path
        await self._put_up(path)

    async def remove(self, lease: Lease) -> None:
        """Take down the way to a subnet."""
        path = self._paths.pop(lease.subnet, None)
        if path:
            await self._take_down(path)
            for other in self._with_mac_of(path):
                await self._put_up(other)

    async def run(self) -> None:
        """Put back what somebody has removed (a device that was down loses its routes)."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                found = await self.kernel.link(self.name)
                if found is None or found.index != self.link.index:
                    raise BackendError(
                        f"{self.name} is not there any more: somebody has deleted it; start again "
                        "to have it and the ways through it back"
                    )
                await self._recover()
            except KernelError as error:
                _log.error("Checking %s: %s", self.name, error)

    async def _recover(self) -> None:
        routes = {(one.destination, one.gateway) for one in await self.kernel.routes()}
        arp = set(await self.kernel.arp(self.link))
        fdb = {entry.mac for entry in await self.kernel.fdb(self.link)}
        for subnet, path in list(self._paths.items()):
            is_whole = (
                (path.route.destination, path.route.gateway) in routes
                and (path.arp is None or path.arp in arp)
                and (path.fdb is None or path.fdb.mac in fdb)
            )
            # It may have been removed, rightly, while another one was put up.
            if is_whole or self._paths.get(subnet) != path:
                continue
            try:
                await self._put_up(path)
            except KernelError as error:
                _log.debug("%s", error)  # the device may be down; it is tried again
            else:
                _log.info("Route recovered %s via %s", subnet, path.route.gateway)

    def serves(self, lease: Lease) -> bool:
        """Leases of hosts with a vxlan device."""
        return lease.attributes.backend_type == self.kind

    @property
    def _wanted(self) -> Vxlan:
        return Vxlan(
            vni=self.settings.vni,
            parent=self.external.link.index,
            local=self.external.address,
            port=self.settings.port,
            gbp=self.settings.gbp,
            learning=self.settings.learning,
        )

    async def _make(self) -> None:
        wanted = self._wanted
        self._is_made = True
        try:
            await self.kernel.add_vxlan(self.name, wanted, self._mac, self.mtu)
        except KernelError as error:
            for link in await self.kernel.links():
                if link.vxlan and link.vxlan.vni == wanted.vni:
                    raise BackendError(
                        f"{error}: {link.name} has the VNI {wanted.vni} already"
                    ) from None
            raise
        self._link = await self.kernel.link(self.name)
        if self._link is None:
            raise BackendError(f"{self.name} was made and is gone again")

    def _unusable(self, found: Link) -> str:
        if found.vxlan is None:
            return f"link type: vxlan vs {found.kind or 'device'}"
        return difference(self._wanted, found.vxlan)

    def _tunnels(self, lease: Lease) -> list[Path]:
        try:
            return [self._tunnel(lease)]
        except LeaseError:
            return []  # said when it is added

    def _tunnel(self, lease: Lease) -> Path:
        mac = vtep_mac(lease.attributes.backend_data)
        inside = lease.subnet.network_address
        return Path(
            Route(lease.subnet, inside, self.link.index, is_onlink=True),
            Neighbour(inside, mac),
            Neighbour(lease.attributes.public_ip, mac),
        )

    def _with_mac_of(self, path: Path) -> list[Path]:
        """Ways to other hosts that have, wrongly, the same MAC."""
        return [
            other
            for other in self._paths.values()
            if other.fdb and path.fdb and other.fdb.mac == path.fdb.mac and other.fdb != path.fdb
        ]

    async def _path(self, lease: Lease) -> Path:
        public_ip = lease.attributes.public_ip
        if self.settings.direct_routing and await self._is_near(public_ip):
            return Path(Route(lease.subnet, public_ip, None))
        return self._tunnel(lease)

    async def _is_near(self, address: IPv4Address) -> bool:
        route = await self.kernel.route_to(address)
        return route is not None and route.gateway is None

    async def _put_up(self, path: Path) -> None:
        try:
            if path.arp:
                await self.kernel.set_arp(self.link, path.arp)
            if path.fdb:
                await self.kernel.set_fdb(self.link, path.fdb)
            await self.kernel.set_route(path.route)
        except KernelError:
            await self._take_down(path)
            raise

    async def _take_down(self, path: Path) -> None:
        """Remove whatever of it is there; one that cannot be removed does not keep the others."""
        removals = [self.kernel.remove_route(path.route)]
        if path.fdb:
            removals.append(self.kernel.remove_fdb(self.link, path.fdb))
        if path.arp:
            removals.append(self.kernel.remove_arp(self.link, path.arp))
        for removal in removals:
            try:
                await removal
            except KernelError as error:
                _log.error("%s", error)


def vtep_mac(backend_data: str) -> str:
    """The MAC in a lease's BackendData, lower case with colons; raises LeaseError."""
    data = gojson.parse(backend_data) if backend_data else None
    mac, _ = data.find("VtepMAC") if isinstance(data, gojson.Fields) else (None, False)
    if not isinstance(mac, str):
        raise LeaseError("BackendData has no VtepMAC")
    parts = mac.lower().replace("-", ":").split(":")
    try:
        octets = [int(part, 16) for part in parts]
    except ValueError:
        octets = []
    if len(octets) != MAC_BYTES or any(octet > 0xFF for octet in octets):
        raise LeaseError(f"VtepMAC must be six bytes such as 62:76:77:99:64:d5, not {mac!r}")
    return ":".join(f"{octet:02x}" for octet in octets)


def _new_mac() -> str:
    """A random unicast MAC of the locally administered kind. Had the kernel chosen it, udev might
    change it after it was told to the others."""
    octets = bytearray(secrets.token_bytes(MAC_BYTES))
    octets[0] = octets[0] & 0xFE | 0x02
    return ":".join(f"{octet:02x}" for octet in octets)
