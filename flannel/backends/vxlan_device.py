"""flannel.VNI, the device of the vxlan data path: kept, made or replaced, and kept as it should be.

| a device of that name                 | what happens                                             |
|---------------------------------------|----------------------------------------------------------|
| is not there                          | it is made                                               |
| agrees with what is asked for         | it is kept, so the MAC that others learnt stays          |
| has an address of another network     | refused: it is another flannel's, who needs it           |
| does not fit                          | it serves until there is a lease, then it is replaced    |

A replacement is made and switched on under another name before the old one goes. Only if both use
the same UDP port the old one goes first: the kernel lets no two of them share it, and the port is
free then, for it was the old one's. So does a device of another VNI that an earlier run left, if
nobody else keeps the new one from its port.

Laws: `undo` leaves a device that was kept as it was found (MTU, address, on or off). An address is
given before another one is taken away: a device without any loses its routes and ARP entries.
"""

import errno
import logging
import secrets
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from flannel.backends.backend import BackendError
from flannel.backends.leftovers import Territory, free_port, port_holders
from flannel.backends.upkeep import Upkeep
from flannel.device import Vxlan, difference
from flannel.kernel import HOST_BITS, Kernel, KernelError, Link, vxlan_port
from flannel.tables import Address

MAC_BYTES = 6

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Device:
    """One device, from `prepare` on."""

    kernel: Kernel
    wanted: Vxlan
    mtu: int
    territory: Territory
    mac: str = field(default_factory=lambda: _new_mac())
    _link: Link | None = None
    _made: str = ""
    """The name of what is this run's, or was about to be."""
    _misfit: Link | None = None
    _kept: Link | None = None
    """A device that fits, as it was found."""
    _addresses: list[Address] = field(default_factory=list)
    """Those of the kept one, as it was found."""
    _upkeep: Upkeep | None = None

    @property
    def name(self) -> str:
        """flannel.VNI."""
        return f"flannel.{self.wanted.vni}"

    @property
    def link(self) -> Link:
        """The device, once it is prepared."""
        if self._link is None:
            raise BackendError(f"{self.name} has not been prepared")
        return self._link

    async def prepare(self) -> None:
        """Keep the device or make it; then `mac` is its."""
        if left := await self.kernel.link(self._trial_name):
            await self.kernel.remove_link(left)  # a run was killed in between
        found = await self.kernel.link(self.name)
        if found is None:
            self._link = await self._make(self.name)
            return
        await self._refuse_anothers(found)
        if why := self._unusable(found):
            _log.warning("%s already exists with incompatible configuration: %s; recreating device",
                         self.name, why)  # fmt: skip
            self._misfit = found
            return
        self.mac = found.mac
        self._addresses = await self.kernel.addresses(found.index)
        if found.mtu != self.mtu:
            await self.kernel.set_mtu(found, self.mtu)
        self._link = self._kept = found

    async def start(self, subnet: IPv4Network) -> None:
        """Give the device the address of our subnet and switch it on."""
        if self._misfit:
            await self._replace(self._misfit)
        address = subnet.network_address
        own = await self.kernel.addresses(self.link.index)
        others = [one for one in own if (one.address, one.length) != (address, HOST_BITS)]
        if len(others) > 1:
            listed = ", ".join(f"{one.address}/{one.length}" for one in others)
            raise BackendError(
                f"failed to configure interface {self.name}: it has the addresses {listed}, "
                "and only one may be replaced"
            )
        self._upkeep = Upkeep(self.link, self.mtu, address, HOST_BITS, self.mac)
        await self.kernel.add_address(self.link, address, HOST_BITS)
        for one in others:
            await self.kernel.remove_address(self.link, one.address, one.length)
        await self._switch_on(self.link)

    async def undo(self) -> None:
        """Remove the device if it is this run's, or leave it as it was found."""
        made = await self.kernel.link(self._made) if self._made else None
        if made:
            await self.kernel.remove_link(made)
        found = await self.kernel.link(self.name) if self._kept else None
        if self._kept is None or found is None or found.index != self._kept.index:
            return
        if found.mtu != self._kept.mtu:
            await self.kernel.set_mtu(found, self._kept.mtu)
        now = await self.kernel.addresses(found.index)
        for one in self._addresses:
            if one not in now:
                await self.kernel.add_address(found, one.address, one.length)
        for one in now:
            if one not in self._addresses:
                await self.kernel.remove_address(found, one.address, one.length)
        if found.is_up and not self._kept.is_up:
            await self.kernel.set_down(found)

    async def put_right(self) -> None:
        """Put back what somebody has changed; raises BackendError if it is gone, KernelError."""
        if self._upkeep:
            await self._upkeep.put_right(self.kernel)

    async def _replace(self, misfit: Link) -> None:
        if misfit.vxlan and misfit.vxlan.port == self._port:
            await self.kernel.remove_link(misfit)
            self._link = await self._make(self.name)
            return
        new = await self._make(self._trial_name)
        await self._switch_on(new)
        await self.kernel.remove_link(misfit)
        await self.kernel.set_down(new)  # older kernels rename nothing that is on
        await self.kernel.rename(new, self.name)
        self._made = self.name
        self._link = await self._found(self.name)

    @property
    def _trial_name(self) -> str:
        return f"flannel-{self.wanted.vni}"

    async def _make(self, name: str) -> Link:
        self._made = name
        try:
            await self.kernel.add_vxlan(name, self.wanted, self.mac, self.mtu)
        except KernelError as error:
            for link in await self.kernel.links():
                if link.vxlan and link.vxlan.vni == self.wanted.vni:
                    raise BackendError(
                        f"{error}: {link.name} has the VNI {self.wanted.vni} already"
                    ) from None
            raise
        return await self._found(name)

    async def _found(self, name: str) -> Link:
        link = await self.kernel.link(name)
        if link is None:
            raise BackendError(f"{name} was made and is gone again")
        return link

    async def _switch_on(self, link: Link) -> None:
        try:
            await self.kernel.set_up(link)
        except KernelError as error:
            if error.code != errno.EADDRINUSE:
                raise
        else:
            return
        port = link.vxlan.port if link.vxlan else self._port
        if not await free_port(self.kernel, port, self.territory, link.index):
            names = [one.name for one in await port_holders(self.kernel, port, link.index)]
            raise BackendError(
                f"switching {self.name} on: another program or device has the UDP port {port} "
                f"({', '.join(names) or 'see `ss -lun`'})"
            )
        await self.kernel.set_up(link)

    async def _refuse_anothers(self, found: Link) -> None:
        network = self.territory.network
        for one in await self.kernel.addresses(found.index):
            if one.address not in network and not self.territory.had(one.address):
                raise BackendError(
                    f"{self.name} has the address {one.address}, which is not in the Network "
                    f"{network}: if another flannel network of this host uses it, give each "
                    "a VNI of its own; if it is left from an earlier Network, "
                    f"`ip link delete {self.name}`"
                )

    def _unusable(self, found: Link) -> str:
        if found.vxlan is None:
            return f"link type: vxlan vs {found.kind or 'device'}"
        return difference(replace(self.wanted, port=self._port), found.vxlan)

    @property
    def _port(self) -> int:
        """The UDP port, once there is a vxlan device."""
        return self.wanted.port or vxlan_port()


def _new_mac() -> str:
    """A random unicast MAC of the locally administered kind. Had the kernel chosen it, udev might
    change it after it was told to the others."""
    octets = bytearray(secrets.token_bytes(MAC_BYTES))
    octets[0] = octets[0] & 0xFE | 0x02
    return ":".join(f"{octet:02x}" for octet in octets)
