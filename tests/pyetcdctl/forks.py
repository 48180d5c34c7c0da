"""Programs that fork with a client in their hands: `python -m tests.pyetcdctl.forks NAME URL`.

Each ends with an assertion, or with 0. They are processes of their own because a fork takes along
whatever else is there, and who forks a test forks pytest.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import socket
import sys
import threading
import traceback
from typing import TYPE_CHECKING, NoReturn

import pytest

from pyetcdctl import (
    TLS,
    AsyncClient,
    AsyncLease,
    AsyncLock,
    Client,
    ClusterUnavailable,
    Lease,
    LeaseLost,
    Lock,
    LockLost,
    WrongLoop,
)
from tests.clients.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pyetcdctl import ClientError

KEYS = 500
SOON_S = 10.0


def in_a_child(work: Callable[[], None]) -> None:
    """Do something in a child, to its end."""
    child = os.fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def refused(kind: type[ClientError], said: str, work: Callable[[], object]) -> None:
    """It raises that, with these words in it."""
    with pytest.raises(kind, match=said):
        work()


def is_ours(client: Client, lock: Lock) -> bool:
    """Whether its key says that this process holds it."""
    return client.get(str(lock.key)).node.value.endswith(f":{os.getpid()}")


def pool(url: str) -> None:
    """Workers write keys, and are told of each its own value, with a client of before the fork."""
    client = Client([url])
    client.get("/")

    def wrong(number: int) -> int:
        result = client.set(f"/fork/pool/{number}", f"{number}")
        return int((result.node.key, result.node.value) != (f"/fork/pool/{number}", f"{number}"))

    globals()["wrong"], wrong.__qualname__ = wrong, "wrong"  # for pickle
    with multiprocessing.get_context("fork").Pool(4) as workers:
        assert sum(workers.map(wrong, range(KEYS), chunksize=1)) == 0


def _asks_beside_its_child(client: Client) -> None:
    """Parent and child ask; the parent goes on with the connection that it had."""
    client.get("/")
    (mine,) = (kept._line.socket for kept in client._transport._kept.values())
    before = mine.getsockname()

    def work() -> None:
        client.get("/")
        client.twin().get("/")
        client.close()

    in_a_child(work)
    client.get("/")
    (mine,) = (kept._line.socket for kept in client._transport._kept.values())
    assert mine.getsockname() == before
    client.close()


def plain(url: str) -> None:
    """See above."""
    _asks_beside_its_child(Client([url]))


def tls(url: str) -> None:
    """The same, where closing could say something to the server."""
    _asks_beside_its_child(Client([url], tls=TLS(os.environ["CA_FILE"])))


def wait(url: str) -> None:
    """A child that closes its client ends nothing that its parent waits for."""
    client = Client([url])
    begin = client.set("/fork/wait", "1").index
    seen: list[str] = []

    def follow() -> None:
        seen.append(client.wait("/fork/wait", wait_index=begin + 1).node.value)

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    until(lambda: bool(client._transport._asked), "it waits")
    in_a_child(client.close)
    client.set("/fork/wait", "2")
    following.join(SOON_S)
    assert seen == ["2"], seen


def lock(url: str) -> None:
    """A lock stays its process's: a child is told that it has none, and takes nothing from it."""
    client = Client([url])
    mine = Lock(client, "/fork/lock", ttl=3)
    mine.acquire()

    def leave() -> None:
        refused(LockLost, "another process", mine.check)
        refused(LockLost, "another process", mine.release)
        mine.check()
        with Lock(client, "/fork/own") as own:
            assert is_ours(client, own)

    def end_the_block() -> None:
        refused(LockLost, "another process", lambda: mine.__exit__(None, None, None))
        mine.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        client.close()

    for work in (leave, end_the_block):
        in_a_child(work)
    mine.check()
    assert is_ours(client, mine)
    mine.release()
    before = Lock(client, "/fork/later")

    def take() -> None:
        with before:
            assert is_ours(client, before)

    in_a_child(take)
    client.close()


