"""The kernel's network state over netlink: links, addresses, routes, ARP and forwarding entries.

Laws: the only room that knows pyroute2; every failure is a `KernelError` that says what was tried
and the kernel's reason, with a hint when rights are missing; setting what is set already, and
removing what is gone already, is no failure.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pyroute2 import AsyncIPRoute  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from flannel.device import Vxlan
from flannel.tables import (
    AF_BRIDGE,
    AF_INET,
    FLAG_ONLINK,
    NUD_PERMANENT,
    PROTOCOL_BOOT,
    SCOPE_LINK,
    Address,
    Neighbour,
    Route,
    addresses,
    neighbours,
    routes,
)

VXLAN_PORT = 8472
"""Linux's default for vxlan, which is none of IANA's."""
VXLAN_PORT_PARAMETER = Path("/sys/module/vxlan/parameters/udp_port")
IFF_UP = 1
NTF_SELF = 0x02
HOST_BITS = 32
_MISSING = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV, errno.EADDRNOTAVAIL})


class KernelError(Exception):
    """The kernel said no."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what, code)
        self.what = what
        self.code = code

    def __str__(self) -> str:
        hint = ""
        if self.code in (errno.EPERM, errno.EACCES):
            hint = " (pyflanneld must run as root, or with CAP_NET_ADMIN)"
        elif self.code == errno.EOPNOTSUPP:
            hint = " (is the kernel module there?)"
        return f"{self.what}: {os.strerror(self.code).lower()}{hint}"


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface."""

    index: int
    name: str
    mtu: int
    mac: str
    kind: str
    """`vxlan`, `veth`, ...; empty for a real card."""
    vxlan: Vxlan | None = None
    is_up: bool = True
    """Whether it is switched on."""


def vxlan_port() -> int:
    """The UDP port of a vxlan device that is made without one: whoever loads the module may have
    set another than Linux's. To be asked when there is a device: with the first one the module is
    loaded, and nobody knows before what modprobe.d sets."""
    try:
        return int(VXLAN_PORT_PARAMETER.read_text()) or VXLAN_PORT
    except (OSError, ValueError):
        return VXLAN_PORT


class Kernel:
    """The network namespace this process is in."""

    def __init__(self) -> None:
        self._netlink = AsyncIPRoute()

    async def __aenter__(self) -> Self:
        await self._netlink.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._netlink.__aexit__(kind, error, traceback)

    # Links

    async def link(self, name: str) -> Link | None:
        """The interface with that name."""
        with _doing(f"looking for interface {name}", tolerated=_MISSING):
            for message in await self._netlink.link("get", ifname=name):
                return _link(message)
        return None

    async def links(self) -> list[Link]:
        """All interfaces."""
        with _doing("listing interfaces"):
            return [_link(message) async for message in await self._netlink.get_links()]

    async def add_vxlan(self, name: str, wanted: Vxlan, mac: str, mtu: int) -> None:
        """Make a vxlan device."""
        options: dict[str, Any] = {
            "vxlan_id": wanted.vni,
            "vxlan_link": wanted.parent,
            "vxlan_local": str(wanted.local),
            "vxlan_learning": wanted.learning,
        }
        if wanted.port:
            options["vxlan_port"] = wanted.port
        if wanted.gbp:
            options["vxlan_gbp"] = True
        with _doing(f"making vxlan device {name}"):
            await self._netlink.link(
                "add", ifname=name, kind="vxlan", address=mac, mtu=mtu, **options
            )

    async def remove_link(self, link: Link) -> None:
        """Delete an interface and all that hangs on it."""
        with _doing(f"deleting interface {link.name}", tolerated=_MISSING):
            await self._netlink.link("del", index=link.index)

    async def set_mtu(self, link: Link, mtu: int) -> None:
        """Set the largest packet, bytes."""
        with _doing(f"setting the MTU of {link.name} to {mtu}"):
            await self._netlink.link("set", index=link.index, mtu=mtu)

    async def set_up(self, link: Link) -> None:
        """Switch an interface on."""
        with _doing(f"switching {link.name} on"):
            await self._netlink.link("set", index=link.index, state="up")

    async def set_down(self, link: Link) -> None:
        """Switch an interface off."""
        with _doing(f"switching {link.name} off"):
            await self._netlink.link("set", index=link.index, state="down")

    async def set_mac(self, link: Link, mac: str) -> None:
        """Set the hardware address."""
        with _doing(f"setting the MAC of {link.name} to {mac}"):
            await self._netlink.link("set", index=link.index, address=mac)

    async def rename(self, link: Link, name: str) -> None:
        """Give an interface, which is off, another name."""
        with _doing(f"renaming {link.name} to {name}"):
            await self._netlink.link("set", index=link.index, ifname=name)

    async def check_rights(self, link: Link) -> None:
        """Change nothing, but as one who may; raises KernelError if we may not."""
        with _doing("asking for the right to set routes"):
            await self._netlink.link("set", index=link.index, mtu=link.mtu)

    # Addresses

    async def addresses(self, index: int | None = None) -> list[Address]:
        """The IPv4 addresses, of one interface or of all."""
        with _doing("listing addresses"):
            return [one for one in addresses() if index is None or one.index == index]

    async def add_address(self, link: Link, address: IPv4Address, length: int) -> None:
        """Give an interface an address."""
        with _doing(f"giving {link.name} the address {address}/{length}", {errno.EEXIST}):
            await self._netlink.addr(
                "add", index=link.index, address=str(address), prefixlen=length
            )

    async def remove_address(self, link: Link, address: IPv4Address, length: int) -> None:
        """Take an address away."""
        with _doing(f"taking {address}/{length} from {link.name}", _MISSING):
            await self._netlink.addr(
                "del", index=link.index, address=str(address), prefixlen=length
            )

    # Routes

    async def routes(self) -> list[Route]:
        """The unicast routes of the main table."""
        with _doing("listing routes"):
            return routes()

    async def wire_to(self, destination: IPv4Address) -> int | None:
        """The interface by which a packet to that address would go straight there, by no gateway;
        None if there is none."""
        unreachable = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL}
        with _doing(f"looking for the route to {destination}", unreachable):
            for message in await self._netlink.route("get", dst=str(destination)):
                return None if message.get("gateway") else message.get("oif")
        return None

    async def set_route(self, route: Route) -> None:
        """Add a route, or put it in the place of the one to that destination that is used."""
        try:
            await self._write_route("replace", route)
        except KernelError as error:
            if error.code != errno.EEXIST:
                raise
            # It is there, behind another one: the kernel moves none.
            await self.remove_route(route)
            await self._write_route("replace", route)

    async def add_route(self, route: Route) -> None:
        """Add a route to where none leads yet."""
        await self._write_route("add", route)

    async def _write_route(self, how: str, route: Route) -> None:
        wanted = _asked(route) | {"proto": PROTOCOL_BOOT}
        if route.is_onlink:
            wanted["flags"] = FLAG_ONLINK
        if route.gateway is None:
            wanted["scope"] = SCOPE_LINK
        by = f"via {route.gateway}" if route.gateway else f"by interface {route.index}"
        with _doing(f"setting the route to {route.destination} {by}"):
            await self._netlink.route(how, **wanted)

    async def remove_route(self, route: Route) -> None:
        """Delete a route."""
        with _doing(f"deleting the route to {route.destination}", _MISSING):
            await self._netlink.route("del", **_asked(route))

    # Neighbours: ARP entries lead from an address to a MAC, FDB entries from a MAC to a host

    async def arp(self, link: Link) -> list[Neighbour]:
        """The permanent ARP entries on a link."""
        with _doing(f"listing the ARP entries of {link.name}"):
            return neighbours(AF_INET, link.index, NUD_PERMANENT)

    async def set_arp(self, link: Link, entry: Neighbour) -> None:
        """Let an address be that MAC on the link, for ever."""
        with _doing(f"setting the ARP entry {entry.address} of {link.name}"):
            await self._netlink.neigh(
                "replace",
                ifindex=link.index,
                dst=str(entry.address),
                lladdr=entry.mac,
                state=NUD_PERMANENT,
            )

    async def remove_arp(self, link: Link, entry: Neighbour) -> None:
        """Delete an ARP entry."""
        with _doing(f"deleting the ARP entry {entry.address} of {link.name}", _MISSING):
            await self._netlink.neigh("del", ifindex=link.index, dst=str(entry.address))

    async def fdb(self, link: Link) -> list[Neighbour]:
        """The forwarding entries of a vxlan device."""
        with _doing(f"listing the forwarding entries of {link.name}"):
            return neighbours(AF_BRIDGE, link.index)

    async def set_fdb(self, link: Link, entry: Neighbour) -> None:
        """Let frames for a MAC go to that host, for ever."""
        with _doing(f"setting the forwarding entry {entry.mac} of {link.name}"):
            await self._netlink.fdb(
                "replace",
                ifindex=link.index,
                lladdr=entry.mac,
                dst=str(entry.address),
                state=NUD_PERMANENT,
                flags=NTF_SELF,
            )

    async def remove_fdb(self, link: Link, entry: Neighbour) -> None:
        """Delete a forwarding entry."""
        with _doing(f"deleting the forwarding entry {entry.mac} of {link.name}", _MISSING):
            await self._netlink.fdb(
                "del",
                ifindex=link.index,
                lladdr=entry.mac,
                dst=str(entry.address),
                flags=NTF_SELF,
            )


@contextlib.contextmanager
def _doing(what: str, tolerated: frozenset[int] | set[int] = frozenset()) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code not in tolerated:
            raise KernelError(what, error.code) from None
    except OSError as error:
        raise KernelError(what, error.errno or errno.EIO) from None


def _asked(route: Route) -> dict[str, Any]:
    """A route in pyroute2's words."""
    wanted: dict[str, Any] = {"dst": str(route.destination)}
    if route.gateway:
        wanted["gateway"] = str(route.gateway)
    if route.index is not None:
        wanted["oif"] = route.index
    return wanted


def _link(message: Any) -> Link:
    kind = message.get(("linkinfo", "kind")) or ""
    vxlan = None
    if kind == "vxlan":
        data = message.get(("linkinfo", "data"))
        vxlan = Vxlan(
            vni=data.get("vxlan_id"),
            parent=data.get("vxlan_link") or 0,
            local=IPv4Address(data.get("vxlan_local") or 0),
            port=data.get("vxlan_port") or 0,
            gbp=_has(data, "IFLA_VXLAN_GBP"),
            learning=bool(data.get("vxlan_learning")),
            group=str(data.get("vxlan_group") or ""),
            l2miss=bool(data.get("vxlan_l2miss")),
        )
    return Link(
        message["index"],
        message.get("ifname"),
        message.get("mtu"),
        message.get("address") or "",
        kind,
        vxlan,
        bool(message["flags"] & IFF_UP),
    )


def _has(data: Any, name: str) -> bool:
    """Whether a flag attribute, which has no value, is there."""
    return any(attribute[0] == name for attribute in data["attrs"])
