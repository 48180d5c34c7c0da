"""A client that is closed ends what goes on with it, and says so."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from pyetcdctl import (
    AsyncClient,
    AsyncLease,
    AsyncLock,
    Client,
    ClientClosed,
    ClientError,
    Lock,
)
from tests.clients.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOON_S = 5.0


@pytest.fixture
async def unheard() -> AsyncIterator[list[dict[str, object]]]:
    """What the event loop is told that nobody else was."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    yield told
    assert not told


async def test_an_async_watch_ends(url: str, place: str, unheard: list[dict[str, object]]) -> None:
    """Goal: who waits for an event is told that none will come, and so is who asks afterwards.
    Method: close the client under a watch that has yielded one.
    """
    seen = asyncio.Event()

    async def follow() -> None:
        async for _change in client.watch(place, after_index=begin):
            seen.set()

    async with AsyncClient([url]) as client:
        begin = (await client.set(place, "1")).index - 1
        following = asyncio.create_task(follow())
        await asyncio.wait_for(seen.wait(), SOON_S)
    with pytest.raises(ClientClosed, match="it is closed"):
        await asyncio.wait_for(following, SOON_S)
    for client_or_twin in (client, client.twin()):
        with pytest.raises(ClientClosed):
            await client_or_twin.get(place)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_watch_ends(url: str, place: str, is_open: bool) -> None:
    """Goal: the same of a watch in a thread, whether it waits or comes back to ask. Method: close
    the client from another thread; close it between two events.
    """
    client = Client([url])
    begin = client.set(place, "1").index - 1
    watch = client.watch(place, after_index=begin)
    next(watch)
    told: list[ClientError] = []

    def follow() -> None:
        try:
            next(watch)
        except ClientError as error:
            told.append(error)

    following = threading.Thread(target=follow, daemon=True)
    if is_open:
        following.start()
        until(lambda: bool(client._transport._asked), "it waits")
        client.close()
    else:
        client.close()
        following.start()
    following.join(SOON_S)
    assert [str(error) for error in told] == ["client: it is closed"]
    for client_or_twin in (client, client.twin()):
        with pytest.raises(ClientClosed):
            client_or_twin.get(place)


async def test_a_lock_of_a_closed_client(
    url: str, place: str, unheard: list[dict[str, object]]
) -> None:
    """Goal: its release says that nobody could be told, its keeper that it keeps nothing any more.
    Method: close the client while the lock is held; wait for the keeper to try.
    """
    async with AsyncClient([url]) as client:
        lock = AsyncLock(client, place, ttl=1)
        await lock.acquire()
    async with asyncio.timeout(SOON_S):
        while lock.lost is None:
            await asyncio.sleep(0.01)
    assert "it is closed" in str(lock.lost)
    with pytest.raises(ClientClosed):
        await lock.release()


async def test_what_went_wrong_is_not_covered(
    url: str, place: str, unheard: list[dict[str, object]]
) -> None:
    """Goal: the block's own exception comes out, not the release's. Method: close and raise."""
    client = AsyncClient([url])

    async def hold() -> None:
        async with AsyncLock(client, place, ttl=5):
            await client.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await hold()


async def test_a_lease_of_a_closed_client(
    url: str, place: str, unheard: list[dict[str, object]]
) -> None:
    """Goal: its keeper ends with a loss that says why. Method: close the client, wait."""
    lost = asyncio.Event()
    async with AsyncClient([url]) as client:
        await client.set(place, "v", ttl=3)
        lease = AsyncLease(client, place, 3, on_lost=lambda _lost: lost.set())
        await lease.start()
    await asyncio.wait_for(lost.wait(), SOON_S)
    assert "it is closed" in str(lease.lost)
    await lease.close()


def test_a_lock_outlives_its_client(url: str, place: str) -> None:
    """Goal: a Lock has connections of its own, and can be taken again. Method: close the client
    inside, and take it twice.
    """
    with Client([url]) as watching:
        client = Client([url])
        lock = Lock(client, place, ttl=5)
        client.close()
        for _ in range(2):
            with lock:
                assert len(watching.get(place).node.nodes or ()) == 1
            assert not watching.get(place).node.nodes
