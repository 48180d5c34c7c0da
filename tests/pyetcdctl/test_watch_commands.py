"""watch and exec-watch beside members that come and go: what a shell sees of them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pyetcdctl import AsyncClient, Client
from tests.clients.reachable import reachable, watchers
from tests.clients.waiting import until
from tests.oracle import Pyetcd
from tests.pyetcdctl.running import running
from tests.server.members import Member, cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMS = {
    "watch": (["watch", "/k"], "{value}\n"),
    "forever": (["watch", "--forever", "/k"], "{value}\n"),
    "formatted": (["watch", "--forever", "--format", "{key} {value}", "/k"], "/k {value}\n"),
    "exec": (["exec-watch", "/k", "--", "sh", "-c", "echo $ETCD_WATCH_VALUE"], "{value}\n"),
}


@pytest.fixture(scope="module")
def members() -> Iterator[list[Member]]:
    """Three of them."""
    with cluster(3) as three:
        yield three


@contextmanager
def without_the_one_watched(members: list[Member], value: str) -> Iterator[None]:
    """Stop the member at which the one watch hangs, and set the key when it hangs at another one;
    in here the first one is away.
    """
    hosts: list[Member] = []

    def found() -> bool:
        hosts[:] = [member for member in members if watchers(member)]
        return len(hosts) == 1

    until(found, "one member has the watch")
    away = hosts[0]
    others = [member for member in members if member is not away]
    away.stop()
    try:
        until(lambda: any(watchers(member) for member in others), "another one has the watch")
        with Client([member.url for member in others]) as client:
            client.set("/k", value)
        yield
    finally:
        away.start()


@pytest.mark.parametrize("form", FORMS)
def test_the_member_of_a_watch_is_stopped(members: list[Member], form: str) -> None:
    """Goal: with other members up, nobody who watches sees that one is stopped. Method: SIGTERM to
    the member the watch hangs on, which ends it with an empty answer; a change at another one."""
    words, expected = FORMS[form]
    with running(members[0].url, *words) as watching, without_the_one_watched(members, form):
        watching.says(expected.format(value=form))
        assert watching.err == ""


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_library_goes_on(members: list[Member], kind: type[Client | AsyncClient]) -> None:
    """Goal, method: the same for a watch of the library."""
    urls = [member.url for member in members]
    told: list[str] = []

    async def follow() -> None:
        async with AsyncClient(urls) as client:
            async for change in client.watch("/k"):
                told.append(change.node.value)
                return

    def wait() -> None:
        if kind is AsyncClient:
            asyncio.run(follow())
            return
        with Client(urls) as client:
            told.append(next(client.watch("/k")).node.value)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    with without_the_one_watched(members, kind.__name__):
        waiting.join(10)
        assert told == [kind.__name__]


def test_the_only_member_is_stopped() -> None:
    """Goal: the watch ends as etcdctl's does: nobody is there any more. Method: one member."""
    with reachable(Pyetcd) as server, running(server.url, "watch", "--forever", "/k") as watching:
        until(lambda: watchers(server) == 1, "the watch")
        server.stop()
        ended = watching.ended()
    address = server.url.removeprefix("http://")
    assert ended.code == 4
    assert f"error #0: dial tcp {address}: connect: connection refused\n" in ended.err
