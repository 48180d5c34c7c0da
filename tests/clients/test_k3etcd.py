"""k3etcd 0.2.3, a client that is still maintained, against both servers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import k3etcd  # type: ignore[import-untyped]
import pytest

from tests.clients.reachable import first_watcher
from tests.oracle import Server

WAIT_S = 20


@pytest.fixture
def client(server: Server) -> Any:
    """A client that knows one host."""
    return k3etcd.Client(host="127.0.0.1", port=server.client_port, read_timeout=WAIT_S)


def test_keys(client: Any) -> None:
    """Goal: set, get, update, compare, delete. Method: one key through all of them."""
    made = client.set("/k3/key", "1")
    assert (made.key, made.value, made.dir) == ("/k3/key", "1", False)
    assert client.get("/k3/key").value == "1"
    assert client.test_and_set("/k3/key", "2", prevValue="1").value == "2"
    with pytest.raises(k3etcd.EcodeTestFailed):
        client.test_and_set("/k3/key", "3", prevValue="1")
    node = client.get("/k3/key")
    node.value = "4"
    assert client.update(node).value == "4"
    with pytest.raises(k3etcd.EcodeTestFailed):
        client.test_and_delete("/k3/key", prevValue="1")
    assert client.test_and_delete("/k3/key", prevValue="4").action == "compareAndDelete"
    with pytest.raises(k3etcd.EcodeKeyNotFound):
        client.get("/k3/key")
    assert "/k3/key" not in client


def test_ttl_and_refresh(client: Any) -> None:
    """Goal: a TTL is shown and refreshed. Method: read it back."""
    client.set("/k3/ttl", "v", ttl=50)
    assert client.get("/k3/ttl").ttl in (49, 50)
    client.refresh("/k3/ttl", ttl=100)
    refreshed = client.get("/k3/ttl")
    assert refreshed.value == "v"
    assert refreshed.ttl in (99, 100)


def test_directories(client: Any) -> None:
    """Goal: make, list, in-order children, delete. Method: a small tree."""
    client.mkdir("/k3/dir")
    with pytest.raises(k3etcd.EcodeNotFile):
        client.mkdir("/k3/dir")
    for number in range(3):
        client.write("/k3/dir/queue", f"job {number}", append=True)
    found = client.rlsdir("/k3/dir", sorted=True)
    assert [leaf.value for leaf in found.leaves] == ["job 0", "job 1", "job 2"]
    with pytest.raises(k3etcd.EcodeDirNotEmpty):
        client.deldir("/k3/dir")
    assert client.rdeldir("/k3/dir").dir


def test_watch(client: Any, server: Server) -> None:
    """Goal: a watch wakes, and can begin in the past. Method: write while it waits; then go
    through all changes by index."""
    with ThreadPoolExecutor(1) as beside:
        with first_watcher(server) as registered:
            waiting = beside.submit(client.watch, "/k3/watch", timeout=WAIT_S)
            registered()
        first = client.set("/k3/watch", "0").modifiedIndex
        assert waiting.result(WAIT_S).value == "0"
    for number in range(1, 20):
        last = client.set("/k3/watch", str(number)).modifiedIndex
    seen = [event.value for event in client.eternal_watch("/k3/watch", first, until=last)]
    assert seen == [str(number) for number in range(20)]


def test_what_it_says_about_the_cluster(client: Any, server: Server) -> None:
    """Goal: members, leader, ids, names, versions, stats. Method: compare with what we started."""
    leader = client.leader
    assert (leader["name"], leader["clientURLs"]) == ("default", [server.url])
    assert client.ids == [leader["id"]]
    assert client.names == ["default"]
    assert client.clienturls == [server.url]
    assert client.version["etcdserver"].startswith("3.")
    assert client.st_self["id"] == leader["id"]
    assert client.st_store["watchers"] == 0
