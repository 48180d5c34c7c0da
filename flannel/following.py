"""All news of leases, without gaps: a listing, then every event behind it, for ever.

Laws: an event is asked for by the index behind the last one, so nothing is missed while no question
is open. A listing comes again whenever something may have been missed all the same: the store has
forgotten that far back (401), the directory was removed, or a question has been open so long that
its connection may be dead. Any other failure is waited out with the same cursor. An event that
concerns no lease moves the cursor all the same.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from flannel.backoff import Backoff
from flannel.registry import Event, Foreign, Listing, Registry, Uprooted
from pyetcdctl import ClientError, EventIndexCleared

POLL_S = 60.0
"""How long one question stays open."""

_log = logging.getLogger(__name__)


async def follow(registry: Registry, poll_s: float = POLL_S) -> AsyncIterator[Listing | Event]:
    """Listings and events; never ends."""
    cursor: int | None = None
    backoff = Backoff()
    said = ""
    while True:
        try:
            if cursor is None:
                listing = await registry.listing()
                cursor = listing.index
                yield listing
            else:
                async with asyncio.timeout(poll_s):
                    event = await registry.event(cursor)
                cursor = event.index
                if isinstance(event, Uprooted):
                    cursor = None
                elif not isinstance(event, Foreign):
                    yield event
            backoff.reset()
            said = ""
        except TimeoutError:
            cursor = None
        except EventIndexCleared:
            _log.warning("Watch of subnet leases failed because etcd index outside history window")
            cursor = None
        except ClientError as error:
            if str(error) != said:
                _log.error("Watch subnets: %s", error)
                said = str(error)
            await asyncio.sleep(backoff.wait_s())
