"""Watches that hear nothing: because nothing happens, or because their member is silently gone."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from pyetcdctl import AsyncClient, Change, Client, ClientError, watching
from tests.oracle import Pyetcd
from tests.oracle.process import RealEtcd
from tests.server.members import EtcdMember, Member, cluster, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyetcdctl.requests import Request
    from tests.oracle.process import Server

QUIET_S = 1.0
JOIN_S = 20.0
FOREIGN = 600
"""Less than the 1,000 events a server keeps, twice as many are more."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where each question of a watch begins; they stay open for a second, not a minute."""
    begins: list[int] = []
    request = watching.Watch.request

    def noted(watch: watching.Watch) -> Request:
        question = request(watch)
        begins.extend(int(each) for each in re.findall(r"waitIndex=(\d+)", question.query))
        return question

    monkeypatch.setattr(watching, "POLL_S", QUIET_S)
    monkeypatch.setattr(watching.Watch, "request", noted)
    return begins


class Follower:
    """A watch of one of the clients, to the key that is the last, in a thread."""

    def __init__(self, kind: type, urls: Sequence[str], after_index: int) -> None:
        self.changes: list[Change] = []
        self._how = kind, list(urls), after_index
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def told(self) -> list[tuple[str, str]]:
        """What it was told so far."""
        return [(change.action, change.node.key) for change in self.changes]

    def ended(self) -> list[tuple[str, str]]:
        """Wait for the last one; what it was told in all."""
        self._thread.join(JOIN_S)
        assert not self._thread.is_alive(), self.told
        return self.told

    def _follow(self) -> None:
        kind, urls, index = self._how
        if kind is AsyncClient:
            asyncio.run(self._follow_async(urls, index))
            return
        with Client(urls, luck=random.Random(1)) as client:
            for change in client.watch("/w", recursive=True, after_index=index):
                self.changes.append(change)
                if change.node.key == "/w/last":
                    return

    async def _follow_async(self, urls: list[str], index: int) -> None:
        async with AsyncClient(urls, luck=random.Random(1)) as client:
            async for change in client.watch("/w", recursive=True, after_index=index):
                self.changes.append(change)
                if change.node.key == "/w/last":
                    return


def write(urls: Sequence[str], key: str) -> int:
    """Write until it is done: somebody has to be elected first, perhaps; its index."""
    done: list[int] = []

    def try_it() -> bool:
        try:
            done.append(client.set(key, "x").index)
        except ClientError:
            return False
        return True

    with Client(urls) as client:
        until(try_it, f"{key} is written")
    return done[-1]


@pytest.mark.parametrize("kind", [EtcdMember, Member])
@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGTERM])
def test_a_member_that_is_gone(kind: type[Member], end: signal.Signals, asked: list[int]) -> None:
    """Goal: a watch goes on at another member when its own hangs, in bounded time, or is stopped
    cleanly. Method: that member of three gets a signal while a watch of each client waits there.
    """
    with cluster(3, kind) as members:
        urls = [member.url for member in members]
        with Client(urls, luck=random.Random(1)) as client:
            first = client.endpoints[0]
        own = next(member for member in members if member.url == first)
        others = [url for url in urls if url != first]
        index = write(urls, "/w/before")
        followers = [Follower(each, urls, index) for each in (Client, AsyncClient)]
        write(urls, "/w/first")
        for follower in followers:
            until(lambda f=follower: f.told, "the first one")
        until(lambda: len(asked) >= 2 * len(followers), "they wait for the next one")
        os.kill(own.pid, end)
        try:
            write(others, "/w/last")
            told = [follower.ended() for follower in followers]
        finally:
            if end is signal.SIGSTOP:
                os.kill(own.pid, signal.SIGCONT)
    assert told == [[("set", "/w/first"), ("set", "/w/last")]] * 2


@pytest.mark.parametrize("server_kind", [RealEtcd, Pyetcd])
def test_what_happens_elsewhere(server_kind: type[Server], asked: list[int]) -> None:
    """Goal: asking again costs a quiet watch of a busy store nothing: no 401, no reading anew.
    Method: more events elsewhere than the server keeps, with a new question in the middle.
    """
    with server_kind() as server:
        index = write([server.url], "/w/before")
        followers = [Follower(each, [server.url], index) for each in (Client, AsyncClient)]
        for _ in range(2):
            reached = foreign(server.url)
            until(lambda r=reached: min(asked[-4:]) > r, "they have asked again")
        write([server.url], "/w/last")
        assert [follower.ended() for follower in followers] == [[("set", "/w/last")]] * 2


def foreign(url: str) -> int:
    """Write elsewhere; the last index."""
    with Client([url]) as client:
        return [client.set(f"/foreign/{number % 10}", "x").index for number in range(FOREIGN)][-1]
