"""Locks: one holder, in the order of the queue, and a loss is told."""

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyetcdctl import AsyncClient, Client, ClientError, ClusterUnavailable, NotADirectory
from pyetcdctl.answers import Node, Result
from pyetcdctl.locking import AsyncLock, Lock
from pyetcdctl.requests import Request
from pyetcdctl.turn import LockLost, LockTimeout, Turn
from tests.clients.waiting import until
from tests.server.members import cluster, leader_of


def queued(client: Client, place: str) -> int:
    """How many are in the queue."""
    return len(client.get(place).node.nodes or ())


def test_one_at_a_time_in_the_order_they_came(client: Client, url: str, place: str) -> None:
    """Goal: never two holders, and first come, first served. Method: five wait for one that
    holds it, having queued one after the other; each notes when it comes and goes."""
    notes: list[str] = []

    def take(name: str) -> None:
        with Client([url]) as mine, Lock(mine, place, ttl=5, value=name) as lock:
            notes.append(f"{name} in")
            lock.check()
            assert mine.get(lock.key or "").node.value == name
            notes.append(f"{name} out")

    with ThreadPoolExecutor(5) as pool, Lock(client, place, ttl=5) as lock:
        first = lock.index
        for number in range(5):
            pool.submit(take, str(number))
            until(lambda n=number: queued(client, place) == n + 2, "it has queued")  # type: ignore[misc]
        notes.append("first out")
    assert notes == ["first out", *(f"{n} {way}" for n in range(5) for way in ("in", "out"))]
    assert first > 0
    assert queued(client, place) == 0


def test_a_dead_holder_is_waited_for_no_longer_than_its_ttl(client: Client, place: str) -> None:
    """Goal: who dies with the lock does not keep it. Method: a key in front that nobody refreshes;
    the next one gets the lock when it runs out."""
    client.create_in_order(place, "dead", ttl=1)
    with Lock(client, place, ttl=2, wait_s=15) as lock:
        lock.check()


def test_a_lost_lock_is_told(client: Client, place: str) -> None:
    """Goal: a holder learns of its loss at once and at the end. Method: its key is removed."""
    was_told = threading.Event()
    lock = Lock(client, place, ttl=1, on_lost=lambda _lost: was_told.set())

    def hold() -> None:
        with lock:
            client.delete(lock.key or "")
            assert was_told.wait(10)
            assert lock.lost is not None

    with pytest.raises(LockLost, match="is lost: 100: Key not found"):
        hold()


def test_giving_up(client: Client, url: str, place: str) -> None:
    """Goal: `wait_s` ends the waiting with LockTimeout, and the queue is left. Method: try a lock
    that is held, with no patience and with some."""
    with Lock(client, place, ttl=5), Client([url]) as other:
        for wait_s in (0.0, 0.2):
            with pytest.raises(LockTimeout, match=f"within {wait_s:g} s"):
                Lock(other, place, ttl=5, wait_s=wait_s).acquire()
        assert queued(client, place) == 1


def test_a_free_lock_needs_no_patience(client: Client, place: str) -> None:
    """Goal: wait_s=0 is a try, not a refusal. Method: a lock that nobody has."""
    with Lock(client, place, ttl=5, wait_s=0) as lock:
        lock.check()


def test_a_lost_place_in_the_queue(client: Client, url: str, place: str) -> None:
    """Goal: a waiter whose key is removed queues again and gets the lock. Method: remove its key
    while it waits, then release."""
    with ThreadPoolExecutor(1) as pool, Client([url]) as other:
        waiter = Lock(other, place, ttl=1, value="waiter", wait_s=20)
        with Lock(client, place, ttl=5):
            taken = pool.submit(waiter.acquire)
            until(lambda: waiter.key, "it has queued")
            first = waiter.key
            client.delete(first or "")
            until(lambda: waiter.key not in (None, first), "it has queued again")
        taken.result(20)
        assert waiter.lost is None
        waiter.release()


