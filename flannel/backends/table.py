"""Which backends there are, and the options of each.

Laws: options are checked before anything is made; the complaints are flanneld's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flannel import config
from flannel.backends import udp, vxlan
from flannel.backends.alloc import Alloc
from flannel.backends.backend import Backend
from flannel.backends.host_gw import HostGW
from flannel.backends.leftovers import Territory
from flannel.config import ConfigError, NetworkConfig
from flannel.interfaces import External
from flannel.kernel import Kernel
from golang import json_text

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
    territory: Territory


Make = Callable[[Place], Backend]
"""May raise BackendError."""
Values = Mapping[str, json_text.Value]


def settings_for(network: NetworkConfig) -> Make:
    """What makes the backend a config asks for; raises UnknownBackend, ConfigError."""
    reader = _READERS.get(network.backend_type)
    if reader is None:
        kind = network.backend_type
        raise UnknownBackend(
            f"unknown backend type: {kind} (Backend.Type must be one of {', '.join(_READERS)}, "
            f'not "{kind}")'
        )
    try:
        return reader(network)
    except ConfigError as error:
        kind = network.backend_type.upper()
        raise ConfigError(f"error decoding {kind} backend config: {error}") from None


def _vxlan(network: NetworkConfig) -> Make:
    options = network.backend_options
    settings = vxlan.Settings(
        vni=_number(options, "VNI", DEFAULT_VNI, 0, VNI_MAX),
        port=_number(options, "Port", 0, 0, PORT_MAX),
        gbp=_switch(options, "GBP"),
        direct_routing=_switch(options, "DirectRouting"),
        learning=_switch(options, "Learning"),
    )
    return lambda place: vxlan.VXLAN(place.kernel, place.external, place.territory, settings)


def _host_gw(_: NetworkConfig) -> Make:
    return lambda place: HostGW(place.kernel, place.external, place.territory)


def _udp(network: NetworkConfig) -> Make:
    port = _number(network.backend_options, "Port", udp.DEFAULT_PORT, 1, PORT_MAX)
    return lambda place: udp.UDP(place.kernel, place.external, place.territory, port)


def _alloc(network: NetworkConfig) -> Make:
    return lambda place: Alloc(place.external.link.mtu)


def _number(options: Values, name: str, default: int, low: int, high: int) -> int:
    allowed = f"{name} must be {low}..{high}"
    value = config.option(options, name, int, default, allowed)
    if not low <= value <= high:
        raise ConfigError(f"{allowed}, not {value}")
    return value


def _switch(options: Values, name: str) -> bool:
    return bool(config.option(options, name, bool, False, f"{name} must be true or false"))


_READERS: dict[str, Callable[[NetworkConfig], Make]] = {
    "vxlan": _vxlan,
    "host-gw": _host_gw,
    "udp": _udp,
    "alloc": _alloc,
}
