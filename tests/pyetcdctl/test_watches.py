"""Watches of the library miss nothing and tell nothing twice, whatever happens to the members."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from itertools import groupby, islice
from typing import TYPE_CHECKING

import pytest

from pyetcdctl import RESYNC, AsyncClient, Change, Client, ClientError, Node
from tests.oracle import Pyetcd
from tests.oracle.process import RealEtcd, Server
from tests.pyetcdctl.answering import Reply, answering
from tests.server.members import EtcdMember, Member, cluster, leader_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

# More than a server keeps.
FOREIGN = 5000


@pytest.fixture(params=[RealEtcd, Pyetcd])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of its own."""
    with request.param() as one:
        yield one


def told(change: Change) -> tuple[str, str, str]:
    """What a change is about."""
    return change.action, change.node.key, change.node.value


def forget(client: Client, server: Server) -> None:
    """Let the server forget all that has happened so far."""
    for number in range(FOREIGN):
        client.set(f"/foreign/{number % 10}", "x")


def test_every_event_once(server: Server) -> None:
    """Goal: all events, in order, also those of the past. Method: begin behind an index."""
    with Client([server.url]) as client:
        start = client.set("/w/a", "0").index
        client.set("/w/a", "1")
        client.set("/elsewhere", "x")
        client.delete("/w/a")
        client.set("/w/b", "2")
        changes = list(islice(client.watch("/w", recursive=True, after_index=start), 3))
        assert [told(change) for change in changes] == [
            ("set", "/w/a", "1"),
            ("delete", "/w/a", ""),
            ("set", "/w/b", "2"),
        ]


def test_forgotten_events_come_as_differences(server: Server) -> None:
    """Goal: after a 401 nothing is missed and nothing is told twice: each node that came, changed
    or went is told once, and then the watch goes on. Method: 5,000 foreign writes while nobody
    asks.
    """
    with Client([server.url]) as client:
        for name in ("stays", "changes", "goes", "goes/below"[:4]):
            client.set(f"/w/{name}", "0")
        client.set("/w/dir/deep", "0")
        watch = client.watch("/w", recursive=True)
        waker = threading.Timer(0.3, client_set, (server.url, "/w/first", "1"))
        waker.start()
        assert told(next(watch)) == ("set", "/w/first", "1")
        waker.join()
        client.set("/w/changes", "1")
        client.set("/w/changes", "2")
        client.delete("/w/goes")
        client.delete("/w/dir", recursive=True)
        client.set("/w/comes", "1")
        forget(client, server)
        change = next(watch)
        assert change.action == RESYNC
        assert sorted(told(each) for each in change.differences) == [
            ("delete", "/w/dir", ""),
            ("delete", "/w/dir/deep", ""),
            ("delete", "/w/goes", ""),
            ("set", "/w/changes", "2"),
            ("set", "/w/comes", "1"),
        ]
        assert {node.key for node in change.node.nodes or ()} == {
            "/w/stays",
            "/w/changes",
            "/w/comes",
            "/w/first",
        }
        client.set("/w/last", "1")
        assert told(next(watch)) == ("set", "/w/last", "1")


def test_nothing_is_told_of_nothing(server: Server) -> None:
    """Goal: when the forgotten events are foreign, nothing is told but what comes afterwards, once.
    Method: as above, with one event afterwards.
    """
    with Client([server.url]) as client:
        watch = client.watch("/w", recursive=True)
        waker = threading.Timer(0.3, client_set, (server.url, "/w/first", "1"))
        waker.start()
        assert told(next(watch)) == ("set", "/w/first", "1")
        waker.join()
        forget(client, server)
        client.set("/w/a", "1")
        # It came before or after the subtree was read anew.
        change = next(watch)
        assert [told(each) for each in change.differences or (change,)] == [("set", "/w/a", "1")]
        client.set("/w/b", "1")
        assert told(next(watch)) == ("set", "/w/b", "1")