def test_a_queue_that_cannot_be(client: Client, place: str) -> None:
    """Goal: what makes queueing impossible is raised, not tried for ever. Method: a key with a
    value where the directory should be."""
    client.set(place, "v")
    with pytest.raises(NotADirectory):
        Lock(client, f"{place}/below", ttl=5).acquire()


async def test_the_async_lock(url: str, place: str) -> None:
    """Goal: one at a time from an event loop, too. Method: eight tasks that each read, yield and
    write a counter: a second holder would lose counts."""
    count = 0

    async def add(client: AsyncClient) -> None:
        nonlocal count
        async with AsyncLock(client, place, ttl=5):
            seen = count
            await client.get("/")
            count = seen + 1

    async with AsyncClient([url]) as client:
        await asyncio.gather(*(add(client) for _ in range(8)))
        assert not (await client.get(place)).node.nodes
    assert count == 8


async def test_an_async_loss_ends_the_block(url: str, place: str) -> None:
    """Goal: LockLost comes out of a block that waits for something else. Method: remove the key."""
    async with AsyncClient([url]) as client:

        async def hold() -> None:
            async with AsyncLock(client, place, ttl=1) as lock:
                await client.delete(lock.key or "")
                await asyncio.wait_for(asyncio.Event().wait(), 10)

        with pytest.raises(LockLost):
            await hold()


class Interruption(Exception):
    """What a signal's handler raises."""


