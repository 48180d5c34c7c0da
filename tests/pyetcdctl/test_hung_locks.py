"""Locks while the servers hang: who gives up, or is cancelled, comes back on time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pyetcdctl import AsyncClient, AsyncLock, Client, Lock, LockTimeout
from pyetcdctl.locking import LEAVING_S
from tests.clients.reachable import reachable
from tests.clients.waiting import until
from tests.oracle import Pyetcd
from tests.pyetcdctl.saying import saying

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.oracle import Server

WAIT_S = 1.0
SLACK_S = 1.0


@pytest.fixture
def held() -> Iterator[Server]:
    """A server that can be stopped, where somebody has the lock /l."""
    with reachable(Pyetcd) as server:
        with Client([server.url]) as client:
            client.create_in_order("/l", "front", ttl=60)
        try:
            yield server
        finally:
            os.kill(server.pid, signal.SIGCONT)


def stop(server: Server) -> float:
    """Stop it; the time of that."""
    os.kill(server.pid, signal.SIGSTOP)
    return time.monotonic()


async def is_waiting(lock: AsyncLock) -> None:
    """Wait until it has a place in the queue and has seen who is in front."""
    async with asyncio.timeout(10):
        while not lock._turn._front:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ttl", [1, 60])
async def test_giving_up(held: Server, ttl: int) -> None:
    """Goal: LockTimeout on time, also if the place in the queue has run out meanwhile. Method: the
    server stops while an AsyncLock waits.
    """
    async with AsyncClient([held.url]) as client:
        lock = AsyncLock(client, "/l", ttl=ttl, wait_s=WAIT_S * 2)
        begun_s = time.monotonic()
        waiting = asyncio.create_task(lock.acquire())
        await is_waiting(lock)
        stop(held)
        with pytest.raises(LockTimeout):
            await waiting
        assert time.monotonic() - begun_s < 2 * WAIT_S + LEAVING_S + SLACK_S


def test_giving_up_without_a_loop(held: Server) -> None:
    """Goal: the same for a Lock. Method: as above, from a thread."""
    with Client([held.url]) as client, ThreadPoolExecutor(1) as pool:
        lock = Lock(client, "/l", ttl=60, wait_s=WAIT_S)
        begun_s = time.monotonic()
        waiting = pool.submit(lock.acquire)
        until(lambda: lock._turn._front, "it waits")
        stop(held)
        with pytest.raises(LockTimeout):
            waiting.result()
        assert time.monotonic() - begun_s < WAIT_S + LEAVING_S + SLACK_S


async def test_cancelled(held: Server) -> None:
    """Goal: a cancellation does not wait for a server that hangs, neither while the lock is waited
    for nor while it is held. Method: the server stops, both are cancelled.
    """

    async def hold() -> None:
        async with mine:
            await asyncio.Event().wait()

    async with AsyncClient([held.url]) as client, AsyncClient([held.url]) as other:
        lock, mine = AsyncLock(client, "/l", ttl=60), AsyncLock(other, "/mine", ttl=60)
        tasks = [asyncio.create_task(lock.acquire()), asyncio.create_task(hold())]
        await is_waiting(lock)
        while mine._block is None:
            await asyncio.sleep(0.01)
        stopped_s = stop(held)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
        assert time.monotonic() - stopped_s < LEAVING_S + SLACK_S


async def test_servers_that_never_answer() -> None:
    """Goal: the queue is not waited for, for long, either. Method: servers that keep silent."""
    with saying(b"", hangs_up=False) as one, saying(b"", hangs_up=False) as two:
        async with AsyncClient([one, two]) as client:
            begun_s = time.monotonic()
            with pytest.raises(LockTimeout):
                await AsyncLock(client, "/l", wait_s=0.1).acquire()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await AsyncLock(client, "/l").acquire()
        with Client([one, two]) as other, pytest.raises(LockTimeout):
            Lock(other, "/l", wait_s=0.1).acquire()
        assert time.monotonic() - begun_s < 3 * (LEAVING_S + 0.1) + SLACK_S
