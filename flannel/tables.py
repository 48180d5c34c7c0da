"""Addresses, routes and neighbours as values, and the kernel's tables of them, read whole.

Laws: reads, never writes; an entry that cannot be one of flannel's (of another table, a route that
is not unicast or for one TOS, a neighbour without an IPv4 address or a MAC) is left out.
"""

import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from flannel.dump import dump

AF_INET, AF_BRIDGE = 2, 7
MAIN_TABLE = 254
PROTOCOL_BOOT = 3
"""What routes made by flanneld (and by `ip route add`) carry."""
TYPE_UNICAST = 1
FLAG_ONLINK = 4
NUD_PERMANENT = 0x80
SCOPE_GLOBAL, SCOPE_LINK = 0, 253
RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH = 22, 26, 30
_IFADDRMSG = struct.Struct("=4BI")
"""Family, prefix length, flags, scope, interface."""
IFA_ADDRESS, IFA_LOCAL = 1, 2
_RTMSG = struct.Struct("=8BI")
"""Family, lengths of destination and source, TOS, table, protocol, scope, type, flags."""
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_MULTIPATH, RTA_TABLE = 1, 4, 5, 9, 15
_OURS = frozenset({RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_TABLE})
"""All that a route has if nothing was asked for but where it leads, and how."""
NEXT_HOP_INDEX_AT = 4
_NDMSG = struct.Struct("=BxxxiHBB")
"""Family, interface, state, flags, type."""
_IFINFOMSG = struct.Struct("=BxHiII")
"""Family, type, interface, flags, mask."""
NDA_DST, NDA_LLADDR, NDA_PORT, NDA_VNI, NDA_IFINDEX = 1, 2, 6, 7, 8
_OWN_WAY = frozenset({NDA_PORT, NDA_VNI, NDA_IFINDEX})
"""What a forwarding entry has only where it differs from its device."""
_NDA_IFINDEX = struct.Struct("=HHi")
IPV4_BYTES = 4

Way = tuple[IPv4Network, IPv4Address | None, int | None]
"""Destination, gateway and interface."""


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address of an interface."""

    index: int
    address: IPv4Address
    length: int
    is_global: bool
    is_link_local: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table."""

    destination: IPv4Network
    gateway: IPv4Address | None
    index: int | None
    """The interface; None leaves it to the kernel."""
    is_onlink: bool = False
    is_ours: bool = True
    """Whether flannel may have made it: no daemon's, and with no metric, source or other option."""

    @property
    def way(self) -> Way:
        """Where it leads, and how."""
        return self.destination, self.gateway, self.index


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent entry that leads to a MAC (ARP) or from one (FDB)."""

    address: IPv4Address
    mac: str
    is_plain: bool = True
    """Whether it goes by the port, the VNI and the interface of its device."""


def addresses() -> list[Address]:
    """The IPv4 addresses of all interfaces; raises OSError."""
    found = []
    request = _IFADDRMSG.pack(AF_INET, 0, 0, 0, 0)
    for header, attributes in dump(RTM_GETADDR, request, _IFADDRMSG.size):
        _, length, _, scope, index = _IFADDRMSG.unpack(header)
        # Of a point-to-point link the other one is the other side's.
        own = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
        if own:
            address = IPv4Address(own)
            is_local = scope == SCOPE_LINK or address.is_link_local
            found.append(Address(index, address, length, scope == SCOPE_GLOBAL, is_local))
    return found


def routes() -> list[Route]:
    """The unicast routes of the main table; of those to one destination the one that is used comes
    first. Raises OSError."""
    listed = dump(RTM_GETROUTE, _RTMSG.pack(AF_INET, *[0] * 8), _RTMSG.size)
    return [route for message in listed if (route := _route(*message))]


def used(listed: Iterable[Route]) -> set[Way]:
    """The ways that packets take: a route behind another one to the same destination leads none."""
    first: dict[IPv4Network, Route] = {}
    for route in listed:
        first.setdefault(route.destination, route)
    return {route.way for route in first.values()}


def neighbours(family: int, index: int, state_mask: int = 0) -> list[Neighbour]:
    """The entries of a link: ARP's for AF_INET, of a vxlan device's FDB for AF_BRIDGE; only those
    in one of these states, if any are given. Raises OSError."""
    if family == AF_BRIDGE:  # is asked for as links are
        request = _IFINFOMSG.pack(family, 0, index, 0, 0)
    else:
        request = _NDMSG.pack(family, 0, 0, 0, 0) + _NDA_IFINDEX.pack(8, NDA_IFINDEX, index)
    found = []
    for header, attributes in dump(RTM_GETNEIGH, request, _NDMSG.size):
        _, of_link, state, _, _ = _NDMSG.unpack(header)
        address, mac = attributes.get(NDA_DST, b""), attributes.get(NDA_LLADDR, b"")
        is_wanted = of_link == index and (state & state_mask or not state_mask)
        if is_wanted and len(address) == IPV4_BYTES and mac:
            is_plain = _OWN_WAY.isdisjoint(attributes)
            found.append(Neighbour(IPv4Address(address), mac.hex(":"), is_plain))
    return found


def _route(header: bytes, attributes: dict[int, bytes]) -> Route | None:
    """The route in a message; None if it is none of the main table's, not unicast or for a TOS."""
    _, length, _, tos, table, protocol, _, kind, flags = _RTMSG.unpack(header)
    if table != MAIN_TABLE or kind != TYPE_UNICAST or tos:
        return None
    gateway = attributes.get(RTA_GATEWAY)
    destination = int.from_bytes(attributes.get(RTA_DST, b""), "big")
    # The interface, or that of the first of several ways.
    way = attributes.get(RTA_OIF) or attributes.get(RTA_MULTIPATH, b"")[NEXT_HOP_INDEX_AT:][:4]
    return Route(
        IPv4Network((destination, length), strict=False),
        IPv4Address(gateway) if gateway else None,
        int.from_bytes(way, sys.byteorder) or None,
        bool(flags & FLAG_ONLINK),
        protocol == PROTOCOL_BOOT and _OURS.issuperset(attributes),
    )
