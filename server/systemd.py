"""The one line said to a service manager: readiness, by sd_notify's protocol.

One datagram to the socket in `NOTIFY_SOCKET`; without that variable nothing happens. The member
decides when it is ready. No watchdog, status or stopping message: etcd sends none.
"""

import socket
from collections.abc import Mapping

READY = "READY=1"
SEND_TIMEOUT_S = 1.0
"""The receiver is the service manager; should it not read, the server must not wait for it."""


def notify(state: str, environ: Mapping[str, str]) -> bool:
    """Send the state; whether it was sent. Never raises: a member serves also if nobody hears."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address[0] == "@":  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(SEND_TIMEOUT_S)
        try:
            sender.sendto(state.encode(), address.encode("utf-8", "surrogateescape"))
        except OSError:
            return False
    return True
