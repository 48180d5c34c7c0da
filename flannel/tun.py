"""A TUN device: packets the kernel routes to it are read here, what is written here it receives.

Laws: the device vanishes with the descriptor, thus with the process.
"""

import contextlib
import fcntl
import os
import struct
from pathlib import Path

CLONE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
NAME_BYTES = 16


class TunError(Exception):
    """There is no such device to be had; the message says why."""


class Tun:
    """An open device."""

    def __init__(self, pattern: str) -> None:
        """Make one; `%d` in the pattern becomes the first free number. Raises TunError."""
        try:
            self.descriptor = os.open(CLONE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise TunError(f"cannot open {CLONE}: {_reason(error)}") from None
        request = struct.pack(f"{NAME_BYTES}sH22x", pattern.encode(), IFF_TUN | IFF_NO_PI)
        try:
            answer = fcntl.ioctl(self.descriptor, TUNSETIFF, request)
        except OSError as error:
            os.close(self.descriptor)
            raise TunError(f"cannot make a TUN device: {_reason(error)}") from None
        self.name = answer[:NAME_BYTES].rstrip(b"\0").decode()

    def accept_own_address(self) -> None:
        """Let packets in that have an address of this host as their sender. Without it the kernel
        drops errors made here, which come from the device's own address. May not be possible."""
        with contextlib.suppress(OSError):
            Path(f"/proc/sys/net/ipv4/conf/{self.name}/accept_local").write_text("1")

    def close(self) -> None:
        """Give the device up."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


def _reason(error: OSError) -> str:
    hint = ""
    if isinstance(error, PermissionError):
        hint = " (pyflanneld must run as root, or with CAP_NET_ADMIN)"
    return f"{(error.strerror or str(error)).lower()}{hint}"
