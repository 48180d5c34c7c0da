"""Which interface the other hosts reach us by.

| asked for            | chosen                                                                   |
|----------------------|--------------------------------------------------------------------------|
| `-iface ADDRESS`     | the interface that has it, with that address                             |
| `-iface NAME`        | that interface, with its first global IPv4 address, else a link-local one|
| `-iface-regex REGEX` | the first interface with an address, else a name, in which it is found   |
| nothing, or an empty | the interface of the IPv4 default route                                  |
| value of either      |                                                                          |

The first `-iface` that resolves wins, then the first `-iface-regex`.

Laws: choosing is pure; what the kernel has is handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network

from flannel import ip
from flannel.kernel import Kernel, Link
from flannel.tables import Address, Route
from golang import regex

EVERYWHERE = IPv4Network("0.0.0.0/0")
BRIDGE = "bridge"
OUR_DEVICES = "flannel"
"""How their names begin."""


class InterfaceError(Exception):
    """There is no interface to use; the message says why."""


@dataclass(frozen=True, slots=True)
class External:
    """The interface and addresses this host is reached by."""

    link: Link
    address: IPv4Address
    public_ip: IPv4Address
    """What other hosts send to; the address, unless NAT is in between."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the kernel has to choose from."""

    links: Sequence[Link]
    addresses: Sequence[Address]
    routes: Sequence[Route]

    def address_of(self, link: Link) -> IPv4Address | None:
        """Its first global address, else a link-local one."""
        own = [one for one in self.addresses if one.index == link.index]
        usable = [one for one in own if one.is_global and not one.is_link_local]
        local = [one for one in own if one.is_link_local]
        return next((one.address for one in [*usable, *local]), None)


async def look(kernel: Kernel) -> Host:
    """What there is."""
    return Host(await kernel.links(), await kernel.addresses(), await kernel.routes())


async def find_again(kernel: Kernel, external: External) -> Link:
    """The interface that has the address now: the same one, or one made, or given it, since. Raises
    InterfaceError if there is none, or it is switched off."""
    name, address = external.link.name, external.address
    owners = {one.index for one in await kernel.addresses() if one.address == address}
    link = await kernel.link(name)
    if link is None or link.index not in owners:
        found = [one for one in await kernel.links() if one.index in owners] if owners else []
        if not found:
            how = "has not the address" if link else "is not there, and no other one has"
            raise InterfaceError(f"interface {name} {how} {address}")
        link = found[0]
    if not link.is_up:
        raise InterfaceError(f"interface {link.name} is switched off")
    return link


async def all_addresses(kernel: Kernel) -> set[IPv4Address]:
    """Those of this host, of whatever interface."""
    return {one.address for one in await kernel.addresses()}


async def own_addresses(kernel: Kernel, external: External) -> list[IPv4Interface]:
    """Addresses of this host, with the lengths of their wires, that a new lease must not cover.
    Those of flannel's devices and of bridges are no reason: they are, or were, of a lease."""
    links = [
        link.index
        for link in await kernel.links()
        if link.index == external.link.index
        or not (link.kind == BRIDGE or link.name.startswith(OUR_DEVICES))
    ]
    return [
        IPv4Interface((one.address, one.length))
        for one in await kernel.addresses()
        if one.index in links
    ]


def choose(
    host: Host, names: Sequence[str], patterns: Sequence[str], public_ip: str = ""
) -> External:
    """The table above; raises InterfaceError."""
    reasons: list[str] = []
    if not names and not patterns:
        names = ("",)
        complaint = "Failed to find any valid interface to use: failed to get default interface: "
    else:
        complaint = (
            "Failed to find interface to use that matches the interfaces and/or regexes provided: "
        )
    tries = [*((_by_name, name) for name in names), *((_by_pattern, one) for one in patterns)]
    for by, value in tries:
        found = by(host, value, reasons) if value else _by_default_route(host, reasons)
        if found:
            return _external(*found, public_ip)
    raise InterfaceError(complaint + "; ".join(reasons))


def _by_name(host: Host, name: str, reasons: list[str]) -> tuple[Link, IPv4Address] | None:
    try:
        address = IPv4Address(name)
    except AddressValueError:
        link = next((link for link in host.links if link.name == name), None)
        if link is None:
            reasons.append(f"no interface is named {name}")
            return None
        own = host.address_of(link)
        if own is None:
            reasons.append(_no_address(host, link))
            return None
        return link, own
    for one in host.addresses:
        if one.address == address:
            if not ip.is_host(address):
                reasons.append(f"the address {address} is one that no other host can reach")
                return None
            return _link_of(host, one.index), address
    reasons.append(f"no interface has the address {name}")
    return None


def _by_pattern(host: Host, pattern: str, reasons: list[str]) -> tuple[Link, IPv4Address] | None:
    try:
        expression = regex.compile(pattern)
    except regex.PatternError as error:
        raise InterfaceError(
            f"-iface-regex '{pattern}' cannot be used as a regular expression: {error}"
        ) from None
    usable = [(link, host.address_of(link)) for link in host.links]
    for link, address in usable:
        if address and expression.search(str(address)):
            return link, address
    for link, address in usable:
        if address and expression.search(link.name):
            return link, address
    reasons.append(f"no interface matches '{pattern}'")
    return None


def _by_default_route(host: Host, reasons: list[str]) -> tuple[Link, IPv4Address] | None:
    for route in host.routes:
        if route.destination == EVERYWHERE and route.index is not None:
            link = _link_of(host, route.index)
            address = host.address_of(link)
            if address is None:
                reasons.append(f"{_no_address(host, link)} (the default route's)")
                return None
            return link, address
    reasons.append("unable to find default route (name one with -iface)")
    return None


def _no_address(host: Host, link: Link) -> str:
    own = [str(one.address) for one in host.addresses if one.index == link.index]
    if own:
        return f"interface {link.name} has only {', '.join(own)}, which no other host can reach"
    return f"interface {link.name} has no IPv4 address"


def _link_of(host: Host, index: int) -> Link:
    return next(link for link in host.links if link.index == index)


def _external(link: Link, address: IPv4Address, public_ip: str) -> External:
    if link.mtu == 0:
        raise InterfaceError(f"failed to determine MTU for {link.name} interface")
    try:
        public = IPv4Address(public_ip) if public_ip else address
    except AddressValueError:
        raise InterfaceError(
            f"invalid public IP address: {public_ip} (-public-ip must be an IPv4 address such as "
            "172.17.8.101)"
        ) from None
    if not ip.is_host(public):
        raise InterfaceError(
            f"invalid public IP address: {public} is no address that other hosts can reach one by"
        )
    return External(link, address, public)
