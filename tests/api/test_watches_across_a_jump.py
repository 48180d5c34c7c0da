"""Waiting requests on a member that catches up by a snapshot: nothing is missed in silence."""

import asyncio
import json
from unittest import mock

from api import Backend
from api.exchange import Stream
from api.keys import Keys
from kvstore import Machine
from kvstore.commands import Command, Set, encode
from tests.api.fake_node import ONE, TWO, cluster, request

DEADLINE_S = 10.0


async def watch(backend: Backend, query: str) -> Stream:
    """Begin to wait."""
    answer = await Keys(backend).handle(request("GET", f"/v2/keys/a?wait=true{query}"))
    assert isinstance(answer, Stream)
    return answer


def catch_up(backend: Backend, *commands: Command) -> None:
    """Have the backend's machine get by a snapshot what another one has applied meanwhile."""
    ahead = Machine()
    ahead.adopt(Machine.thaw(list(backend.machine.freeze())))
    ahead.apply(1, 1, [encode(command) for command in commands])
    backend.machine.adopt(Machine.thaw(list(ahead.freeze())))


async def following(stream: Stream) -> str | None:
    """The value of the next event; None at the end."""
    async with asyncio.timeout(DEADLINE_S):
        body = await stream.feed.next()
    return None if body is None else json.loads(body)["node"]["value"]


async def told(stream: Stream, count: int) -> list[str | None]:
    """The values of the next events."""
    return [await following(stream) for _ in range(count)]


async def test_what_was_missed_is_told_and_the_watch_goes_on() -> None:
    """Goal: a poll gets the first event it missed, a stream all of them and what comes later.
    Method: both wait; the member jumps; a write is applied."""
    backend = cluster(ONE, TWO)
    poll, stream = await watch(backend, ""), await watch(backend, "&stream=true")
    catch_up(backend, Set(b"/a", b"1"), Set(b"/b", b"x"), Set(b"/a", b"2"))
    backend.machine.apply(2, 2, [encode(Set(b"/a", b"3"))])
    assert await told(poll, 1) == ["1"]
    assert not poll.feed.has_events
    assert await told(stream, 3) == ["1", "2", "3"]
    assert not stream.feed.ended
    assert backend.machine.store.watchers.count == 1
    stream.feed.close()
    assert backend.machine.store.watchers.count == 0


async def test_what_is_lost_ends_the_answer() -> None:
    """Goal: where the snapshot's history does not reach back, a stream first gives what it had,
    then ends, and a poll ends without an event, so that clients ask again; one that waits for an
    index to come goes on. Method: a history of two events."""
    backend = cluster(ONE, TWO)
    with mock.patch("kvstore.history.EVENTS_MAX", 2):
        stream = await watch(backend, "&stream=true")
        backend.machine.apply(1, 1, [encode(Set(b"/a", b"0"))])
        poll = await watch(backend, "")
        index = backend.machine.store.index
        later = await watch(backend, f"&waitIndex={index + 9}")
        backend.machine.apply(1, 1, [encode(Set(b"/b", b"x")), encode(Set(b"/b", b"y"))])
        assert not poll.feed.ended
        catch_up(backend, *(Set(b"/a", b"%d" % number) for number in range(3)))
        assert await told(stream, 1) == ["0"]
        assert await following(stream) is None
        assert await following(poll) is None
        assert not later.feed.ended
        assert backend.machine.store.watchers.count == 1
