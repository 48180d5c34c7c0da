"""A vxlan device as it should be, and in what an existing one differs.

Laws: pure. A device that agrees is kept, and with it its MAC, which other hosts have learnt. All is
compared that a configuration can ask for: what was taken out of it must not stay, least of all the
port, or the host is cut off from those that never had it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

OVERHEAD_BYTES = 50
"""Outer Ethernet, IP, UDP and vxlan headers: what a packet must leave free."""


@dataclass(frozen=True, slots=True)
class Vxlan:
    """The settings of a vxlan device."""

    vni: int
    parent: int
    """Index of the interface it sends by; 0 if none."""
    local: IPv4Address
    port: int
    """UDP port; 0 in what is wanted leaves it to the kernel."""
    gbp: bool = False
    learning: bool = False
    group: str = ""
    l2miss: bool = False


def difference(wanted: Vxlan, found: Vxlan) -> str:
    """In what an existing device cannot be used; empty if it can."""
    if wanted.vni != found.vni:
        return f"vni: {wanted.vni} vs {found.vni}"
    if found.parent and wanted.parent != found.parent:
        return f"vtep (external) interface: {wanted.parent} vs {found.parent}"
    if int(found.local) and wanted.local != found.local:
        return f"vtep (external) IP: {wanted.local} vs {found.local}"
    if wanted.group != found.group:
        return f"group address: {wanted.group or 'none'} vs {found.group or 'none'}"
    if wanted.l2miss != found.l2miss:
        return f"l2miss: {wanted.l2miss} vs {found.l2miss}"
    if wanted.port != found.port:
        return f"port: {wanted.port} vs {found.port}"
    if wanted.gbp != found.gbp:
        return f"gbp: {wanted.gbp} vs {found.gbp}"
    if wanted.learning != found.learning:
        return f"learning: {wanted.learning} vs {found.learning}"
    return ""
