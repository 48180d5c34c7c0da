"""All news of leases, without gaps: a listing, then every event behind it, for ever.

Laws: an event is asked for by the index behind the last one, so nothing is missed while no question
is open. A listing comes again whenever something may have been missed all the same: the store has
forgotten that far back (401), the directory was removed, the store was away (what is back may be
another one), or a question has been open so long that its connection may be dead. An event that
concerns no lease moves the cursor all the same. A store's index never falls: one that does is that
of another store, or of one that was set back, and its listing is told as such. Whatever the store
answers, two questions in a row that bring nothing new have a pause between them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from flannel.backoff import Backoff
from flannel.registry import Event, Foreign, Listing, Registry, Uprooted
from pyetcdctl import ClientError, EventIndexCleared

POLL_S = 60.0
"""How long one question stays open."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SetBack:
    """The first listing of a store that knows less than was seen: what it lacks was not removed."""

    listing: Listing


class _Stuck(Exception):
    """An answer that brings nothing new; the message says which."""


async def follow(
    registry: Registry, seen: int = 0, poll_s: float = POLL_S
) -> AsyncIterator[Listing | Event | SetBack]:
    """Listings and events; never ends. `seen` is the highest index of the store known before."""
    cursor: int | None = None
    backoff = Backoff()
    said = ""
    while True:
        try:
            if cursor is None:
                listing = await registry.listing()
                news = _told(listing, seen)
                cursor = seen = listing.index
                yield news
                continue
            event = await _event(registry, cursor, poll_s)
            seen = event.index
            cursor = None if isinstance(event, Uprooted) else seen
            if not isinstance(event, Foreign | Uprooted):
                yield event
        except TimeoutError:
            cursor = None
        except (ClientError, _Stuck) as error:
            cursor = None
            if str(error) != said:
                _log.error("Watch subnets: %s", error)
                said = str(error)
            await asyncio.sleep(backoff.wait_s())
            continue
        backoff.reset()
        said = ""


def _told(listing: Listing, seen: int) -> Listing | SetBack:
    """A listing, compared with the highest index seen before it."""
    if listing.index >= seen:
        return listing
    _log.error(
        "The store was set back, or it is another one: its index is %d, and was %d before; packets "
        "go on as they did, and this host's lease is put there anew", listing.index, seen,
    )  # fmt: skip
    return SetBack(listing)


async def _event(registry: Registry, cursor: int, poll_s: float) -> Event:
    """The first one behind the cursor; raises TimeoutError if there is none for so long."""
    try:
        async with asyncio.timeout(poll_s):
            event = await registry.event(cursor)
    except EventIndexCleared:
        raise _Stuck("etcd index outside history window") from None
    if event.index <= cursor:
        raise _Stuck(f"asked for events behind {cursor}, the store told of {event.index}")
    return event