def lease(url: str) -> None:
    """A lease stays its process's as well."""
    client = Client([url])
    client.set("/fork/lease", "v", ttl=3)
    mine = Lease(client, "/fork/lease", 3)
    mine.start()

    def leave() -> None:
        refused(LeaseLost, "another process", mine.check)
        refused(LeaseLost, "another process", lambda: mine.__exit__(None, None, None))
        client.close()

    in_a_child(leave)
    mine.check()
    mine.close()
    in_a_child(mine.check)
    client.close()


def _forks_while_dialling(first: bytes, endpoint: str = "") -> None:
    """A child has nothing of a connection that its parent is still making; the parent goes on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        os.environ["HTTPS_PROXY"], os.environ["NO_PROXY"] = f"http://{place}", ""
        client = Client([endpoint or f"https://{place}"], timeout_s=SOON_S)
        told: list[str] = []

        def ask() -> None:
            with pytest.raises(ClusterUnavailable) as raised:
                client.get("/")
            told.append(str(raised.value))

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        served, _ = listener.accept()
        with served:
            assert served.recv(1 << 16).startswith(first)
            in_a_child(lambda: _has_none_to(listener.getsockname()))
        asking.join(SOON_S)
        assert "EOF" in told[0] or "reset by peer" in told[0], told


def _has_none_to(place: tuple[str, int]) -> None:
    """This process has no connection to there."""
    for each in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(each)) as sock:
            assert sock.getpeername() != place


def handshake(_url: str) -> None:
    """See above, in TLS's handshake."""
    _forks_while_dialling(b"\x16\x03")


def tunnel(_url: str) -> None:
    """The same while a proxy is asked to lead on."""
    _forks_while_dialling(b"CONNECT ", "https://etcd.invalid:2379")


def block(url: str) -> None:
    """A child that leaves the block of an AsyncClient says nothing, and ends nothing there."""

    async def fork() -> None:
        async with AsyncClient([url]) as client:
            begin = (await client.set("/fork/block", "1")).index
            waiting = asyncio.ensure_future(client.wait("/fork/block", wait_index=begin + 1))
            while not client._transport._limits:
                await asyncio.sleep(0)
            await client.get("/")
            child = os.fork()
            if not child:
                raise SystemExit(7)
            # Not in a thread: asyncio's own end in the child takes the loop's bell from its parent.
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            await client.set("/fork/block", "2")
            assert (await asyncio.wait_for(waiting, SOON_S)).node.value == "2"

    asyncio.run(fork())


def loops(url: str) -> None:
    """An AsyncClient that has been used is of no use in a child, nor what it keeps; another is."""
    used, unused = AsyncClient([url]), AsyncClient([url])

    async def ask(client: AsyncClient) -> None:
        async with client:
            await client.get("/")

    async def look(lock: AsyncLock, lease: AsyncLease) -> None:
        for held in (lock, lease):
            assert "another process" in str(held.lost)
        await lease.close()
        with pytest.raises(LockLost, match="another process"):
            await lock.release()
        with pytest.raises(WrongLoop, match="process"):
            await ask(used)

    async def fork() -> None:
        """The child goes on in its parent's loop."""
        async with AsyncLock(used, "/fork/async", ttl=3) as lock:
            await used.set("/fork/async-lease", "v", ttl=3)
            async with AsyncLease(used, "/fork/async-lease", 3) as lease:
                child = os.fork()
                if not child:
                    await ended(look(lock, lease))
                assert await asyncio.to_thread(os.waitpid, child, 0) == (child, 0)
                lock.check()
                lease.check()
            await used.get(str(lock.key))

    async def ended(looking: Coroutine[None, None, None]) -> NoReturn:
        try:
            await looking
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    with asyncio.Runner() as runner:
        runner.run(fork())
        in_a_child(lambda: refused(WrongLoop, "process", lambda: asyncio.run(ask(used))))
        runner.run(ask(used))
    in_a_child(lambda: asyncio.run(ask(unused)))


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
