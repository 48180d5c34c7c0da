"""vxlan: the kernel packs frames into UDP; we say which MAC is where, and which subnet is whose.

For the lease of a subnet S by a host P with the MAC M, in this order:

    ARP      S's network address -> M                on flannel.VNI, permanent
    FDB      M -> P                                  on flannel.VNI, permanent
    route    S via S's network address, onlink       dev flannel.VNI

With DirectRouting, and P on a wire of ours, only `S via P dev` that. No kernel state names a
host's own subnet but the address SUBNET.0/32 of the device, which packets sent by the host itself
carry.

Laws: a step that fails undoes the ones before it; what the device holds for leases that are no more
is removed when the first list of leases is seen; what somebody removes or changes by hand is put
back within five seconds, and said. A device that somebody deletes ends the run: what is started
again makes all of it anew.
"""

import contextlib
import logging
import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Network

from flannel import placed_json
from flannel.backends.backend import inner_mtu
from flannel.backends.leftovers import Territory, clear
from flannel.backends.upkeep import keep, put_back, put_right_over
from flannel.backends.vxlan_device import Device
from flannel.device import OVERHEAD_BYTES, Vxlan
from flannel.interfaces import External
from flannel.kernel import Kernel, KernelError, Link
from flannel.lease import Lease, LeaseError
from flannel.tables import Neighbour, Route, used
from golang import json_text

_MAC = re.compile(
    r"[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}"
)
"""What Go's net.ParseMAC takes for six bytes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the config's Backend."""

    vni: int
    port: int
    """0 is the kernel's own."""
    gbp: bool
    direct_routing: bool
    learning: bool


@dataclass(frozen=True, slots=True)
class Path:
    """The way to a subnet: through the tunnel, or (without entries) straight to the host."""

    route: Route
    arp: Neighbour | None = None
    fdb: Neighbour | None = None


