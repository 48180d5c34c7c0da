"""Meshes on real sockets: who is connected with whom, and what gets through."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

import pytest

from raft.batch import Peer
from raft.core import Timing
from raft.messages import Append, encode
from raft.peers.frames import PAYLOAD_BYTES_MAX, PING, FrameReader, header
from raft.peers.handshake import HEAD_END, Welcome, read_answer, welcome
from raft.peers.link import QUEUE_BYTES_MAX, SILENT_CHECKS_MAX
from raft.peers.mesh import STRANGERS_MAX
from tests.raft.peers.cable import Cable
from tests.raft.peers.loops import on_both_loops
from tests.raft.peers.station import (
    CLUSTER,
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


def blob(size: int) -> Append:
    """A message whose frame has somewhat more than `size` bytes."""
    return Append(1, 1, 1, 1, [(bytes(size), 1, 1)])


async def taken_up(
    station: Station, sender: int, **changes: object
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A raw connection of a member that has been taken up."""
    reader, writer = await station.connect()
    writer.write(station.hello(sender, **changes))
    async with asyncio.timeout(DEADLINE_S):
        head = await reader.readuntil(HEAD_END)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return reader, writer


# -- who knows whom ---------------------------------------------------------------------------


@pytest.mark.parametrize("dialing", [1, 2])
@on_both_loops
async def test_each_side_says_what_it_knows_of_births(dialing: int) -> None:
    """Goal: a member hears, whoever dialed, by which birth the other side is on record, and by
    which one it is itself. Method: two members; one of them is on record with the other one, by
    another birth than its own, and the other one with itself."""
    one, other = Station(1), Station(2)
    async with opened(one, other):
        one.births |= {1: one.birth + 1}
        other.births |= {1: 77, 2: other.birth}
        caller, called = (one, other) if dialing == 1 else (other, one)
        caller.knows(called)
        await until(lambda: one.is_connected(other) and other.is_connected(one), "connected")
        assert one.ear.births == {2: {2: other.birth, 1: 77}}
        assert other.ear.births == {1: {}}


# -- messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3])
@on_both_loops
async def test_everything_arrives_once_and_in_order(size: int) -> None:
    """Goal: what is sent between connected members arrives, in order, in both directions, once.
    Method: each sends numbered messages to each other one, some per turn, one of them large."""
    stations = [Station(member) for member in range(1, size + 1)]
    pairs = [(a, b) for a in stations for b in stations if a is not b]
    async with opened(*stations):
        acquainted(stations)
        await until(lambda: all_connected(stations), "everyone connected")
        for number in range(2000):
            for a, b in pairs:
                assert a.mesh.send(b.member, note(number))
                if number == 1000:
                    assert a.mesh.send(b.member, blob(3 << 20))
            if number % 7 == 0:
                await asyncio.sleep(0)
        await until(
            lambda: all(len(a.ear.messages.get(b.member, [])) > 2000 for a, b in pairs), "all of it"
        )
        for a, b in pairs:
            assert a.ear.numbers(b.member) == list(range(2000))
            assert a.ear.messages[b.member][1001] == blob(3 << 20)
            assert a.ear.count("connected", b.member) == 1


@on_both_loops
async def test_a_message_sent_while_being_told_is_on_its_way() -> None:
    """Goal: `connected` means that messages get through from that moment on, in both directions,
    and behind the handshake. Method: send from inside `connected`."""
    for _ in range(20):
        await greet_each_other(Station(1), Station(2))


async def greet_each_other(a: Station, b: Station) -> None:
    """Connect two, and let each send from inside `connected`."""
    async with opened(a, b):
        a.ear.on_connected = lambda member: a.mesh.send(member, note(7))
        b.ear.on_connected = lambda member: b.mesh.send(member, note(8))
        acquainted([a, b])
        await until(lambda: a.ear.numbers(2) and b.ear.numbers(1), "both greetings")
        assert (a.ear.numbers(2), b.ear.numbers(1)) == ([8], [7])