@pytest.mark.parametrize("begins_s", [0.0, 1.0], ids=["idle", "busy"])
def test_an_interruption_loses_no_answer(
    client: Client, place: str, begins_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: who is interrupted while its place in the queue is made leaves it. Method: the signal
    comes when the server has made the key and the client has not read of it; on a busy machine,
    where whoever begins a thread comes back from that when the thread is long at work, at most so
    much later, unless the signal comes before.
    """
    was_interrupted = threading.Event()
    begin = threading.Thread.start

    def begin_late(thread: threading.Thread) -> None:
        begin(thread)
        if thread.name.startswith("lock-create"):
            was_interrupted.wait(begins_s)

    def late(request: Request) -> Result:
        answer = real(request)
        if request.method == "POST":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            until(was_interrupted.is_set, "the handler has run")
        return answer

    def interrupt(_number: int, _frame: object) -> None:
        was_interrupted.set()
        raise Interruption

    lock = Lock(client, place, ttl=60)
    real = lock._asking.keys
    monkeypatch.setattr(lock._asking, "keys", late)
    monkeypatch.setattr(threading.Thread, "start", begin_late)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interruption):
            lock.acquire()
    finally:
        signal.signal(signal.SIGUSR1, before)
    until(lambda: queued(client, place) == 0, "its place is given up")


async def test_a_cancellation_loses_no_answer(
    url: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: the same for an event loop. Method: cancel between the key and the answer."""
    async with AsyncClient([url]) as client:
        lock = AsyncLock(client, place, ttl=60)
        real = lock._asking.keys

        async def late(request: Request) -> Result:
            answer = await real(request)
            if request.method == "POST":
                taking.cancel()
                await asyncio.sleep(0)
            return answer

        monkeypatch.setattr(lock._asking, "keys", late)
        taking = asyncio.create_task(lock.acquire())
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert not (await client.get(place)).node.nodes


async def test_an_async_waiter_gives_up(url: str, place: str) -> None:
    """Goal: `wait_s`, and cancellation, leave the queue. Method: try a lock that is held."""
    async with AsyncClient([url]) as client, AsyncLock(client, place, ttl=5):
        with pytest.raises(LockTimeout):
            await AsyncLock(client, place, ttl=5, wait_s=0.1).acquire()
        waiting = asyncio.create_task(AsyncLock(client, place, ttl=5).acquire())
        while len((await client.get(place)).node.nodes or ()) < 2:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len((await client.get(place)).node.nodes or ()) == 1


def test_a_lock_survives_the_leader() -> None:
    """Goal: a holder keeps the lock and a waiter gets it although the leader is killed. Method:
    three members; kill the leader while one holds and one waits, write, then release."""
    with cluster(3) as members:
        urls = [member.url for member in members]
        with Client(urls) as client, Client(urls) as other, ThreadPoolExecutor(1) as pool:
            waiter = Lock(other, "/lock", ttl=10)
            with Lock(client, "/lock", ttl=10) as held:
                taken = pool.submit(waiter.acquire)
                until(lambda: queued(client, "/lock") == 2, "it waits")
                leader_of(members).kill()
                until(lambda: written(client), "the others have elected a leader", deadline_s=20)
                held.check()
                assert not taken.done()
            taken.result(20)
            waiter.check()
            waiter.release()


def written(client: Client) -> bool:
    """Whether something can be written."""
    try:
        client.set("/written", "v")
    except ClusterUnavailable:
        return False
    return True


def test_only_numbers_count() -> None:
    """Goal: another key in the directory does not stop the queue for ever. Method: the decision
    alone: a permanent key that sorts first, and a directory."""
    turn = Turn("/q", "v", 5)
    turn.took(turn.request(), Result("create", Node("/q/05", "v", created_index=5), None, 5))
    nodes = (Node("/q/02", dir=True), Node("/q/a", "x"), Node("/q/05", "v"))
    turn.took(turn.request(), Result("get", Node("/q", dir=True, nodes=nodes), None, 9))
    assert turn.is_first


def test_an_unknown_creation_is_looked_for_and_made_again() -> None:
    """Goal: after a lost answer nobody believes to be in the queue. Method: the decision alone."""
    turn = Turn("/q", "v", 5)
    assert turn.request().once
    turn.took(turn.request(), ClusterUnavailable([]))
    assert turn.request().method == "GET"
    turn.took(turn.request(), Result("get", Node("/q", dir=True), None, 9))
    assert turn.request().method == "POST"
    assert not turn.is_first


def test_a_waiter_asks_for_the_key_in_front() -> None:
    """Goal: a release wakes one waiter, not all. Method: the question asked behind a listing."""
    turn = Turn("/q", "v", 5)
    turn.took(turn.request(), Result("create", Node("/q/05", "v", created_index=5), None, 5))
    nodes = (Node("/q/03", "a"), Node("/q/04", "b"), Node("/q/05", "v"), Node("/q/06", "c"))
    turn.took(turn.request(), Result("get", Node("/q", dir=True, nodes=nodes), None, 9))
    request = turn.request()
    assert (request.path, request.waits) == ("/v2/keys/q/04", True)
    assert "waitIndex=10" in request.query


async def test_nobody_there() -> None:
    """Goal: who waits for a lock is told that nobody answers, can end it, and reads why at its end.
    Method: an endpoint where nobody listens, for both kinds of lock.
    """
    outages: list[ClientError] = []

    def end(error: ClientError) -> None:
        raise error

    nowhere = "http://127.0.0.1:1"
    async with AsyncClient([nowhere]) as client:
        with pytest.raises(ClusterUnavailable):
            await AsyncLock(client, "/l", on_outage=end).acquire()
        with pytest.raises(LockTimeout, match=r"within 0\.4 s \(client: etcd cluster is unavail"):
            await AsyncLock(client, "/l", wait_s=0.4, on_outage=outages.append).acquire()
    with Client([nowhere]) as other:
        with pytest.raises(ClusterUnavailable):
            Lock(other, "/l", on_outage=end).acquire()
        with pytest.raises(LockTimeout, match=r"within 0\.4 s \(client: etcd cluster is unavail"):
            Lock(other, "/l", wait_s=0.4, on_outage=outages.append).acquire()
    assert [type(outage) for outage in outages] == [ClusterUnavailable] * 2
