"""A second client like the first, for another thread or for another patience.

Laws: a Client is for one thread, so what goes on beside it has connections of its own; it begins
at the endpoint that answered last. An AsyncClient's twin shares the connections: one event loop
has them all.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyetcdctl.async_client import AsyncClient
    from pyetcdctl.client import Client
    from pyetcdctl.transport import Transport


def twin(client: Client) -> Client:
    """A client of the same cluster, to be closed by whoever asked for it."""
    other = copy.copy(client)
    other._ring = copy.copy(client._ring)
    other._transport = _fresh(client._transport)
    other._open = _fresh(client._open)
    return other


def _fresh(transport: Transport) -> Transport:
    other = copy.copy(transport)
    other._kept = {}
    return other


def async_twin(client: AsyncClient) -> AsyncClient:
    """A client of the same cluster on the same connections; it need not be closed."""
    client._open()
    other = copy.copy(client)
    other._ring = copy.copy(client._ring)
    return other


def limit(client: Client | AsyncClient, *, timeout_s: float, total_timeout_s: float) -> None:
    """Give a twin another patience; a long poll is not meant, it has none."""
    client._timeout_s = timeout_s
    client._total_timeout_s = total_timeout_s