@on_both_loops
async def test_what_is_too_large_or_for_nobody_is_not_taken() -> None:
    """Goal: False for a frame over the limit, which is said in the log, and for members that are
    not connected; the largest frame gets through. Method: sizes around the limit."""
    a, b = Station(1), Station(2)
    room = PAYLOAD_BYTES_MAX - len(encode(blob(PAYLOAD_BYTES_MAX))) + PAYLOAD_BYTES_MAX
    lines = Lines()
    async with opened(a, b):
        assert not a.mesh.send(2, note(1))
        acquainted([a, b])
        assert not a.mesh.send(2, note(1))
        await until(lambda: all_connected([a, b]), "connected")
        with mock.patch("raft.peers.mesh._logger.error", lines):
            assert not a.mesh.send(2, blob(room + 1))
        assert lines.lines == [
            "cannot send to peer 2: a message of 16777217 bytes; 16777216 are possible"
        ]
        assert a.mesh.send(2, blob(room))
        assert not a.mesh.send(3, note(1))
        await until(lambda: b.ear.messages.get(1), "the largest frame")
        assert b.ear.messages[1] == [blob(room)]


@on_both_loops
async def test_a_peer_that_does_not_read_is_not_fed_without_end() -> None:
    """Goal: the queue of a peer that takes nothing is bounded. Method: a raw peer that only sends
    pings; send until it is refused."""
    a = Station(1)
    async with opened(a):
        _, writer = await taken_up(a, 2)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        async with asyncio.timeout(DEADLINE_S):
            while a.mesh.send(2, blob(1 << 20)):
                sent += 1 << 20
                await asyncio.sleep(0)
        link = a.mesh._contacts[2].link
        assert link is not None
        assert QUEUE_BYTES_MAX - (2 << 20) < link.waiting_bytes <= QUEUE_BYTES_MAX
        writer.transport.abort()


@on_both_loops
async def test_frames_go_out_at_once() -> None:
    """Goal: no Nagle on either end. Method: ask the sockets."""
    a, b = Station(1), Station(2)
    async with opened(a, b):
        acquainted([a, b])
        await until(lambda: all_connected([a, b]), "connected")
        for one, other in ((a, 2), (b, 1)):
            link = one.mesh._contacts[other].link
            assert link is not None
            assert link._transport is not None
            sock = link._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


# -- one connection ---------------------------------------------------------------------------


@on_both_loops
async def test_crossing_dials_end_in_one_connection() -> None:
    """Goal: two members that dial each other at the same time end with one connection, the same on
    both sides, and no side ever sees another. Method: many tries, both told in the same turn, over
    cables of random delay or none."""
    assert sum([await do_dials_cross(seed) for seed in range(60)]) > 20


async def do_dials_cross(seed: int) -> bool:
    """Let two members dial each other; tell whether both did."""
    chance = random.Random(seed)
    a, b = Station(1, seed=seed), Station(2, seed=~seed)
    to_a, to_b = Cable(a, chance, 0.004), Cable(b, chance, 0.004)
    async with opened(a, b), to_a.plugged(), to_b.plugged():
        if seed % 3:
            a.mesh.set_members([to_b.peer])
            await asyncio.sleep(chance.random() * 0.004)
            b.mesh.set_members([to_a.peer])
        else:
            acquainted([a, b])
        await until(lambda: all_connected([a, b]), "connected")
        assert a.mesh.send(2, note(5))
        assert b.mesh.send(1, note(6))
        await until(lambda: a.ear.numbers(2) and b.ear.numbers(1), "messages")
        assert a.ear.heard == [("connected", 2)], seed
        assert b.ear.heard == [("connected", 1)], seed
        return a.mesh._dials > 0 and b.mesh._dials > 0


@on_both_loops
async def test_a_restarted_member_is_noticed() -> None:
    """Goal: another incarnation is another process: `disconnected`, then `connected`, even while
    the old connection looks fine; and it stays that way. Method: a raw peer that is replaced by
    another with a new incarnation, without closing."""
    a = Station(1)
    async with opened(a):
        reader, writer = await taken_up(a, 2, incarnation=77)
        first = a.mesh._contacts[2].link
        _, second = await taken_up(a, 2, incarnation=78)
        assert await read_all(reader) == b""
        assert a.ear.heard == [("connected", 2), ("disconnected", 2), ("connected", 2)]
        assert a.mesh._contacts[2].link is not first
        second.write(header(encode(note(4))) + encode(note(4)))
        await until(lambda: a.ear.numbers(2) == [4], "a message on the new one")
        await hang_up(writer)
        await hang_up(second)


