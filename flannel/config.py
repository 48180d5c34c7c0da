"""The network config: the JSON under `PREFIX/config`, checked, with what it leaves out filled in.

The rules and the words of the complaints are flanneld's (v0.10), so that what its users know and
search for stays true. It is stricter in three places where flanneld takes nonsense and fails later:
a Network that is missing or 0.0.0.0/0 (it would lease 0.0.N.0/24), SubnetMin above SubnetMax, an
IPv6 Network.

Laws: pure; a `NetworkConfig` satisfies Network >= subnet, Min <= Max, both aligned and inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Network

from flannel import ip, placed_json
from golang import json_text

SUBNET_LENGTH_MAX = 30
NETWORK_LENGTH_MAX = 28
"""The longest Network that can be cut without being told how."""
USUAL_SUBNET_LENGTH = 24
SPARE_BITS = 2
"""A network holds at least four subnets: the first is never used."""
DEFAULT_BACKEND = "udp"
UINT_MAX = 2**64 - 1
UNFIT = (IPv4Network("0.0.0.0/8"), IPv4Network("127.0.0.0/8"), IPv4Network("224.0.0.0/4"))
"""This network, loopback, multicast: none is routed to a container."""
_NONE = IPv4Address(0)


class ConfigError(ValueError):
    """A config that cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """How the network is divided; `subnet_min` and `subnet_max` are first addresses of subnets."""

    network: IPv4Network
    subnet_length: int
    subnet_min: IPv4Address
    subnet_max: IPv4Address
    backend_type: str = DEFAULT_BACKEND
    backend_options: Mapping[str, json_text.Value] = field(default_factory=dict)
    """By lower-case name."""

    def allows(self, subnet: IPv4Network) -> bool:
        """Whether a lease may have that subnet."""
        return (
            subnet.prefixlen == self.subnet_length
            and self.subnet_min <= subnet.network_address <= self.subnet_max
        )

    def spans(self, address: IPv4Address) -> bool:
        """Whether a subnet that may be leased can have that address in it."""
        last = self.subnet_max + (ip.subnet_size(self.subnet_length) - 1)
        return self.subnet_min <= address <= last


def parse(text: str) -> NetworkConfig:
    """The config a text describes; raises ConfigError."""
    try:
        document = placed_json.parse(text)
    except json_text.BadJson as error:
        raise ConfigError(str(error)) from None
    if document is None:
        document = json_text.Object()
    if not isinstance(document, json_text.Object):
        raise ConfigError(
            f"json: cannot unmarshal {json_text.kind(document)} into Go value of type subnet.Config"
            ' (it must be an object such as {"Network":"10.1.0.0/16"})'
        )
    network = _network(document)
    given_length = _subnet_length(document)
    given_min, given_max = _address(document, "SubnetMin"), _address(document, "SubnetMax")
    length = _checked_length(network, given_length)
    first, last = _range(network, length, given_min, given_max)
    kind, options = _backend(document)
    return NetworkConfig(network, length, first, last, kind, options)


def option(
    options: Mapping[str, json_text.Value], name: str, expected: type, default: int, allowed: str
) -> int:
    """A backend's number (or bool, as 0 or 1); raises ConfigError in Go's words, and ours: what is
    allowed."""
    value = options.get(name.lower())
    if value is None:
        return default
    if type(value) is not expected or not isinstance(value, int):
        shown = (
            f"number {placed_json.text_of(value)}"
            if type(value) is float
            else json_text.kind(value)
        )
        raise ConfigError(
            f"json: cannot unmarshal {shown} into Go struct field .{name} of type "
            f"{expected.__name__} ({allowed})"
        )
    return value


def _network(document: json_text.Object) -> IPv4Network:
    value, given = document.find("Network")
    if not given:
        raise ConfigError(
            'Network is missing: give the IPv4 network to divide, such as {"Network":"10.1.0.0/16"}'
        )
    text = value if isinstance(value, str) else placed_json.text_of(value)
    try:
        if "/" not in text:
            raise ValueError(text)
        prefix = text.partition("/")[2]
        if not (prefix.isascii() and prefix.isdigit()):
            raise ValueError(text)
        network = IPv4Network(text, strict=False)
    except ValueError:
        pass
    else:
        if network.prefixlen == 0:
            raise ConfigError(f"Network {text} is every address there is: give a part of it")
        if any(network.overlaps(unfit) for unfit in UNFIT):
            raise ConfigError(f"Network {text} has no addresses that containers can have")
        return network
    try:
        IPv6Network(text, strict=False)
    except ValueError:
        raise ConfigError(
            f"invalid CIDR address: {text} (Network must be such as 10.1.0.0/16)"
        ) from None
    raise ConfigError(f"Network must be an IPv4 network such as 10.1.0.0/16, not {text}")


