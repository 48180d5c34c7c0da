"""Clients that are slow, many, half gone, or do not read what they asked for."""

import asyncio
import contextlib
import json
import resource
from collections.abc import Iterator

import pytest

from tests.adversity.victim import Victim, drain, raw, statuses
from tests.clients.reachable import watchers
from tests.clients.waiting import until
from tests.oracle import Connection, Request

IDLE = 10_000
OTHER_FILES = 500
POLLS = 200
SILENT_READER_EVENTS_MAX = 6000
EVENT_VALUE = "v" * (16 << 10)
RESIDENT_PER_IDLE_MAX_BYTES = 40_000
FILES = 300
CLIENTS_AT_LEAST = 150
MEMBERS = Request("GET", b"/members")
REQUEST = Request.form("PUT", "/v2/keys/slow", "value=0123456789")


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process as many connections as the test needs; the server sees to itself."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = IDLE + OTHER_FILES
    hard = before[1]
    if hard != resource.RLIM_INFINITY and hard < needed:
        hard = needed  # root may raise it, and its lack is a failure
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0], hard))


def test_byte_by_byte(victim: Victim) -> None:
    """Goal: a slow sender is served. Method: one byte a packet, other clients in between."""
    data = REQUEST.encoded()
    with victim.connect() as slow, victim.connect() as other:
        for position in range(len(data)):
            slow.send(data[position : position + 1])
            if position % 40 == 0:
                assert other.ask(Request("GET", b"/version")).status == 200
        assert slow.answer("PUT").status in (200, 201)


@pytest.mark.parametrize("end", ["says so", "vanishes"])
def test_half_requests(end: str, victim: Victim) -> None:
    """Goal: a request cut anywhere is no write and no error of ours. Method: cut one at each
    position; the client says that nothing more comes, or resets the connection."""
    data = Request.form("PUT", "/v2/keys/half", "value=0123456789").encoded()
    for cut in range(1, len(data)):
        if end == "says so":
            got = raw(victim, data[:cut])
            assert all(400 <= status < 500 for status in statuses(got)), (cut, got)
        else:
            with victim.connect() as connection:
                connection.send(data[:cut])
    with victim.connect() as connection:
        assert connection.ask(Request("GET", b"/v2/keys/half")).status == 404