@on_both_loops
async def test_two_processes_with_one_id_do_not_take_turns() -> None:
    """Goal: a second process with a member's id takes the place of the first, as after a restart;
    when the first turns out to be alive it is refused with a sentence, so that the two do not
    displace each other for ever; once the second is gone it is let in. Method: raw peers."""
    a = Station(1)
    async with opened(a):
        _, first = await taken_up(a, 2, incarnation=77)
        _, second = await taken_up(a, 2, incarnation=78)
        reader, again = await a.connect()
        again.write(a.hello(2, incarnation=77, dial=2))
        answer = await read_all(reader)
        assert answer.startswith(b"HTTP/1.1 423 ")
        assert b"two processes say that they are member 2" in answer
        await hang_up(second)
        await until(lambda: a.ear.count("disconnected", 2) == 2, "the second is gone")
        _, third = await taken_up(a, 2, incarnation=77, dial=3)
        for writer in (first, again, third):
            await hang_up(writer)


@on_both_loops
async def test_a_late_request_is_refused() -> None:
    """Goal: an attempt that its member gave up, and that is read only after the next one, replaces
    nothing. Method: raw requests of one incarnation in the wrong order."""
    a, lines = Station(1), Lines()
    with mock.patch("raft.peers.entrance._logger.warning", lines):
        async with opened(a):
            _, writer = await taken_up(a, 2, dial=5)
            reader, late = await a.connect()
            late.write(a.hello(2, dial=4))
            assert (await read_all(reader)).startswith(b"HTTP/1.1 409 ")
            assert a.ear.heard == [("connected", 2)]
            assert lines.lines == []
            await hang_up(writer)
            await hang_up(late)