def _subnet_length(document: json_text.Object) -> int:
    value, _ = document.find("SubnetLen")
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= UINT_MAX:
        return value
    shown = json_text.kind(value)
    if shown == "number":
        shown = f"number {placed_json.text_of(value)}"
    raise ConfigError(
        f"json: cannot unmarshal {shown} into Go struct field Config.SubnetLen of type uint "
        f"(SubnetLen must be a number from the Network's length + {SPARE_BITS} to "
        f"{SUBNET_LENGTH_MAX}, without quotes)"
    )


def _address(document: json_text.Object, name: str) -> IPv4Address:
    """The address with that name; 0.0.0.0 if there is none."""
    value, given = document.find(name)
    if not given:
        return _NONE
    text = value if isinstance(value, str) else placed_json.text_of(value)
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise ConfigError(
            f"Invalid IP address format: {name} must be an IPv4 address, not {text!r}"
        ) from None


def _checked_length(network: IPv4Network, length: int) -> int:
    if length == 0:
        if network.prefixlen > NETWORK_LENGTH_MAX:
            raise ConfigError(
                f"Network is too small. Minimum useful network prefix is /{NETWORK_LENGTH_MAX}: "
                f"{network}"
            )
        return max(USUAL_SUBNET_LENGTH, network.prefixlen + SPARE_BITS)
    if length > SUBNET_LENGTH_MAX:
        raise ConfigError(f"SubnetLen must be less than /{SUBNET_LENGTH_MAX + 1}, not {length}")
    if length < network.prefixlen + SPARE_BITS:
        raise ConfigError(
            "Network must be able to accommodate at least four subnets: SubnetLen of "
            f"{network} must be at least {network.prefixlen + SPARE_BITS}, not {length}"
        )
    return length


def _range(
    network: IPv4Network, length: int, given_min: IPv4Address, given_max: IPv4Address
) -> tuple[IPv4Address, IPv4Address]:
    """First addresses of the first and the last subnet to lease."""
    size = ip.subnet_size(length)
    first = network.network_address + size if given_min == _NONE else given_min
    last = network.broadcast_address - (size - 1) if given_max == _NONE else given_max
    for name, address in (("SubnetMin", first), ("SubnetMax", last)):
        if address not in network:
            raise ConfigError(
                f"{name} is not in the range of the Network: {address} is not in {network}"
            )
    for name, address in (("SubnetMin", first), ("SubnetMax", last)):
        if not ip.is_aligned(address, length):
            around = ip.aligned_around(address, length)
            nearest = " and ".join(str(one) for one in around if one in network)
            raise ConfigError(
                f"{name} is not on a SubnetLen boundary: {address} (the nearest with /{length}: "
                f"{nearest})"
            )
    if first > last:
        raise ConfigError(f"SubnetMin {first} is above SubnetMax {last}: there is nothing to lease")
    return first, last


def _backend(document: json_text.Object) -> tuple[str, Mapping[str, json_text.Value]]:
    """The backend's type in lower case and its options; absent means udp, empty does not."""
    value, given = document.find("Backend")
    if not given:
        return DEFAULT_BACKEND, {}
    if value is None:
        value = json_text.Object()
    complaint = "error decoding Backend property of config: json: cannot unmarshal"
    if not isinstance(value, json_text.Object):
        raise ConfigError(
            f"{complaint} {json_text.kind(value)} into Go value of type struct {{ Type string }} "
            '(Backend must be an object such as {"Type":"vxlan"})'
        )
    kind, _ = value.find("Type")
    if kind is None:
        kind = ""
    if not isinstance(kind, str):
        raise ConfigError(
            f"{complaint} {json_text.kind(kind)} into Go struct field .Type of type string "
            '(Backend.Type must be a name such as "vxlan")'
        )
    options = {name.lower(): member for name, member in value.members}
    return kind.lower(), options
