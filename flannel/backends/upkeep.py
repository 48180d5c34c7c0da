"""What we put into the kernel, kept as it was made: what somebody changes is put back, and said.

Laws, of a device: only what we gave it is looked at: that it is there and on, its MTU, its address
and, where others have learnt it, its MAC; what was added beside that is left alone. A device that
was deleted cannot be put back, for with it went its ways: that ends the run. An outer address that
is gone is not ours to put back: that is said, and all goes on when it is there again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Address

from flannel.backends.backend import BackendError
from flannel.interfaces import External, InterfaceError, find_again
from flannel.kernel import Kernel, KernelError, Link
from flannel.tables import Route

CHECK_S = 5.0
"""How long a change by hand stays."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a device should be like."""

    link: Link
    """As it was when it began to serve."""
    mtu: int
    address: IPv4Address
    length: int
    mac: str = ""
    """Empty if it has none, or it does not matter."""

    async def put_right(self, kernel: Kernel) -> None:
        """Look, and put back what is not so; raises BackendError if it is gone, KernelError."""
        found = await kernel.link(self.link.name)
        if found is None or found.index != self.link.index:
            raise gone(self.link.name)
        name = found.name
        if self.mac and found.mac != self.mac:
            await kernel.set_mac(found, self.mac)
            _log.warning("%s had got the MAC %s: it has %s again", name, found.mac, self.mac)
        if found.mtu != self.mtu:
            await kernel.set_mtu(found, self.mtu)
            _log.warning("%s had got the MTU %d: it has %d again", name, found.mtu, self.mtu)
        own = await kernel.addresses(found.index)
        if (self.address, self.length) not in [(one.address, one.length) for one in own]:
            await kernel.add_address(found, self.address, self.length)
            _log.warning("%s had lost its address: it has %s/%d again",
                         name, self.address, self.length)  # fmt: skip
        if not found.is_up:
            await kernel.set_up(found)
            _log.warning("%s had been switched off: it is on again", name)


class Hindered(Exception):
    """Something cannot be put back for now; the message says why."""


async def put_back(missing: Collection[tuple[Route, Callable[[], Awaitable[None]]]]) -> None:
    """Put up ways that are gone, each by what does it; one that cannot be keeps no other from it.
    Raises Hindered with the first reason."""
    refusals = []
    for route, put_up in missing:
        try:
            await put_up()
        except KernelError as error:
            refusals.append(str(error))
        else:
            _log.info("Route recovered %s via %s", route.destination, route.gateway)
    if refusals:
        raise Hindered(f"ways that are not put back yet: {len(refusals)}; {refusals[0]}")


async def put_right_over(
    kernel: Kernel, external: External, put_right: Callable[[], Awaitable[None]]
) -> None:
    """Put right what goes by the outer address, and look for that: without it nothing arrives, and
    what cannot be put right follows from it. Raises InterfaceError, or what `put_right` does."""
    try:
        await put_right()
    except (KernelError, Hindered):
        await find_again(kernel, external)
        raise
    await find_again(kernel, external)


async def keep(
    name: str, put_right: Callable[[], Awaitable[None]], ended: asyncio.Future[None] | None = None
) -> None:
    """Put what has that name right until it has `ended`, or for ever; a failure is said once, and
    once when all is well again."""
    said = ""
    ended = ended or asyncio.get_running_loop().create_future()
    while not ended.done():
        await asyncio.wait([ended], timeout=CHECK_S)
        try:
            await put_right()
        except (KernelError, InterfaceError, Hindered) as error:
            if str(error) != said:
                _log.error("Checking %s (again every %d s): %s", name, CHECK_S, error)
                said = str(error)
        else:
            if said:
                _log.info("Checking %s: all is well again", name)
            said = ""


def gone(name: str) -> BackendError:
    """Why the run ends."""
    return BackendError(
        f"{name} is not there any more: somebody has deleted it, or the interface it hangs on; "
        "start again to have it and the ways through it back"
    )
