"""The one line said to a service manager: READY=1, by sd_notify's protocol.

Laws: one datagram to the socket in `NOTIFY_SOCKET`, nothing without that variable; never raises and
never waits long: the daemon works also if nobody hears.
"""

import socket
from collections.abc import Mapping

READY = b"READY=1"
SEND_TIMEOUT_S = 1.0


def ready(environ: Mapping[str, str]) -> bool:
    """Say that subnets can be reached; whether it was sent."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address[0] == "@":  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(SEND_TIMEOUT_S)
        try:
            sender.sendto(READY, address.encode("utf-8", "surrogateescape"))
        except OSError:
            return False
    return True