@on_both_loops
async def test_a_request_that_crossed_ours_is_refused_and_remembered() -> None:
    """Goal: a member that dialed before it knew of our connection does not replace it; one that had
    known it and lost it does; what has reached us is said when we dial. Method: a raw peer that
    takes our dial up, and dials itself."""
    streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def take_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(HEAD_END)
        writer.write(welcome(Welcome(CLUSTER, 2, 1, 77, births={}, version="")))
        streams.append((reader, writer))

    server = await asyncio.start_server(take_up, "127.0.0.1", 0)
    a = Station(1)
    async with opened(a):
        a.mesh.set_members([Peer(2, (f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",))])
        await until(lambda: a.ear.heard and streams, "connected")
        reader, crossed = await a.connect()
        crossed.write(a.hello(2, dial=3))
        assert (await read_all(reader)).startswith(b"HTTP/1.1 409 ")
        assert a.mesh.hello(2).seen == (77, 3)
        assert a.ear.heard == [("connected", 2)]
        _, anew = await taken_up(a, 2, dial=4, seen=(a.incarnation, 1))
        assert await read_all(streams[0][0]) == b""
        assert a.ear.heard == [("connected", 2), ("disconnected", 2), ("connected", 2)]
        for writer in (crossed, anew, streams[0][1]):
            await hang_up(writer)
    server.close()


@on_both_loops
async def test_members_find_each_other_again() -> None:
    """Goal: a member that stops and comes back is connected again. Method: close one, open another
    in its place, several times, on the same port; each side may be the one."""
    members = [Station(1), Station(2)]
    for member in members:
        await member.open()
    for turn in range(4):
        acquainted(members)
        await until(lambda: all_connected(members), "connected")
        stays, goes = members[turn % 2], members[1 - turn % 2]
        await goes.close()
        await noticed(stays, goes)
        members[1 - turn % 2] = Station(goes.member, port=goes.port)
        await members[1 - turn % 2].open()
    for member in members:
        await member.close()


async def noticed(one: Station, other: Station) -> None:
    """Wait until a member knows that another is gone."""
    await until(lambda: not one.is_connected(other), "noticed")


@on_both_loops
async def test_messages_on_bad_cables_are_never_doubled_or_out_of_order() -> None:
    """Goal: whatever happens to connections, a message arrives at most once, in order, and between
    `connected` and `disconnected` none is missing; `connected` and `disconnected` take turns; in
    the end there is one connection. Method: numbered messages over cables, cut at random."""
    for seed in range(6):
        await talk_over_bad_cables(seed)


async def talk_over_bad_cables(seed: int) -> None:
    """Talk, while connections are cut; then check what each has heard."""
    chance = random.Random(seed)
    a, b = Station(1, seed=seed), Station(2, seed=~seed)
    to_a, to_b = Cable(a, chance, 0.002), Cable(b, chance, 0.002)
    ways = ((a, b), (b, a))
    sent: dict[int, list[int]] = {1: [], 2: []}
    last = 151
    async with opened(a, b), to_a.plugged(), to_b.plugged():
        a.ear.on_connected = lambda _: a.ear.messages.setdefault(2, []).append(note(-1))
        b.ear.on_connected = lambda _: b.ear.messages.setdefault(1, []).append(note(-1))
        a.mesh.set_members([to_b.peer])
        b.mesh.set_members([to_a.peer])
        for number in range(1, last):
            for one, other in ways:
                if one.mesh.send(other.member, note(number)):
                    sent[one.member].append(number)
            await asyncio.sleep(chance.random() * 0.004)
            if chance.random() < 0.06:
                chance.choice([to_a, to_b]).cut()
        await until(lambda: all_connected([a, b]), "connected in the end")
        async with asyncio.timeout(DEADLINE_S):
            while any(last not in one.ear.numbers(other.member) for one, other in ways):
                for one, other in ways:
                    one.mesh.send(other.member, note(last))
                await asyncio.sleep(0.01)
    for one, other in ways:
        kinds = [kind for kind, _ in one.ear.heard]
        assert kinds[::2] == ["connected"] * len(kinds[::2])
        assert kinds[1::2] == ["disconnected"] * len(kinds[1::2])
        check_epochs(one.ear.numbers(other.member), [*sent[other.member], last])


def check_epochs(heard: list[int], sent: list[int]) -> None:
    """What was heard behind each `connected` (-1) is a piece of what was sent, without a gap, and
    behind everything that was heard before."""
    at = 0
    epoch: list[int] = []
    for number in [*heard, -1]:
        if number != -1:
            epoch.append(number)
            continue
        # The last number is sent again and again until it arrives.
        piece = [n for n in epoch if n != sent[-1]]
        if piece:
            begin = sent.index(piece[0], at)
            assert sent[begin : begin + len(piece)] == piece
            at = begin + len(piece)
        epoch = []


# -- who may come -------------------------------------------------------------------------------


@on_both_loops
async def test_a_member_we_were_not_told_of_is_served() -> None:
    """Goal: a joining member, or one of a newer configuration, gets through; once told of it we
    keep the connection; if it goes before that, nothing is kept. Method: only one side is told."""
    a, b = Station(1), Station(2)
    async with opened(a, b):
        b.knows(a)
        await until(lambda: all_connected([a, b]), "connected")
        assert a.mesh.send(2, note(1))
        assert b.mesh.send(1, note(2))
        await until(lambda: a.ear.numbers(2) and b.ear.numbers(1), "messages")
        a.mesh.set_members([])
        a.knows(b)
        a.knows(b)
        await asyncio.sleep(0)
        assert a.ear.heard == [("connected", 2)]
        c = Station(3)
        async with opened(c):
            c.knows(a)
            await until(lambda: a.is_connected(c), "a stranger")
        await until(lambda: not a.is_connected(c), "gone")
        assert set(a.mesh.counters) == {2}


@on_both_loops
async def test_strangers_are_few() -> None:
    """Goal: who invents members cannot fill us with connections; members we know get in all the
    same. Method: as many strangers as there may be, one more, then a member."""
    a, b = Station(1), Station(2)
    async with opened(a, b):
        strangers = [(await taken_up(a, 100 + n))[1] for n in range(STRANGERS_MAX)]
        reader, writer = await a.connect()
        writer.write(a.hello(99))
        assert (await read_all(reader)).startswith(b"HTTP/1.1 503 ")
        acquainted([a, b])
        await until(lambda: all_connected([a, b]), "connected")
        for stranger in [*strangers, writer]:
            await hang_up(stranger)
        await until(lambda: set(a.mesh.counters) == {2}, "the strangers gone")


@on_both_loops
async def test_a_removed_member_is_told_once() -> None:
    """Goal: who has been removed hears it, once, however many say so and however often it asks; the
    others don't hear of it. Method: two members have removed the third."""
    a, b, c = Station(1), Station(2), Station(3)
    a.removed.add(3)
    b.removed.add(3)
    async with opened(a, b, c):
        c.knows(a, b)
        failures = c.mesh.counters
        await until(
            lambda: min(failures[m].connect_failures for m in (1, 2)) >= 3, "asked three times each"
        )
        assert c.ear.heard == [("removed", 0)]
        assert a.ear.heard == b.ear.heard == []


@pytest.mark.parametrize("who", ["another cluster", "another member", "no member"])
@on_both_loops
async def test_a_removal_is_believed_from_the_member_only(who: str) -> None:
    """Goal: a 410 from whatever else listens on a member's address stops nobody. Method: servers
    that answer 410 in other names."""
    answers = {
        "another cluster": f"X-Etcd-Cluster-ID: {CLUSTER ^ 1:x}\r\nX-Server-From: 2\r\n",
        "another member": f"X-Etcd-Cluster-ID: {CLUSTER:x}\r\nX-Server-From: 3\r\n",
        "no member": "Server: nginx\r\n",
    }
    async with answering(f"HTTP/1.1 410 Gone\r\n{answers[who]}\r\n".encode()) as url:
        a = Station(1)
        async with opened(a):
            a.mesh.set_members([Peer(2, (url,))])
            failures = a.mesh.counters[2]
            await until(lambda: failures.connect_failures >= 3, "asked again and again")
            assert a.ear.heard == []


@on_both_loops
async def test_who_is_told_of_another_connection_looks_again_soon() -> None:
    """Goal: a member that declines because it is connecting to us lives: that is no failure to wait
    longer for, and nothing to log. Method: a server that answers so again and again."""
    ids = f"X-Etcd-Cluster-ID: {CLUSTER:x}\r\nX-Server-From: 2\r\n"
    lines = Lines()
    with mock.patch("raft.peers.dialer._logger.warning", lines):
        async with answering(f"HTTP/1.1 409 Conflict\r\n{ids}\r\n".encode()) as url:
            a = Station(1)
            async with opened(a):
                a.mesh.set_members([Peer(2, (url,))])
                contact = a.mesh._contacts[2]
                await until(lambda: contact.counters.connect_failures >= 4, "asked again and again")
                assert contact.dialer._failures == 1
    assert lines.lines == []


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """The URL of a server that gives everyone this answer and hangs up."""
    busy: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        busy.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(HEAD_END)
            writer.write(answer)
        await hang_up(writer)
        busy.discard(asyncio.current_task())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await until(lambda: not busy, "everyone answered")


@on_both_loops
async def test_another_cluster_is_named_once_and_tried_again() -> None:
    """Goal: etcd's words, once per change, and the member keeps trying: the address may be right
    again later. Method: a member of another cluster on the port, then the right one."""
    lines = Lines()
    a, wrong = Station(1), Station(2, cluster=0xBAD)
    with mock.patch("raft.peers.dialer._logger.warning", lines):
        async with opened(a):
            async with opened(wrong):
                a.knows(wrong)
                failures = a.mesh.counters[2]
                await until(lambda: failures.connect_failures >= 4, "tried again")
            right = Station(2, port=wrong.port)
            async with opened(right):
                await until(lambda: a.is_connected(right), "connected in the end")
            assert wrong.ear.heard == []
    words = f"request cluster ID mismatch (got bad want {CLUSTER:x})"
    assert [line for line in lines.lines if words in line] == [
        f"failed to connect to peer 2 at {wrong.url}: {words}"
    ]


# -- members that come and go -------------------------------------------------------------------


@on_both_loops
async def test_a_member_that_is_let_go_of_gets_what_was_queued() -> None:
    """Goal: the connection ends behind everything that was sent; `disconnected` is heard, not from
    inside `set_members`; nothing is sent or dialed any more. Method: much is sent, then the member
    is left out, while it sends itself."""
    a, b = Station(1), Station(2)
    async with opened(a, b):
        b.removed.add(99)
        acquainted([a, b])
        await until(lambda: all_connected([a, b]), "connected")
        a.removed.add(2)
        for number in range(8):
            assert b.mesh.send(1, blob(1 << 20))
            assert a.mesh.send(2, blob(1 << 20))
            assert a.mesh.send(2, note(number))
        a.mesh.set_members([])
        assert a.ear.heard == [("connected", 2)]
        assert a.mesh.connected_since(2) is None
        assert not a.mesh.send(2, note(9))
        await until(lambda: ("removed", 0) in b.ear.heard, "dialed again, and was told")
        assert b.ear.numbers(1) == list(range(8))
        assert a.ear.heard == [("connected", 2), ("disconnected", 2)]
        assert b.ear.heard == [("connected", 1), ("disconnected", 1), ("removed", 0)]


@on_both_loops
async def test_a_removed_stranger_is_let_go_of_too() -> None:
    """Goal: a connection of a member we were never told of ends when it turns out to be removed;
    another stranger's stays. Method: two strangers, one removed."""
    a, b, c = Station(1), Station(2), Station(3)
    async with opened(a, b, c):
        b.knows(a)
        c.knows(a)
        await until(lambda: a.is_connected(b, c), "connected")
        a.removed.add(2)
        a.mesh.set_members([])
        await until(lambda: ("removed", 0) in b.ear.heard, "told")
        assert a.is_connected(c)
        assert a.ear.count("disconnected", 3) == 0


@on_both_loops
async def test_new_urls_are_for_the_next_dial() -> None:
    """Goal: a change of URLs leaves the connection alone; when it is lost the new ones are dialed,
    in turn. Method: the member moves to another port, behind two URLs that lead nowhere."""
    a, b = Station(1), Station(2)
    async with opened(a):
        async with opened(b):
            a.knows(b)
            await until(lambda: a.is_connected(b), "connected")
            moved = Station(2)
            a.mesh.set_members([Peer(2, ("http://127.0.0.1:1", "ftp://x", moved.url))])
            await asyncio.sleep(0.05)
            assert a.ear.heard == [("connected", 2)]
        await until(lambda: not a.is_connected(b), "lost")
        async with opened(moved):
            await until(lambda: a.is_connected(moved), "connected at the new place")


@on_both_loops
async def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    """Goal: unix URLs. Method: a member that listens on one."""
    a, b = Station(1), Station(2)
    path = tmp_path / "peer"
    async with opened(a, b):
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(b.mesh.protocol, str(path))
        a.mesh.set_members([Peer(2, (f"unix://{path}",))])
        await until(lambda: all_connected([a, b]), "connected")
        assert a.mesh.send(2, note(3))
        await until(lambda: b.ear.numbers(1) == [3], "a message")
        server.close()


@on_both_loops
async def test_ipv6_will_do() -> None:
    """Goal: URLs with an IPv6 address. Method: a member that listens on one, if there is any."""
    a, b = Station(1), Station(2)
    async with opened(a, b):
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            pytest.skip("no IPv6 here")
        server = await asyncio.get_running_loop().create_server(b.mesh.protocol, sock=listener)
        a.mesh.set_members([Peer(2, (f"http://[::1]:{listener.getsockname()[1]}",))])
        await until(lambda: all_connected([a, b]), "connected")
        server.close()


@on_both_loops
async def test_https_is_not_dialed_without_tls() -> None:
    """Goal: said in the log, once, and never in the clear. Method: an https URL of a real port."""
    lines = Lines()
    a, b = Station(1), Station(2)
    async with opened(a, b):
        with mock.patch("raft.peers.dialer._logger.warning", lines):
            a.mesh.set_members([Peer(2, (b.url.replace("http", "https"),))])
            await until(lambda: a.mesh.counters[2].connect_failures >= 3, "tried")
        assert len(lines.lines) == 1
        assert "TLS between members is not built in yet" in lines.lines[0]
        assert b.ear.heard == []


# -- peers that go quiet --------------------------------------------------------------------------


@on_both_loops
async def test_a_half_open_connection_is_dropped_and_an_idle_one_stays() -> None:
    """Goal: a peer that is gone without a word is noticed; one that has nothing to say is kept.
    Method: a raw peer that says nothing, beside an idle member, for more than the time-out."""
    a, b = Station(1), Station(3)
    async with opened(a, b):
        b.knows(a)
        await until(lambda: all_connected([a, b]), "connected")
        _, writer = await taken_up(a, 2)
        await until(lambda: a.ear.count("disconnected", 2), "dropped")
        idle = b.mesh.counters[1]
        enough = idle.received_bytes + SILENT_CHECKS_MAX * len(PING)
        await until(lambda: idle.received_bytes >= enough, "pings for longer than the time-out")
        assert a.ear.count("disconnected", 3) == 0
        assert a.is_connected(b)
        await hang_up(writer)


@on_both_loops
async def test_a_cable_that_is_dead_for_a_while() -> None:
    """Goal: both sides notice, and find each other again. Method: a cable that passes nothing."""
    chance = random.Random(1)
    a, b = Station(1), Station(2)
    cable = Cable(b, chance, 0.0)
    async with opened(a, b), cable.plugged():
        a.mesh.set_members([cable.peer])
        await until(lambda: all_connected([a, b]), "connected")
        cable.flows.clear()
        await until(lambda: not a.is_connected(b) and not b.is_connected(a), "noticed")
        cable.flows.set()
        await until(lambda: all_connected([a, b]), "connected again")


@on_both_loops
async def test_who_never_answers_is_given_up() -> None:
    """Goal: a dial ends, also when what listens there says nothing, or never ends its answer; one
    attempt at a time. Method: such a server, behind a good URL that comes last."""
    lines = Lines()
    with mock.patch("raft.peers.dialer._logger.warning", lines):
        await reach_behind(b"")
        await reach_behind(b"HTTP/1.1 101 OK\r\nX: " + b"x" * (100 << 10))
    told = [line.rpartition(": ")[2] for line in lines.lines if line.startswith("failed")]
    assert told == [
        "no answer within 0.1 s",
        "its answer is too long",
    ]


async def reach_behind(words: bytes) -> None:
    """Connect with a member whose first URL leads to a server that says this and no more."""
    open_now = most = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        writer.write(words)
        with contextlib.suppress(OSError):
            await reader.read()
        open_now -= 1
        await hang_up(writer)

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with mock.patch("raft.peers.pace._TIMEOUT_MIN_S", 0.1):
        a, b = Station(1), Station(2)
    async with opened(a, b):
        a.mesh.set_members([Peer(2, (url, b.url))])
        await until(lambda: a.is_connected(b), "the second URL")
    server.close()
    await until(lambda: open_now == 0, "hung up")
    assert most == 1


# -- the listener -------------------------------------------------------------------------------


@on_both_loops
async def test_what_the_listener_raises_is_not_swallowed() -> None:
    """Goal: a failure is logged and reported to the loop, also an OSError, which loops take for one
    of the connection; the message is not passed over in silence: the link ends. Method: a listener
    that fails once."""
    a, b = Station(1), Station(2)
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: reported.append(context.get("exception")))
    failure = OSError("the disk")

    def fail(_member: int, _message: object) -> None:
        if not reported:
            raise failure

    lines = Lines()
    a.ear.on_received = fail
    with mock.patch("raft.peers.mesh._logger.error", lines):
        async with opened(a, b):
            acquainted([a, b])
            await until(lambda: all_connected([a, b]), "connected")
            assert b.mesh.send(1, note(1))
            assert b.mesh.send(1, note(2))
            await until(lambda: a.ear.count("connected", 2) == 2, "connected anew")
            await until(lambda: b.mesh.send(1, note(3)), "known to the other side, too")
            await until(lambda: 3 in a.ear.numbers(2), "messages again")
    assert reported == [failure]
    assert a.ear.numbers(2) == [1, 3]
    assert len(lines.lines) == 1
    loop.set_exception_handler(before)


@on_both_loops
async def test_nothing_is_heard_behind_stop() -> None:
    """Goal: once stop was called there is no callback, although messages and losses keep coming;
    what was sent before still arrives; stopping twice does no harm; no task is left (the loop
    fixture looks). Method: stop from inside a callback, with everyone talking."""
    a, b, c = Station(1), Station(2), Station(3)
    stopping: list[asyncio.Task[None]] = []
    heard_at_stop = 0

    def stop(_member: int, _message: object) -> None:
        nonlocal heard_at_stop
        if len(a.ear.messages.get(2, [])) == 5 and not stopping:
            assert a.mesh.send(3, note(42))
            stopping.append(asyncio.get_running_loop().create_task(a.mesh.stop()))
            stopping[0].add_done_callback(lambda _task: None)
            heard_at_stop = len(a.ear.heard)

    async with opened(a, b, c):
        acquainted([a, b, c])
        await until(lambda: all_connected([a, b, c]), "connected")
        a.ear.on_received = stop
        for number in range(5):
            b.mesh.send(1, note(number))
        await until(lambda: stopping, "stop under way")
        await asyncio.sleep(0)
        messages = sum(map(len, a.ear.messages.values()))
        while not stopping[0].done():
            b.mesh.send(1, note(9))
            c.mesh.send(1, note(9))
            await asyncio.sleep(0)
        await stopping[0]
        await a.mesh.stop()
        assert not a.mesh.send(2, note(1))
        a.knows(b, c)
        await until(lambda: c.ear.numbers(1) == [42], "what was sent before")
        await until(lambda: not b.is_connected(a) and not c.is_connected(a), "noticed")
        assert len(a.ear.heard) == heard_at_stop
        assert sum(map(len, a.ear.messages.values())) == messages


@on_both_loops
async def test_stop_ends_dials_under_way() -> None:
    """Goal: stop does not wait for members that cannot be reached. Method: one URL refuses, one
    leads to a port that accepts and says nothing, one name cannot be looked up."""
    mute = socket.create_server(("127.0.0.1", 0))
    a = Station(1, timing=Timing(100, 50_000))
    await a.open()
    a.mesh.set_members(
        [
            Peer(2, ("http://127.0.0.1:1",)),
            Peer(3, (f"http://127.0.0.1:{mute.getsockname()[1]}",)),
            Peer(4, ("http://name.invalid:1",)),
        ]
    )
    await until(lambda: a.mesh._contacts[3].dialer.asked, "asked")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await a.close()
    assert loop.time() - begun < 1.0
    mute.close()


@on_both_loops
async def test_members_told_before_the_start_are_dialed_from_then_on() -> None:
    """Goal: the order of `set_members` and `start` does not matter, and our own id among the
    members does no harm. Method: tell first."""
    a, b = Station(1), Station(2)
    a.mesh.set_members([a.peer, b.peer])
    async with opened(b, a):
        await until(lambda: all_connected([a, b]), "connected")
        assert set(a.mesh.counters) == {2}


@on_both_loops
async def test_raw_peers_see_plain_frames() -> None:
    """Goal: the wire is what it is said to be. Method: a raw peer that reads and writes frames."""
    a = Station(1)
    async with opened(a):
        reader, writer = await a.connect()
        writer.write(a.hello(2))
        async with asyncio.timeout(DEADLINE_S):
            head = await reader.readuntil(HEAD_END)
        answer = read_answer(head)
        assert (answer.cluster_id, answer.sender) == (CLUSTER, 1)
        assert a.mesh.send(2, note(8))
        frame = header(encode(note(8))) + encode(note(8))
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.readexactly(len(frame)) == frame
        assert [bytes(part) for part in FrameReader().feed(frame)] == [encode(note(8))]
        for byte in frame:
            writer.write(bytes([byte]))
            await writer.drain()
        await until(lambda: a.ear.numbers(2) == [8], "the message")
        counters = a.mesh.counters[2]
        assert counters.received_bytes == len(frame)
        await hang_up(writer)
