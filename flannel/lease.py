"""A lease: which host has which subnet, how to reach that host, and how long it holds.

In the store a lease is one key below `PREFIX/subnets/`: the name is the subnet, the value its
attributes, and a key without a TTL is a reservation.

Laws: pure; what we write is byte for byte what flanneld writes, what we read may be any version's;
a name stands for a subnet only if that subnet is written exactly so, thus no two names for one.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from flannel import ip, placed_json
from golang import json_text

TTL_S = 24 * 60 * 60
"""How long a lease holds unless it is renewed, seconds."""
LENGTH_MAX = 31
_NAME = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)-([0-9]{1,2})")


class LeaseError(ValueError):
    """A value that is no lease's; the message says why."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """The value of a lease's key."""

    public_ip: IPv4Address
    backend_type: str = ""
    """Empty for udp and alloc."""
    backend_data: str = ""
    """Compact JSON, or empty."""

    def to_json(self) -> str:
        """As flanneld v0.5 to v0.10 write it."""
        text = f'{{"PublicIP":"{self.public_ip}"'
        if self.backend_type:
            text += f',"BackendType":"{self.backend_type}"'
        if self.backend_data:
            text += f',"BackendData":{self.backend_data}'
        return text + "}"


@dataclass(frozen=True, slots=True)
class Lease:
    """A subnet given to a host."""

    subnet: IPv4Network
    attributes: Attributes
    ttl_s: int
    """Seconds left when it was read; 0 is a reservation, which never ends."""
    index: int
    """modifiedIndex of its key."""

    @property
    def is_reservation(self) -> bool:
        """Whether it holds without being renewed."""
        return self.ttl_s == 0


def name_of(subnet: IPv4Network) -> str:
    """The last segment of a lease's key: `172.24.32.0-24`."""
    return f"{subnet.network_address}-{subnet.prefixlen}"


def subnet_of(name: str) -> IPv4Network | None:
    """The subnet a key's last segment stands for; None if it is somebody else's key."""
    found = _NAME.fullmatch(name)
    if not found or int(found[2]) > LENGTH_MAX:
        return None
    try:
        subnet = IPv4Network(f"{found[1]}/{found[2]}")
    except ValueError:
        return None
    return subnet if name_of(subnet) == name else None


def parse_attributes(text: str) -> Attributes:
    """The attributes in a value of any flanneld's; raises LeaseError."""
    try:
        value = placed_json.parse(text)
    except json_text.BadJson as error:
        raise LeaseError(str(error)) from None
    if not isinstance(value, json_text.Object):
        raise LeaseError(f"a lease is a JSON object, not {json_text.kind(value)}")
    public_ip, is_there = value.find("PublicIP")
    if not is_there:
        raise LeaseError("PublicIP is missing")
    if not isinstance(public_ip, str):
        raise LeaseError(f"PublicIP must be a string, not {json_text.kind(public_ip)}")
    backend_type, _ = value.find("BackendType")
    if backend_type is not None and not isinstance(backend_type, str):
        raise LeaseError(f"BackendType must be a string, not {json_text.kind(backend_type)}")
    data, _ = value.find("BackendData")
    try:
        address = IPv4Address(public_ip)
    except AddressValueError:
        raise LeaseError(f"PublicIP must be an IPv4 address, not {public_ip!r}") from None
    if not ip.is_host(address):
        raise LeaseError(f"PublicIP must be the address of a host, not {address}")
    return Attributes(
        address,
        backend_type or "",
        "" if data is None else placed_json.text_of(data),
    )
