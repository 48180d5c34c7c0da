"""The peer port, and what comes there that is no member."""

import asyncio
import random
import socket
from unittest import mock

import pytest

from api import App
from api.exchange import Answer, Request, Response
from raft.peers.entrance import WAITING_MAX
from raft.peers.handshake import HEAD_BYTES_MAX
from tests.raft.peers.loops import on_both_loops
from tests.raft.peers.station import (
    DEADLINE_S,
    Lines,
    Station,
    acquainted,
    all_connected,
    hang_up,
    note,
    opened,
    read_all,
    until,
)

MEMBERS = b'[{"id":1}]\n'


async def members(_request: Request) -> Answer:
    """Stand in for the real /members."""
    return Response(200, b"Content-Type: application/json\r\n", MEMBERS)


async def echo(request: Request) -> Answer:
    """Answer with the body."""
    return Response(200, b"", await request.body.read(1 << 20) or b"")


def http_app() -> App:
    """What a member serves to anyone."""
    return App({b"/members": members, b"/raft/echo": echo})


async def exchange(station: Station, data: bytes, step: int) -> bytes:
    """Send bytes by steps, and read until the other side closes."""
    reader, writer = await station.connect()
    for at in range(0, len(data), step):
        if writer.is_closing():
            break
        writer.write(data[at : at + step])
        await asyncio.sleep(0)
    answer = await read_all(reader)
    await hang_up(writer)
    return answer


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@on_both_loops
async def test_http_is_served_behind(step: int) -> None:
    """Goal: who is no member gets the HTTP server, with every byte, pipelined requests and bodies
    too. Method: the real server behind; requests whole and in pieces, among them some that begin
    almost as a member's does."""
    app = http_app()
    station = Station(1, fallback=app.protocol)
    asked = (
        b"GET /members HTTP/1.1\r\nHost: h\r\n\r\n"
        b"POST /raft/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
        b"GET /raft/pyetcdx HTTP/1.1\r\nHost: h\r\n\r\n"
        b"GET /raft/pyetcd HTTP/1.1\r\nHost: h\r\n\r\n"
        b"get /members HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )
    async with opened(station):
        answer = await exchange(station, asked, step)
        assert answer.count(b"HTTP/1.1 200 OK") == 2 + 1
        assert answer.count(b"HTTP/1.1 404") == 2
        assert answer.count(MEMBERS) == 2
        assert b"\r\n\r\nhello" in answer
        almost = b"GET /raft/pyetcdx HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        assert (await exchange(station, almost, step)).startswith(b"HTTP/1.1 404")
        await app.stop(0.1)


@on_both_loops
async def test_without_a_server_behind_there_is_a_404() -> None:
    """Goal: no request goes unanswered. Method: no fallback."""
    station = Station(1)
    async with opened(station):
        answer = await exchange(station, b"GET /members HTTP/1.1\r\nHost: h\r\n\r\n", 100)
        assert answer.startswith(b"HTTP/1.1 404")


def refused_cases() -> list[tuple[str, dict[str, object], int, str]]:
    """Requests that are not taken up: name, what is changed, status, words."""
    return [
        ("cluster", {"cluster_id": 0xBAD}, 412, "cluster ID mismatch (got bad want c57f099532fc"),
        ("addressee", {"wanted": 9}, 412, "member ID mismatch (got 9 want 1)"),
        ("ourselves", {"sender": 1}, 412, "another process says that it is this member"),
        ("removed", {"sender": 5}, 410, "member 5 has been removed"),
    ]


@pytest.mark.parametrize(("name", "changes", "status", "words"), refused_cases())
@on_both_loops
async def test_who_does_not_belong_here_is_told_so(
    name: str, changes: dict[str, object], status: int, words: str
) -> None:
    """Goal: each refusal has its status and says why, in an answer that names this member; nobody
    is told of it inside. Method: raw requests."""
    station = Station(1)
    station.removed.add(5)
    async with opened(station):
        asked = station.hello(**{"sender": 2, **changes})  # type: ignore[arg-type]
        answer = (await exchange(station, asked, 1000)).decode()
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert words in answer
        assert "\r\nX-Etcd-Cluster-ID: c57f099532fc184a\r\nX-Server-From: 1\r\n" in answer
        assert station.ear.heard == []


@on_both_loops
async def test_a_member_that_is_not_ready_says_so() -> None:
    """Goal: before `start` and after `stop` nobody is let in. Method: raw requests."""
    station = Station(1)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(station.mesh.protocol, sock=station.socket)
    assert (await exchange(station, station.hello(2), 1000)).startswith(b"HTTP/1.1 503")
    station.mesh.start(station.ear)
    await station.mesh.stop()
    assert await exchange(station, station.hello(2), 1000) == b""
    assert station.ear.heard == []
    server.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /raft/pyetcd HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES_MAX, 431),
        (b"GET /raft/pyetcd HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x/1\r\n\r\n", 426),
        (b"GET /raft/pyetcd nonsense\r\n\r\n", 400),
        (
            b"GET /raft/pyetcd HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: pyetcd-raft/1\r\n\r\n",
            400,
        ),
    ],
    ids=["too large", "protocol", "no HTTP", "no ids"],
)
@pytest.mark.parametrize("step", [500, 1 << 20])
@on_both_loops
async def test_a_bad_handshake_gets_a_plain_answer(data: bytes, status: int, step: int) -> None:
    """Goal: 4xx and closed. Method: raw requests, whole and in pieces."""
    station = Station(1)
    async with opened(station):
        assert (await exchange(station, data, step)).startswith(b"HTTP/1.1 %d " % status)