def test_what_went_is_told_to_who_began_behind_an_index(server: Server) -> None:
    """Goal: who follows the differences, or applies the changes, ends with what the server has;
    what was there before is told as gone to who says that it knew it. Method: an old key and one of
    the watch's own events go while nobody asks, and the server forgets it.
    """
    with Client([server.url]) as client:
        client.set("/w/old", "0")
        known = client.get("/w", recursive=True)
        index = client.set("/w/first", "1").index
        watches = {
            "index": client.watch("/w", recursive=True, after_index=known.index),
            "known": client.watch("/w", recursive=True, known=known),
        }
        pictures: dict[str, dict[str, Node]] = {"index": {}, "known": known.node.by_key()}
        for name, watch in watches.items():
            change = next(watch)
            assert (told(change), change.index) == (("set", "/w/first", "1"), index)
            change.apply(pictures[name])
        client.delete("/w/first")
        client.delete("/w/old")
        forget(client, server)
        client.set("/w/last", "2")
        gone = {}
        for name, watch in watches.items():
            change = next(watch)
            assert change.action == RESYNC
            gone[name] = [told(each) for each in change.differences]
            change.apply(pictures[name])
        assert gone["index"] == [("delete", "/w/first", ""), ("set", "/w/last", "2")]
        assert sorted(gone["known"]) == sorted([("delete", "/w/old", ""), *gone["index"]])
        there = client.get("/w", recursive=True).node.by_key()
        assert pictures == {"index": there, "known": there}


def client_set(url: str, key: str, value: str) -> None:
    """Set a key with a client of its own."""
    with Client([url]) as client:
        client.set(key, value)


@pytest.mark.parametrize("kind", [EtcdMember, Member])
def test_members_come_and_go(kind: type[Member]) -> None:
    """Goal: a watch survives its member's end, a new leader and a restart. Method: three members,
    each killed once while somebody writes; what was acknowledged is compared with what was told.
    """
    with cluster(3, kind) as members:
        asyncio.run(_follow(members))


async def _follow(members: list[Member]) -> None:
    urls = [member.url for member in members]
    indexes: list[int] = []
    told_values: list[str] = []
    written: list[str] = []
    done = asyncio.Event()

    async def follow() -> None:
        async with AsyncClient(urls) as client:
            async for change in client.watch("/w", recursive=True, after_index=start):
                assert change.action == "set"
                indexes.append(change.node.modified_index)
                told_values.append(change.node.value)
                if change.node.value == "last":
                    return

    async def write() -> None:
        async with AsyncClient(urls) as client:
            number = 0
            while not done.is_set():
                number += 1
                try:
                    await client.set("/w/k", str(number))
                    written.append(str(number))
                except ClientError:
                    pass  # it may or may not have happened
            while True:
                try:
                    await client.set("/w/k", "last")
                    return
                except ClientError:
                    continue

    async with AsyncClient(urls) as client:
        start = (await client.set("/w/k", "0")).index
    following, writing = asyncio.create_task(follow()), asyncio.create_task(write())
    for _ in range(3):
        victim = await asyncio.to_thread(leader_of, members)
        before = len(written)
        await asyncio.to_thread(victim.kill)
        await asyncio.to_thread(until, lambda b=before: len(written) > b + 20, "writes go on")
        await asyncio.to_thread(victim.start)
    done.set()
    await writing
    await asyncio.wait_for(following, 30)
    assert indexes == sorted(set(indexes))
    # A write whose answer was lost is made again, so a value may come as two events.
    values = [value for value, _repeats in groupby(told_values)]
    acknowledged = set(written)
    assert [value for value in values if value in acknowledged] == written
    numbers = [int(value) for value in values if value != "last"]
    assert numbers == sorted(set(numbers))


def test_a_watch_ends_with_a_no() -> None:
    """Goal: what will not pass is raised. Method: a watch below a key with a value."""
    with Pyetcd() as server, Client([server.url]) as client:
        client.set("/file", "x")
        with pytest.raises(ClientError, match="104: Not a directory"):
            next(client.watch("/file/below"))
        assert client.get("/file").node == Node("/file", "x", created_index=4, modified_index=4)


def wipe(server: Server) -> None:
    """Let the server begin anew at the same port."""
    server.kill()
    shutil.rmtree(server.data_dir)
    server.start()


@pytest.mark.parametrize("client_kind", ["Client", "AsyncClient"])
def test_a_cluster_that_begins_anew(server: Server, client_kind: str) -> None:
    """Goal: a watch of a server that was wiped is told so, and goes on: neither silence until the
    old index is reached, nor a storm of questions. Method: wipe it at the same port between two
    events, while the watch waits.
    """
    told_so_far: list[Change] = []
    with Client([server.url]) as client:
        for number in range(30):
            start = client.set("/w/old", str(number)).index
        client.set("/w/dir/deep", "1")
    following = threading.Thread(
        target=follow_until_last, args=(client_kind, server.url, start, told_so_far), daemon=True
    )
    following.start()
    until(lambda: len(told_so_far) == 1, "the event before")
    wipe(server)
    with Client([server.url]) as client:
        client.set("/w/new", "2")
        until(lambda: len(told_so_far) >= 2, "the resync")
        client.set("/w/last", "3")
    following.join(10)
    assert not following.is_alive()
    before, resync, *after = told_so_far
    assert told(before) == ("set", "/w/dir/deep", "1")
    assert resync.action == RESYNC
    assert resync.index < start
    # The new key is in the resync, or comes behind it: once.
    assert [told(each) for each in (*resync.differences, *after)] == [
        ("delete", "/w/dir/deep", ""),
        ("set", "/w/new", "2"),
        ("set", "/w/last", "3"),
    ]


