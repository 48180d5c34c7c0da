"""subnet.env: what this host's containers need to know, and next time's hint which subnet was ours.

    FLANNEL_NETWORK=172.24.0.0/16
    FLANNEL_SUBNET=172.24.42.1/24
    FLANNEL_MTU=1450
    FLANNEL_IPMASQ=true

Laws: FLANNEL_SUBNET is the bridge's address with the subnet's length, and is there only while the
subnet is ours as far as is known: the next start takes what it names, whoever has it. A file that
cannot be read is the same as none, and is said.
"""

import logging
from ipaddress import IPv4Network
from pathlib import Path

from flannel import env_file, ip

_log = logging.getLogger(__name__)


def text(network: IPv4Network, subnet: IPv4Network | None, mtu: int, ip_masq: bool) -> str:
    """The four lines; three without a subnet."""
    own = {"FLANNEL_SUBNET": f"{ip.host_address(subnet)}/{subnet.prefixlen}"} if subnet else {}
    return env_file.lines(
        {
            "FLANNEL_NETWORK": str(network),
            **own,
            "FLANNEL_MTU": str(mtu),
            "FLANNEL_IPMASQ": "true" if ip_masq else "false",
        }
    )


def previous_subnet(path: Path) -> IPv4Network | None:
    """The subnet an earlier run wrote down; None if there is none to be had."""
    try:
        if path.is_char_device():
            return None
        value = env_file.read(path).get("FLANNEL_SUBNET", "")
    except (OSError, env_file.BadLine) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
        _log.error("Couldn't fetch previous FLANNEL_SUBNET from subnet file at %s: %s",
                   path, reason)  # fmt: skip
        return None
    if not value:
        return None
    try:
        if "/" not in value:
            raise ValueError(value)
        return IPv4Network(value, strict=False)
    except ValueError:
        _log.error(
            "Couldn't parse previous FLANNEL_SUBNET from subnet file at %s: %r is no address with "
            "a length, such as 172.24.42.1/24", path, value,
        )  # fmt: skip
        return None
