"""A request that was done, and whose answer was lost, is never told as refused or done twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyetcdctl import AsyncClient, Client, ClientError
from tests.pyetcdctl.losing import losing

if TYPE_CHECKING:
    from collections.abc import Callable

WRITES: dict[str, Callable[[Any, str], Any]] = {
    "PUT": lambda c, key: c.set(key, "v"),
    "PUT, only if new": lambda c, key: c.set(key, "v", prev_exist=False),
    "PUT, a directory": lambda c, key: c.make_dir(key),
    "DELETE": lambda c, key: c.delete(key),
    "POST": lambda c, key: c.create_in_order(key, "v"),
}


def told(kind: type[Client | AsyncClient], ask: Callable[[Any], Any], *urls: str) -> object:
    """What a client says to a request on a connection that was used before."""

    async def awaited() -> object:
        async with AsyncClient(urls) as client:
            await client.members()
            return await ask(client)

    try:
        if kind is AsyncClient:
            return asyncio.run(awaited())
        with Client(urls) as client:
            client.members()
            return ask(client)
    except ClientError as error:
        return error


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_it_is_sent_once(
    url: str, place: str, write: str, kind: type[Client | AsyncClient]
) -> None:
    """Goal: what changes something goes out once to a server, although a connection that was kept
    ends without an answer. Method: count what a way that loses answers was asked.
    """
    with losing(url) as way:
        said = told(kind, lambda c: WRITES[write](c, f"{place}/{kind.__name__}/{write}"), way.url)
        assert isinstance(said, ClientError)
        assert len(way.written) == 1, way.written
