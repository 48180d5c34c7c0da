"""Which backends there are, and the options of each.

Laws: options are checked before anything is made; the complaints are flanneld's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network

from flannel import config
from flannel.backends import udp, vxlan
from flannel.backends.alloc import Alloc
from flannel.backends.backend import Backend
from flannel.backends.host_gw import HostGW
from flannel.config import ConfigError, NetworkConfig
from flannel.interfaces import External
from flannel.kernel import Kernel

VNI_MAX = 9_999_999
"""The wire could do with more, but flannel.VNI must be a name the kernel takes: 15 characters."""
PORT_MAX = 65535
DEFAULT_VNI = 1


class UnknownBackend(ConfigError):
    """A type nobody serves."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backend works."""

    kernel: Kernel
    external: External
    previous: IPv4Network | None
    """The subnet an earlier run has had here."""


Make = Callable[[Place], Backend]


def settings_for(network: NetworkConfig) -> Make:
    """What makes the backend a config asks for; raises UnknownBackend, ConfigError."""
    reader = _READERS.get(network.backend_type)
    if reader is None:
        raise UnknownBackend(f"unknown backend type: {network.backend_type}")
    try:
        return reader(network)
    except ConfigError as error:
        kind = network.backend_type.upper()
        raise ConfigError(f"error decoding {kind} backend config: {error}") from None


def _vxlan(network: NetworkConfig) -> Make:
    options = network.backend_options
    settings = vxlan.Settings(
        vni=_within("VNI", config.option(options, "VNI", int, DEFAULT_VNI), 0, VNI_MAX),
        port=_within("Port", config.option(options, "Port", int, 0), 0, PORT_MAX),
        gbp=bool(config.option(options, "GBP", bool, False)),
        direct_routing=bool(config.option(options, "DirectRouting", bool, False)),
        learning=bool(config.option(options, "Learning", bool, False)),
    )
    return lambda place: vxlan.VXLAN(
        place.kernel, place.external, network.network, settings, place.previous
    )


def _host_gw(network: NetworkConfig) -> Make:
    return lambda place: HostGW(place.kernel, place.external, network.network)


def _udp(network: NetworkConfig) -> Make:
    given = config.option(network.backend_options, "Port", int, udp.DEFAULT_PORT)
    port = _within("Port", given, 1, PORT_MAX)
    return lambda place: udp.UDP(place.kernel, place.external, network.network, port)


def _alloc(network: NetworkConfig) -> Make:
    return lambda place: Alloc(place.external.link.mtu)


def _within(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ConfigError(f"{name} must be {low}..{high}, not {value}")
    return value


_READERS: dict[str, Callable[[NetworkConfig], Make]] = {
    "vxlan": _vxlan,
    "host-gw": _host_gw,
    "udp": _udp,
    "alloc": _alloc,
}