def follow_until_last(kind: str, url: str, start: int, changes: list[Change]) -> None:
    """Watch with one of the clients, to the key that is the last."""

    async def follow() -> None:
        async with AsyncClient([url]) as client:
            async for change in client.watch("/w", recursive=True, after_index=start):
                changes.append(change)
                if change.node.key == "/w/last":
                    return

    if kind == "AsyncClient":
        asyncio.run(follow())
        return
    with Client([url]) as client:
        for change in client.watch("/w", recursive=True, after_index=start):
            changes.append(change)
            if change.node.key == "/w/last":
                return


def test_what_was_there_before_it_began_anew(server: Server) -> None:
    """Goal: who has been told what there was is told what has gone. Method: a watch that has read
    the subtree; wiped while nobody asks.
    """
    with Client([server.url]) as client:
        for number in range(30):
            client.set("/w/old", str(number))
        watch = client.watch("/w", recursive=True)
        waker = threading.Timer(0.3, client_set, (server.url, "/w/first", "1"))
        waker.start()
        assert told(next(watch)) == ("set", "/w/first", "1")
        waker.join()
        wipe(server)
        change = next(watch)
        assert change.action == RESYNC
        assert sorted(told(each) for each in change.differences) == [
            ("delete", "/w", ""),
            ("delete", "/w/first", ""),
            ("delete", "/w/old", ""),
        ]
        client.set("/w/old", "29")
        assert told(next(watch)) == ("set", "/w/old", "29")


def event(value: str, index: int) -> bytes:
    """A change of /w/k."""
    node = {"key": "/w/k", "value": value, "modifiedIndex": index, "createdIndex": index}
    return json.dumps({"action": "set", "node": node}).encode()


def test_an_event_of_before() -> None:
    """Goal: a server that does not heed waitIndex is neither believed twice nor asked in a loop;
    what changes is told. Method: one that answers each watch at once with the same event.
    """
    asked: list[float] = []
    value = "1"

    def behave(path: str, _headers: Message) -> Reply:
        if "wait=true" in path:
            asked.append(time.monotonic())
            return Reply(event("1", 10), index=20)
        return Reply(event(value, 10 if value == "1" else 15), index=20)

    with answering(behave) as url, Client([url]) as client:
        watch = client.watch("/w/k", after_index=9)
        assert told(next(watch)) == ("set", "/w/k", "1")
        assert next(watch).action == RESYNC  # what was there before is not known
        changes: list[Change] = []
        waiting = threading.Thread(target=lambda: changes.append(next(watch)), daemon=True)
        waiting.start()
        until(lambda: len(asked) >= 6, "it asks on")
        assert not changes
        value = "2"
        waiting.join(10)
        assert [told(each) for each in changes[0].differences] == [("set", "/w/k", "2")]
    assert asked[5] - asked[0] > 0.5


def test_a_member_that_lags() -> None:
    """Goal: a member that has not come as far as the others is no new beginning: no event is missed
    or merged. Method: one whose index is behind the watch's at first, and whose quorum's is not.
    """
    waits: list[str] = []
    reads: list[str] = []

    def behave(path: str, _headers: Message) -> Reply:
        if "wait=true" not in path:
            reads.append(path)
            return Reply(event("12", 12), index=12)
        waits.append(path)
        if len(waits) <= 2:
            return Reply(event("never", 99), index=8)
        return Reply(event("11", 11), index=12)

    with answering(behave) as url, Client([url]) as client:
        assert told(next(client.watch("/w/k", after_index=10))) == ("set", "/w/k", "11")
    assert ["waitIndex=11" in path for path in waits] == [True] * 3
    assert ["quorum=true" in path for path in reads] == [True] * 2


def test_without_an_index_nothing_has_begun_anew() -> None:
    """Goal: a proxy that takes the index away is no new beginning. Method: answers without one, but
    for the events'."""
    indexes = iter((11, 12))

    def behave(_path: str, _headers: Message) -> Reply:
        index = next(indexes)
        return Reply(event(str(index), index), index=None)

    with answering(behave) as url, Client([url]) as client:
        changes = list(islice(client.watch("/w/k", after_index=10), 2))
    assert [change.node.value for change in changes] == ["11", "12"]
