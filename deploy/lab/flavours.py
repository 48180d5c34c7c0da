"""The two kinds of host in the talk: Atomic and CoreOS, and what flannel is told on each.

Laws: Atomic hosts have files in /etc/sysconfig and a backend in the network's configuration; CoreOS
hosts have FLANNELD_* variables and no backend, which means udp.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

DEPLOY: Final = Path(__file__).parents[1]


class Flavour(NamedTuple):
    """How flannel is set up, and what is to be seen then."""

    backend: str
    prefix: str
    config: str
    unit: Path
    # Where the settings go on a host, and where they come from.
    settings: str
    sample: Path
    # What Docker is given, and by how much its MTU is below the network's 1500.
    docker_file: str
    overhead: int
    network: str


def _atomic(backend: str, overhead: int) -> Flavour:
    return Flavour(
        backend,
        "/atomic.io/network",
        '{"Network": "172.24.0.0/16", "SubnetLen": 24, "Backend": {"Type": "' + backend + '"}}',
        DEPLOY / "systemd" / "flanneld.service",
        "/etc/sysconfig/flanneld",
        DEPLOY / "etc" / "sysconfig" / "flanneld",
        "/run/flannel/docker",
        overhead,
        "172.24.0.0/16",
    )


FLAVOURS: Final = {
    "vxlan": _atomic("vxlan", 50),
    "host-gw": _atomic("host-gw", 0),
    "udp": Flavour(
        "udp",
        "/coreos.com/network",
        '{ "Network": "10.1.0.0/16" }',
        DEPLOY / "coreos" / "flanneld.service",
        "/run/flannel/options.env",
        DEPLOY / "coreos" / "options.env",
        "/run/flannel/flannel_docker_opts.env",
        28,
        "10.1.0.0/16",
    ),
}