def test_ten_thousand_idle_connections(victim: Victim, many_files: None) -> None:
    """Goal: idle connections cost little memory and hold nobody up. Method: 10,000, a third of
    them in the middle of a request; others are served; then all go."""
    before = victim.resident_bytes
    half = b"PUT /v2/keys/idle HTTP/1.1\r\nHost: x\r\nContent-Le"
    with contextlib.ExitStack() as stack:
        idle = []
        for number in range(IDLE):
            connection = stack.enter_context(Connection(victim.client_port))
            if number % 3 == 0:
                connection.send(half)
            idle.append(connection)
        with victim.connect() as busy:
            for number in range(200):
                put = busy.ask(Request.form("PUT", "/v2/keys/busy", f"value={number}"))
                assert put.status in (200, 201)
        grown = victim.resident_bytes - before
        assert grown < IDLE * RESIDENT_PER_IDLE_MAX_BYTES
        for number in range(1, IDLE, IDLE // 50):
            if number % 3:
                assert idle[number].ask(Request("GET", b"/v2/keys/busy")).status == 200


def test_a_vanished_poll_frees_its_watcher(victim: Victim) -> None:
    """Goal: no watcher outlives its client. Method: polls and streams whose clients go away, with
    or without a word."""
    with contextlib.ExitStack() as stack:
        for number in range(POLLS):
            connection = stack.enter_context(victim.connect())
            stream = "&stream=true" if number % 2 else ""
            target = f"/v2/keys/poll/{number}?wait=true&recursive=true{stream}"
            connection.start(Request("GET", target.encode()))
            connection.head()
        assert watchers(victim) == POLLS
    until(lambda: watchers(victim) == 0, "the watchers are gone")


def test_a_poll_behind_a_poll(victim: Victim) -> None:
    """Goal: pipelined polls are answered in turn, and vanish together. Method: three in one
    packet; one is answered, then the client goes."""
    with victim.connect() as connection, victim.connect() as writer:
        connection.send(Request("GET", b"/v2/keys/turn?wait=true").encoded() * 3)
        connection.head()
        writer.ask(Request.form("PUT", "/v2/keys/turn", "value=1"))
        assert b'"value":"1"' in (connection.chunk() or b"")
    until(lambda: watchers(victim) == 0, "the watchers are gone")


def test_a_stream_that_nobody_reads(victim: Victim) -> None:
    """Goal: a stream whose reader is too slow is closed without its proper end, never silently
    thinned out. Method: write large events until its watcher is gone; what was sent is then read:
    the events follow each other without a gap, and the end is no end of an answer."""
    with victim.connect() as stream, victim.connect() as writer:
        stream.start(Request("GET", b"/v2/keys/flood?wait=true&stream=true&recursive=true"))
        stream.head()
        first = 0
        for _ in range(SILENT_READER_EVENTS_MAX):
            put = writer.ask(Request.form("PUT", "/v2/keys/flood/x", f"value={EVENT_VALUE}"))
            assert put.status in (200, 201), put
            first = first or json.loads(put.body)["node"]["modifiedIndex"]
            if watchers(victim) == 0:
                break
        else:
            pytest.fail("the stream is still open")
        got = drain(stream)
    assert not got.endswith(b"0\r\n\r\n")
    seen = [
        json.loads(line)["node"]["modifiedIndex"]
        for line in got.split(b"\r\n")
        if line.startswith(b"{") and line.endswith(b"}\n")
    ]
    assert seen == list(range(first, first + len(seen)))


async def test_readers_that_leave_in_the_middle(victim: Victim) -> None:
    """Goal: a client that goes away while a large answer is sent costs nothing but the answer.
    Method: a listing of megabytes, of which each client reads a little."""
    with victim.connect() as writer:
        for number in range(200):
            writer.ask(Request.form("PUT", f"/v2/keys/wide/{number}", f"value={EVENT_VALUE}"))
    for _ in range(30):
        reader, sender = await asyncio.open_connection("127.0.0.1", victim.client_port)
        sender.write(Request("GET", b"/v2/keys/wide?recursive=true").encoded())
        assert (await reader.readexactly(100)).startswith(b"HTTP/1.1 200")
        sender.transport.abort()
    with victim.connect() as writer:
        assert writer.ask(Request("DELETE", b"/v2/keys/wide?recursive=true")).status == 200


class FewFiles(Victim):
    """A server that may have few descriptors."""

    def command(self) -> list[str]:
        return ["bash", "-c", f'ulimit -n {FILES}; exec "$0" "$@"', *super().command()]


def test_strangers_on_the_peer_port_leave_files_for_others() -> None:
    """Goal: who connects to the peer port and says nothing that ends, or asks and stays, takes no
    descriptor from clients nor from the log, and keeps nobody out there. Method: more such
    connections than the server may have files; then clients write until the log begins new files.
    """
    with FewFiles() as server, contextlib.ExitStack() as stack:
        for number in range(2 * FILES):
            stranger = stack.enter_context(Connection(server.peer_port))
            with contextlib.suppress(OSError):
                stranger.send(MEMBERS.encoded() if number % 4 == 0 else b"GET /members HT")
        with server.connect() as client:
            for number in range(20):
                put = Request.form("PUT", f"/v2/keys/large{number}", "value=" + "v" * (5 << 20))
                assert client.ask(put).status == 201
        with Connection(server.peer_port) as joiner:
            assert joiner.ask(MEMBERS).status == 200
        assert server.open_files < FILES - CLIENTS_AT_LEAST
        server.check()
