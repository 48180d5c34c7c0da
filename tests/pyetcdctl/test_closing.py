"""A client that is closed ends what goes on with it, and says so."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pyetcdctl import (
    AsyncClient,
    AsyncLease,
    AsyncLock,
    Client,
    ClientClosed,
    ClientError,
    Lease,
    LeaseLost,
    Lock,
    WrongLoop,
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


def test_a_lock_is_closed_with_its_client(url: str, place: str) -> None:
    """Goal: who holds it is told at once, long before the next refresh, and its release says that
    nobody could be told. Method: close the client while the lock is held with a long TTL; then the
    key of nobody is removed, and the lock is taken twice by another client.
    """
    lost = threading.Event()
    client = Client([url])
    lock = Lock(client, place, ttl=60, on_lost=lambda _lost: lost.set())
    lock.acquire()
    key = lock.key
    assert key is not None
    client.close()
    assert lost.wait(SOON_S)
    assert "it is closed" in str(lock.lost)
    with pytest.raises(ClientClosed):
        lock.release()
    with Client([url]) as other:
        other.delete(key)
        again = Lock(other, place, ttl=5)
        for _ in range(2):
            with again:
                assert len(other.get(place).node.nodes or ()) == 1
            assert not other.get(place).node.nodes


def test_who_waits_for_a_lock_is_told(url: str, place: str) -> None:
    """Goal: a closed client ends the waiting for a lock. Method: close it under one that waits."""
    told: list[ClientError] = []
    with Client([url]) as other, Lock(other, place, ttl=5):
        client = Client([url])

        def wait() -> None:
            try:
                Lock(client, place, ttl=60).acquire()
            except ClientError as error:
                told.append(error)

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        until(lambda: len(other.get(place).node.nodes or ()) == 2, "it waits")
        client.close()
        waiting.join(SOON_S)
    assert [type(error) for error in told] == [ClientClosed]


def test_a_lease_is_closed_with_its_client(url: str, place: str) -> None:
    """Goal: a Lease ends at once, with a loss that says why. Method: close the client of one with
    a long TTL.
    """
    told: list[LeaseLost] = []
    client = Client([url])
    client.set(place, "v", ttl=600)
    lease = Lease(client, place, 600, on_lost=told.append)
    lease.start()
    client.close()
    until(lambda: bool(told), "it is told", deadline_s=SOON_S)
    assert "it is closed" in str(lease.lost)
    lease.close()


def test_threads_of_one_client(url: str, place: str) -> None:
    """Goal: no connection is forgotten open. Method: threads ask at the same time, more than one
    connection is to be kept; with the client closed none of ours is open.
    """
    before = sockets()
    with Client([url]) as client, ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            list(pool.map(lambda _: client.set(place, "v"), range(4)))
        assert len(sockets() - before) <= 1
    assert sockets() <= before


def sockets() -> set[str]:
    """This process's."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return {each for each in found if each.startswith("socket:")}


def test_a_second_event_loop(url: str) -> None:
    """Goal: a sentence of the errors' tree, and no bare RuntimeError. Method: use one
    client in a second event loop while the first one goes on.
    """
    client = AsyncClient([url])

    async def use() -> None:
        await client.leader()

    with asyncio.Runner() as first:
        first.run(use())
        with (
            asyncio.Runner() as second,
            pytest.raises(WrongLoop, match=r"make an AsyncClient in each$"),
        ):
            second.run(use())
        first.run(client.close())
        with pytest.raises(ClientClosed):
            first.run(use())
