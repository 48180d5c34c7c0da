"""Leases: a key lives as long as it is kept, and a loss is told."""

import asyncio
import threading

import pytest

from pyetcdctl import AsyncClient, Client, ClusterUnavailable, KeyNotFound, NoTTL
from pyetcdctl.leases import AsyncLease, Keeping, Lease, LeaseLost
from tests.clients.waiting import until

GONE = KeyNotFound(100, "Key not found", "/k", 7)


def test_a_key_is_kept_alive_and_then_runs_out(client: Client, place: str) -> None:
    """Goal: the key outlives its TTL while it is kept, with its value, and not afterwards.
    Method: a TTL of 1 s; wait for six refreshes, each of them a third of it behind the last."""
    made = client.set(place, "v", ttl=1).node

    def refreshes() -> int:
        node = client.get(place).node
        assert (node.value, node.created_index) == ("v", made.created_index)
        seen.add(node.modified_index)
        return len(seen)

    seen: set[int] = set()
    with Lease(client, place, 1) as lease:
        until(lambda: refreshes() > 6, "six refreshes")
        assert lease.lost is None

    def is_gone() -> bool:
        try:
            client.get(place)
        except KeyNotFound:
            return True
        return False

    until(is_gone, "it runs out")


def test_no_watcher_is_woken(client: Client, place: str) -> None:
    """Goal: keeping a key alive is silent. Method: after three refreshes, the first event behind
    the creation is the next set."""
    made = client.set(place, "v", ttl=1)
    with Lease(client, place, 1):
        until(lambda: client.get(place).index >= made.index + 3, "three refreshes")
        client.set(place, "w", ttl=1)
        event = client.wait(place, wait_index=made.node.modified_index + 1)
    assert (event.action, event.node.value) == ("set", "w")


def test_a_removed_key_is_told(client: Client, place: str) -> None:
    """Goal: a loss is told by the callback, by check and at the end of the block. Method: remove
    the key behind the keeper's back."""
    client.set(place, "v", ttl=1)
    told: list[LeaseLost] = []
    was_told = threading.Event()

    def tell(lost: LeaseLost) -> None:
        told.append(lost)
        was_told.set()

    def keep() -> None:
        with Lease(client, place, 1, on_lost=tell) as lease:
            client.delete(place)
            assert was_told.wait(10)
            with pytest.raises(LeaseLost):
                lease.check()

    with pytest.raises(LeaseLost, match=f"^{place} is lost: 100: Key not found"):
        keep()
    assert [lost.key for lost in told] == [place]


def test_what_is_not_there_cannot_be_kept(client: Client, place: str) -> None:
    """Goal: the first refresh is the caller's. Method: a key that does not exist."""
    with pytest.raises(KeyNotFound), Lease(client, place, 1):
        pass


async def test_the_async_keeper(url: str, place: str) -> None:
    """Goal: the same from an event loop; a loss ends the block with LeaseLost, not with a
    cancelled task. Method: keep past a TTL, then remove the key while the block waits for ever."""
    async with AsyncClient([url]) as client:
        made = (await client.set(place, "v", ttl=1)).index

        async def keep() -> None:
            async with AsyncLease(client, place, 1) as lease:
                while (await client.get(place)).node.modified_index < made + 3:
                    await asyncio.sleep(0.01)
                assert lease.lost is None
                await client.delete(place)
                await asyncio.wait_for(asyncio.Event().wait(), 10)

        with pytest.raises(LeaseLost):
            await keep()
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()


async def test_a_cancelled_block_stays_cancelled(url: str, place: str) -> None:
    """Goal: somebody else's cancellation is not taken for a loss. Method: cancel the task."""
    async with AsyncClient([url]) as client:
        await client.set(place, "v", ttl=5)
        is_in = asyncio.Event()

        async def block() -> None:
            async with AsyncLease(client, place, 5):
                is_in.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(block())
        await is_in.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_when_a_key_is_lost() -> None:
    """Goal: it is lost a TTL after the last good refresh was sent, not after it was answered, and
    not before. Method: the timing alone, with times made up."""
    keeping = Keeping("/k", 9, alive_s=100.0)
    assert keeping.next_s == 103.0
    result = Client  # any outcome that is no error
    keeping.took(result, sent_s=103.0, at_s=105.0)  # type: ignore[arg-type]
    assert keeping.next_s == 106.0
    nobody = ClusterUnavailable([])
    keeping.took(nobody, sent_s=106.0, at_s=108.0)
    assert keeping.next_s == 108.75
    assert keeping.left_s(111.5) == 0.5
    keeping.look(111.99)
    assert keeping.lost is None
    keeping.look(112.0)
    assert str(keeping.lost).startswith("/k is lost: no refresh succeeded for 9 s (client: etcd")


def test_a_no_is_a_loss_at_once() -> None:
    """Goal: nobody goes on believing when the server says it is gone. Method: a 100."""
    keeping = Keeping("/k", 9, alive_s=100.0)
    keeping.took(GONE, sent_s=103.0, at_s=103.1)
    assert str(keeping.lost) == "/k is lost: 100: Key not found (/k) [7]"


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_ttl_that_is_none(client: Client, ttl: int) -> None:
    """Goal: bad input is refused with a sentence. Method: TTLs below 1."""
    with pytest.raises(ValueError, match=f"ttl is {ttl}, but has to be a whole number"):
        Lease(client, "/k", ttl)


@pytest.mark.parametrize("is_dir", [False, True])
async def test_what_was_meant_to_stay(client: Client, url: str, place: str, is_dir: bool) -> None:
    """Goal: nothing without a TTL gets one by being kept. Method: a key, and a directory with one
    in it, kept by both.
    """
    key = f"{place}/{is_dir}"
    client.set(f"{key}/k" if is_dir else key, "v")
    with pytest.raises(NoTTL, match=f"^{key} has no TTL, "), Lease(client, key, 1):
        pass
    async with AsyncClient([url]) as other:
        with pytest.raises(NoTTL):
            await AsyncLease(other, key, 1).start()
    assert client.get(key).node.expiration == ""
