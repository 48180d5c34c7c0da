"""python-etcd 0.4.5, the client of Patroni and many scripts, against both servers."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import etcd  # type: ignore[import-untyped]
import pytest

from tests.clients.reachable import first_watcher
from tests.clients.waiting import until
from tests.oracle import Server

WAIT_S = 20


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """A client that knows one URL and learns the others."""
    made = etcd.Client(
        host="127.0.0.1", port=server.client_port, allow_reconnect=True, read_timeout=WAIT_S
    )
    yield made
    made.http.clear()


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """Where a call that waits goes on while the test writes."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_read_and_write(client: Any) -> None:
    """Goal: values, indexes and newKey come back. Method: write, overwrite, read."""
    first = client.write("/pe/plain", "1")
    assert (first.action, first.newKey, first.value) == ("set", True, "1")
    second = client.write("/pe/plain", "ü<&>\n", ttl=60)
    assert not second.newKey
    assert second._prev_node.value == "1"
    read = client.read("/pe/plain")
    assert (read.value, read.modifiedIndex) == ("ü<&>\n", second.modifiedIndex)
    assert read.ttl in (59, 60)
    assert read.etcd_index == second.etcd_index == first.modifiedIndex + 1
    assert "/pe/plain" in client
    assert "/pe/other" not in client


def test_errors_are_the_library_s(client: Any) -> None:
    """Goal: each errorCode becomes its exception. Method: one mistake of each kind."""
    client.write("/pe/errors/file", "x")
    with pytest.raises(etcd.EtcdKeyNotFound):
        client.read("/pe/errors/none")
    with pytest.raises(etcd.EtcdAlreadyExist):
        client.write("/pe/errors/file", "y", prevExist=False)
    with pytest.raises(etcd.EtcdKeyNotFound):
        client.write("/pe/errors/none", "y", prevExist=True)
    with pytest.raises(etcd.EtcdNotFile):
        client.write("/pe/errors", "y")
    with pytest.raises(etcd.EtcdNotDir):
        client.write("/pe/errors/file/below", "y")
    with pytest.raises(etcd.EtcdDirNotEmpty):
        client.delete("/pe/errors", dir=True)
    with pytest.raises(etcd.EtcdRootReadOnly):
        client.delete("/", recursive=True)


def test_test_and_set(client: Any) -> None:
    """Goal: compareAndSwap by value and index, and compareAndDelete. Method: right and wrong."""
    client.write("/pe/cas", "a")
    assert client.test_and_set("/pe/cas", "b", "a").action == "compareAndSwap"
    with pytest.raises(etcd.EtcdCompareFailed):
        client.test_and_set("/pe/cas", "c", "a")
    node = client.read("/pe/cas")
    node.value = "d"
    assert client.update(node).value == "d"
    with pytest.raises(etcd.EtcdCompareFailed):
        client.write("/pe/cas", "e", prevIndex=node.modifiedIndex)
    with pytest.raises(etcd.EtcdCompareFailed):
        client.delete("/pe/cas", prevValue="b")
    assert client.delete("/pe/cas", prevValue="d").action == "compareAndDelete"


def test_ttl_and_refresh(client: Any) -> None:
    """Goal: a refreshed key keeps its value and its life, another one ends. Method: wait for the
    second key's expiry; the first, refreshed meanwhile, is there."""
    client.write("/pe/ttl/kept", "v", ttl=1)
    refreshed = client.refresh("/pe/ttl/kept", ttl=100)
    assert (refreshed.action, refreshed.value) == ("update", "v")
    client.write("/pe/ttl/gone", "v", ttl=1)
    until(lambda: "/pe/ttl/gone" not in client, "the key expires")
    kept = client.read("/pe/ttl/kept")
    assert kept.value == "v"
    assert 90 < kept.ttl <= 100