@on_both_loops
async def test_frames_before_the_answer_are_refused() -> None:
    """Goal: no byte is read in two ways. Method: a request with something behind it."""
    station = Station(1)
    async with opened(station):
        answer = await exchange(station, station.hello(2) + b"x", 1000)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b"more than a handshake, before it was answered\n")


@on_both_loops
async def test_dawdlers_are_cut_off() -> None:
    """Goal: neither silence nor a slow head keeps a connection. Method: a short deadline; one says
    nothing, one a byte at a time."""
    station = Station(1)
    with mock.patch("raft.peers.entrance.HEAD_S", 0.1):
        async with opened(station):
            silent, silent_writer = await station.connect()
            slow, slow_writer = await station.connect()
            head = iter(station.hello(2))
            async with asyncio.timeout(DEADLINE_S):
                while not slow_writer.is_closing() and (byte := next(head, None)) is not None:
                    slow_writer.write(bytes([byte]))
                    await asyncio.sleep(0.005)
            assert await read_all(silent) == b""
            assert await read_all(slow) == b""
            await hang_up(silent_writer)
            await hang_up(slow_writer)
            assert station.ear.heard == []


@on_both_loops
async def test_a_crowd_that_says_nothing_keeps_no_member_out() -> None:
    """Goal: 500 idle connections do no harm: few are kept, members get in and stay in. Method: the
    crowd comes before two members meet, and again while they talk; nobody is cut off for being
    slow."""
    a, b = Station(1), Station(2)
    crowd: list[socket.socket] = []
    with mock.patch("raft.peers.entrance.HEAD_S", 1000.0):
        await meet_in_a_crowd(a, b, crowd)
    for idle in crowd:
        idle.close()


async def meet_in_a_crowd(a: Station, b: Station, crowd: list[socket.socket]) -> None:
    """Connect two members amid connections that say nothing."""
    async with opened(a, b):
        for _ in range(500):
            idle = socket.create_connection(("127.0.0.1", a.port))
            crowd.append(idle)
            await asyncio.sleep(0)
        b.knows(a)
        await until(lambda: all_connected([a, b]), "connected in spite of the crowd")
        assert len(a.mesh._entrance._waiting) <= WAITING_MAX
        for idle in crowd[:250]:
            idle.close()
            crowd.append(socket.create_connection(("127.0.0.1", a.port)))
            a.mesh.send(2, note(1))
            await asyncio.sleep(0)
        await until(lambda: len(b.ear.numbers(1)) == 250, "messages")
        assert b.ear.heard == [("connected", 1)]


@on_both_loops
async def test_garbage_does_no_harm() -> None:
    """Goal: whatever strangers send, members go on and nothing is complained of. Method: random
    bytes, random beginnings of right requests, and hang-ups in the middle."""
    a, b = Station(1), Station(2)
    chance = random.Random(3)
    async with opened(a, b):
        acquainted([a, b])
        await until(lambda: all_connected([a, b]), "connected")
        right = a.hello(3)
        for turn in range(150):
            _, writer = await a.connect()
            cut = chance.randrange(len(right))
            writer.write(chance.choice([right[:cut], right[:cut] + b"\0\n", chance.randbytes(300)]))
            a.mesh.send(2, note(turn))
            writer.transport.abort()
        await until(lambda: b.ear.numbers(1) == list(range(150)), "messages")
        assert a.ear.heard == [("connected", 2)]


@on_both_loops
async def test_refusals_are_logged_when_they_change() -> None:
    """Goal: a member of another cluster that retries does not fill the log. Method: the same
    refusal ten times, then another."""
    station, lines = Station(1), Lines()
    with mock.patch("raft.peers.entrance._logger.warning", lines):
        async with opened(station):
            for _ in range(10):
                await exchange(station, station.hello(2, cluster_id=7), 1000)
            await exchange(station, station.hello(2, cluster_id=8), 1000)
    assert [line.rpartition("(")[2] for line in lines.lines] == [
        "got 7 want c57f099532fc184a)",
        "got 8 want c57f099532fc184a)",
    ]
