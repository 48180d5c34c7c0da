"""Our lease in a store that was wiped or set back: taken again, at the subnet we use.

| our subnet, in that store                  | then                                     |
|--------------------------------------------|------------------------------------------|
| is nobody's                                | it is leased, if nobody has by then      |
| has the lease we hold                      | that is kept, with the time it has there |
| has our public IP with other data          | it is overwritten, if it is as seen      |
| has a value nobody can read                | it is written anew                       |
| is another host's, or in part              | it is lost: the daemon ends              |

Laws: packets flow meanwhile. A lease that was lost before is not fought for. A reservation stays
one. While the store is away it is asked for ever, never without a pause.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from flannel.backoff import Backoff
from flannel.holding import Holding
from flannel.lease import Lease
from flannel.registry import Faster, Listing, Registry
from pyetcdctl import ClientError

_log = logging.getLogger(__name__)


class Lost(Exception):
    """Another host has our subnet; the message says who."""


async def resettle(
    registry: Registry, holding: Holding, listing: Listing, clock: Callable[[], float]
) -> Holding:
    """What is held in the store that lists that; raises Lost."""
    if not holding.is_ours:
        return replace(holding, lease=replace(holding.lease, index=listing.index))
    backoff = Backoff()
    while True:
        try:
            sent_s = clock()
            return Holding(await _one_step(registry, holding.lease, listing), sent_s)
        except Faster:
            pass
        except ClientError as error:
            _log.error("failed to put the lease of %s anew, trying again: %s",
                       holding.lease.subnet, error)  # fmt: skip
        await asyncio.sleep(backoff.wait_s())
        listing = await _listing(registry, backoff)


async def _listing(registry: Registry, backoff: Backoff) -> Listing:
    while True:
        try:
            return await registry.listing()
        except ClientError as error:
            _log.error("listing leases, trying again: %s", error)
        await asyncio.sleep(backoff.wait_s())


async def _one_step(registry: Registry, ours: Lease, listing: Listing) -> Lease:
    """The table above."""
    there = None
    for lease in listing.leases:
        if lease.subnet == ours.subnet:
            there = lease
        if lease.subnet.overlaps(ours.subnet) and (
            lease.attributes.public_ip != ours.attributes.public_ip
        ):
            raise Lost(
                f"The store was set back, and {lease.subnet} is leased by "
                f"{lease.attributes.public_ip} there: this host has lost {ours.subnet}. Start "
                "again to get another subnet"
            )
    if there and there.attributes == ours.attributes:
        return there
    if there:
        return await registry.overwrite(there, ours.attributes)
    if ours.subnet in listing.unreadable:
        return await registry.replace(ours)
    _log.info("Leasing %s again", ours.subnet)
    return await registry.create(ours.subnet, ours.attributes, is_reservation=ours.is_reservation)