def test_directories(client: Any) -> None:
    """Goal: listings, leaves and recursive deletes. Method: a small tree, in-order keys in it."""
    client.write("/pe/tree", None, dir=True)
    for number in range(3):
        client.write("/pe/tree/queue", f"job {number}", append=True)
    client.write("/pe/tree/leaf", "x")
    client.write("/pe/tree/empty", None, dir=True)
    listing = client.read("/pe/tree", recursive=True, sorted=True)
    assert listing.dir
    keys = [node.key.removeprefix("/pe/tree/") for node in listing.leaves]
    assert [key for key in keys if not key.startswith("queue/")] == ["empty", "leaf"]
    jobs = [node.value for node in listing.leaves if "/queue/" in node.key]
    assert jobs == ["job 0", "job 1", "job 2"]
    assert client.delete("/pe/tree", recursive=True).dir


def _waiting(
    server: Server, beside: ThreadPoolExecutor, call: Callable[[], Any], act: Callable[[], object]
) -> Any:
    """The result of a call that waits until `act` has happened."""
    with first_watcher(server) as registered:
        waiting = beside.submit(call)
        registered()
    act()
    return waiting.result(WAIT_S)


def test_watch(client: Any, server: Server, beside: ThreadPoolExecutor) -> None:
    """Goal: a watch returns the next change, or a past one by its index. Method: both."""
    seen = _waiting(
        server,
        beside,
        lambda: client.watch("/pe/watch", recursive=True),
        lambda: client.write("/pe/watch/below", "now"),
    )
    assert (seen.key, seen.value) == ("/pe/watch/below", "now")
    client.write("/pe/watch/below", "later")
    past = client.watch("/pe/watch/below", index=seen.modifiedIndex)
    assert past.modifiedIndex == seen.modifiedIndex
    deleted = _waiting(
        server,
        beside,
        lambda: client.watch("/pe/watch/below"),
        lambda: client.delete("/pe/watch/below"),
    )
    assert (deleted.action, deleted._prev_node.value) == ("delete", "later")


def test_watch_times_out(client: Any) -> None:
    """Goal: the client's time-out is a time-out, nothing else. Method: nobody writes."""
    with pytest.raises(etcd.EtcdWatchTimedOut):
        client.watch("/pe/silent", timeout=0.2)


def test_watch_of_a_cleared_index(client: Any) -> None:
    """Goal: EtcdEventIndexCleared carries the index to go on from. Method: 1,000 writes later."""
    first = client.write("/pe/history", "0").modifiedIndex
    for number in range(1000):
        last = client.write("/pe/history", str(number)).modifiedIndex
    with pytest.raises(etcd.EtcdEventIndexCleared) as raised:
        client.watch("/pe/history", index=first)
    assert raised.value.payload["index"] == last


def test_eternal_watch(client: Any) -> None:
    """Goal: no event is missed or seen twice. Method: follow 100 writes from an index, each read
    by a request of its own."""
    start = client.write("/pe/eternal/0", "0").modifiedIndex
    for number in range(1, 100):
        client.write(f"/pe/eternal/{number}", str(number))
    events = client.eternal_watch("/pe/eternal", index=start, recursive=True)
    seen = [next(events).value for _ in range(100)]
    assert seen == [str(number) for number in range(100)]


def test_lock(client: Any, server: Server, beside: ThreadPoolExecutor) -> None:
    """Goal: the library's lock excludes, and hands over. Method: a second taker waits for the
    first one's release."""
    first, second = etcd.Lock(client, "pe"), etcd.Lock(client, "pe")
    assert first.acquire(lock_ttl=60)
    assert first.is_acquired
    assert not second.acquire(blocking=False, lock_ttl=60)

    taken = _waiting(
        server, beside, lambda: second.acquire(timeout=WAIT_S, lock_ttl=60), first.release
    )
    assert taken
    assert second.is_acquired
    assert not first.is_acquired
    second.release()
    assert not second.is_acquired


def test_what_it_says_about_the_cluster(client: Any, server: Server) -> None:
    """Goal: machines, members, leader, versions and stats. Method: compare with what we started."""
    assert client.machines == [server.url]
    member = client.leader
    assert (member["name"], member["clientURLs"]) == ("default", [server.url])
    assert list(client.members) == [member["id"]]
    assert client.version.startswith("3.")
    assert client.cluster_version.startswith("3.")
    assert client.stats["leaderInfo"]["leader"] == member["id"]
    assert client.store_stats["setsSuccess"] > 0
    assert client.leader_stats["leader"] == member["id"]
    assert json.loads(json.dumps(client.stats))["state"] == "StateLeader"
