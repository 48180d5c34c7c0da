"""What a data path can do, in the order it is asked to.

Laws: `prepare` comes before the lease, for its value may need what is made there (a MAC); `start`
after it. If either fails, or the daemon ends in between, `undo` leaves the kernel as it was found;
after `start` nothing is taken down at exit: packets flow while the daemon is away. `add` may be
called again for the same lease and puts right what is not.
"""

from collections.abc import Collection
from ipaddress import IPv4Network
from typing import Protocol

from flannel import ip
from flannel.kernel import Link
from flannel.lease import Lease


class BackendError(Exception):
    """The data path cannot be had; the message says why."""


def inner_mtu(outer: Link, overhead_bytes: int) -> int:
    """What is left of a packet of the outer interface; raises BackendError if IPv4 has no room."""
    least = ip.MTU_MIN + overhead_bytes
    if outer.mtu < least:
        raise BackendError(
            f"the MTU of {outer.name} must be at least {least} bytes, of which {overhead_bytes} "
            f"are the tunnel's, not {outer.mtu}"
        )
    return outer.mtu - overhead_bytes


class Backend(Protocol):
    """One data path."""

    @property
    def kind(self) -> str:
        """The BackendType in a lease; empty for udp and alloc."""

    @property
    def mtu(self) -> int:
        """Largest packet a container may send, bytes."""

    async def prepare(self) -> str:
        """Make what must be there before the lease; give the lease's BackendData, JSON or empty."""

    async def start(self, subnet: IPv4Network) -> None:
        """Begin with our own subnet."""

    async def undo(self) -> None:
        """Remove what `prepare` and `start` have made in this run."""

    async def begin(self, leases: Collection[Lease]) -> None:
        """Remove what an earlier run left for leases that are no more."""

    async def add(self, lease: Lease) -> None:
        """Let packets for a subnet go to its host; raises LeaseError, KernelError."""

    async def remove(self, lease: Lease) -> None:
        """Forget the way to a subnet."""

    async def run(self) -> None:
        """Work for ever, if there is anything to do."""

    def serves(self, lease: Lease) -> bool:
        """Whether a lease's host is reached this way."""
