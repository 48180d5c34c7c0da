"""The names and addresses of machines: this one's default address, and other hosts' by name.

Laws: no packet is sent to find the default address; a look-up that fails is repeated until a
deadline, as etcd does, since at boot the name server may come up after this process. Blocks:
used only before anything is served.
"""

import socket
import time

RESOLVE_TIMEOUT_S = 30.0
RESOLVE_RETRY_S = 1.0
_ANYWHERE = ("192.0.2.1", 9)
"""An address nobody has: connecting a datagram socket to it only asks the routing table."""


def default_host() -> str | None:
    """This machine's address on its default route; None without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(_ANYWHERE)
        except OSError:
            return None
        return str(probe.getsockname()[0])


def resolve(host: str) -> str | None:
    """The first address of a host name; None if it has none before the deadline."""
    deadline = time.monotonic() + RESOLVE_TIMEOUT_S
    while True:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        if found:
            # As Go's resolver: IPv4 is preferred.
            found.sort(key=lambda entry: entry[0] != socket.AF_INET)
            return str(found[0][4][0])
        if time.monotonic() + RESOLVE_RETRY_S >= deadline:
            return None
        time.sleep(RESOLVE_RETRY_S)