class VXLAN:
    """The ways through the device."""

    kind = "vxlan"

    def __init__(
        self,
        kernel: Kernel,
        external: External,
        territory: Territory,
        settings: Settings,
    ) -> None:
        """Raises BackendError."""
        self.kernel = kernel
        self.external = external
        self.territory = territory
        self.settings = settings
        wanted = Vxlan(
            vni=settings.vni,
            parent=external.link.index,
            local=external.address,
            port=settings.port,
            gbp=settings.gbp,
            learning=settings.learning,
        )
        self.mtu = inner_mtu(external.link, OVERHEAD_BYTES)
        self._device = Device(kernel, wanted, self.mtu, territory)
        self._paths: dict[IPv4Network, Path] = {}
        self._tunnels: defaultdict[str, dict[IPv4Network, Path]] = defaultdict(dict)
        """Those through the device, by VtepMAC."""

    @property
    def link(self) -> Link:
        """The device, once it is prepared."""
        return self._device.link

    async def prepare(self) -> str:
        """Keep the device or make it; others need its MAC."""
        await self._device.prepare()
        return f'{{"VtepMAC":"{self._device.mac}"}}'

    async def start(self, subnet: IPv4Network) -> None:
        """Give the device the address of our subnet and switch it on."""
        await self._device.start(subnet)

    async def undo(self) -> None:
        """Leave the device as it was found."""
        await self._device.undo()

    async def begin(self, leases: Collection[Lease]) -> None:
        """Clear the device, and the ways past it, of what no lease accounts for."""
        outer = self.external.link.index
        await clear(self.kernel, outer, self.territory, leases, own_device=self.link.index)
        paths = []
        for lease in leases:
            with contextlib.suppress(LeaseError):  # is said when it is added
                paths.append(self._tunnel(lease))
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
                _log.info("Removing the route to %s via %s: no lease is served by that way",
                          route.destination, route.gateway)  # fmt: skip
                await self.kernel.remove_route(route)

    async def add(self, lease: Lease) -> None:
        """Put up the way to a subnet, in place of the one that led there before."""
        path = await self._path(lease)
        before = self._forget(lease.subnet)
        if before and before != path:
            await self._take_down(before)
        if other := self._with_mac_of(path):
            _log.error(
                "Hosts %s and %s have the same VtepMAC %s (was one cloned?): only one is reached",
                other.fdb and other.fdb.address, lease.attributes.public_ip,
                path.fdb and path.fdb.mac,
            )  # fmt: skip
        self._paths[lease.subnet] = path
        if path.fdb:
            self._tunnels[path.fdb.mac][lease.subnet] = path
        await self._put_up(path)

    async def remove(self, lease: Lease) -> None:
        """Take down the way to a subnet."""
        path = self._forget(lease.subnet)
        if path:
            await self._take_down(path)
            if other := self._with_mac_of(path):
                await self._put_up(other)

    async def run(self) -> None:
        """Put back what somebody has removed or changed (a device that was down has no routes)."""
        put_right = partial(put_right_over, self.kernel, self.external, self._put_right)
        await keep(self._device.name, put_right)

    async def _put_right(self) -> None:
        await self._device.put_right()
        present = used(await self.kernel.routes())
        arp = set(await self.kernel.arp(self.link))
        wanted = {path.fdb for path in self._paths.values()}
        # Of hosts that have, wrongly, one MAC, only one can be reached.
        reached = {entry.mac for entry in await self.kernel.fdb(self.link) if entry in wanted}
        await put_back(
            [
                (path.route, partial(self._put_up_again, subnet, path))
                for subnet, path in self._paths.items()
                if path.route.way not in present
                or (path.arp and path.arp not in arp)
                or (path.fdb and path.fdb.mac not in reached)
            ]
        )

    async def _put_up_again(self, subnet: IPv4Network, path: Path) -> None:
        again = path
        if path.fdb is None and path.route.gateway:
            # The interface may have been made anew.
            wire = await self.kernel.wire_to(path.route.gateway)
            again = Path(replace(path.route, index=wire or path.route.index))
        # It may have been removed, rightly, meanwhile.
        if self._paths.get(subnet) == path:
            self._paths[subnet] = again
            await self._put_up(again)

    def serves(self, lease: Lease) -> bool:
        """Leases of hosts with a vxlan device."""
        return lease.attributes.backend_type == self.kind

    def _tunnel(self, lease: Lease) -> Path:
        mac = vtep_mac(lease.attributes.backend_data)
        if mac == self._device.mac:
            raise LeaseError(f"its VtepMAC {mac} is this host's own (was one cloned?)")
        inside = lease.subnet.network_address
        return Path(
            Route(lease.subnet, inside, self.link.index, is_onlink=True),
            Neighbour(inside, mac),
            Neighbour(lease.attributes.public_ip, mac),
        )

    def _forget(self, subnet: IPv4Network) -> Path | None:
        path = self._paths.pop(subnet, None)
        if path and path.fdb:
            del self._tunnels[path.fdb.mac][subnet]
            if not self._tunnels[path.fdb.mac]:
                del self._tunnels[path.fdb.mac]
        return path

    def _with_mac_of(self, path: Path) -> Path | None:
        """A way to another host that has, wrongly, the same MAC."""
        same = self._tunnels.get(path.fdb.mac, {}).values() if path.fdb else ()
        return next((other for other in same if other.fdb != path.fdb), None)

    def _is_shared(self, path: Path) -> bool:
        """Whether its host has another lease, for a time: that is reached by the same entry."""
        same = self._tunnels.get(path.fdb.mac, {}).values() if path.fdb else ()
        return any(other.fdb == path.fdb and other.route != path.route for other in same)

    async def _path(self, lease: Lease) -> Path:
        public_ip = lease.attributes.public_ip
        if self.settings.direct_routing and (wire := await self.kernel.wire_to(public_ip)):
            return Path(Route(lease.subnet, public_ip, wire))
        return self._tunnel(lease)

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
        if path.fdb and not self._is_shared(path):
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
    try:
        data = placed_json.parse(backend_data) if backend_data else None
    except json_text.BadJson as error:
        raise LeaseError(f"BackendData cannot be read: {error}") from None
    mac, _ = data.find("VtepMAC") if isinstance(data, json_text.Object) else (None, False)
    if not isinstance(mac, str):
        raise LeaseError("BackendData has no VtepMAC")
    if not _MAC.fullmatch(mac):
        raise LeaseError(f"VtepMAC must be six bytes such as 62:76:77:99:64:d5, not {mac!r}")
    octets = bytes.fromhex(re.sub("[:.-]", "", mac))
    if octets[0] & 1 or not any(octets):
        raise LeaseError(f"VtepMAC must be the MAC of one device, and {mac} is none's")
    return octets.hex(":")
