"""One link by itself, on a transport that only writes down what it is told."""

import asyncio
from unittest import mock

import pytest

from raft.core import Timing
from raft.messages import Message, encode
from raft.peers.collision import Origin
from raft.peers.frames import HEADER_BYTES, PAYLOAD_BYTES_MAX, PING, header
from raft.peers.link import (
    QUEUE_BYTES_MAX,
    SILENT_CHECKS_MAX,
    Counters,
    Link,
    TooLarge,
)
from raft.peers.pace import Pace
from tests.raft.peers.loops import on_both_loops
from tests.raft.peers.station import note, until
from tests.raft.peers.wire import Wire

PACE = Pace.of(Timing(heartbeat_ms=20, election_ms=100))


class Owner:
    """Writes down what a link tells."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.losses: list[str] = []

    def received(self, link: Link, message: Message) -> None:
        """Keep it."""
        self.messages.append(message)

    def lost(self, link: Link, reason: str) -> None:
        """Keep it."""
        self.losses.append(reason)


def made(wire: Wire, pace: Pace = PACE) -> tuple[Link, Owner]:
    """A link that has begun."""
    owner = Owner()
    link = Link(2, Origin(9, is_ours=True, dial=1), owner, pace=pace, counters=Counters())
    link.begin(wire)
    return link, owner


@on_both_loops
async def test_what_one_turn_sends_is_one_write() -> None:
    """Goal: one system call per turn, in order, before anything that is scheduled afterwards; and
    `flush` does not wait for it. Method: several sends in a turn, with and without a flush."""
    wire = Wire()
    link, _ = made(wire)
    seen: list[int] = []
    for payload in (b"a", b"b", b"c"):
        assert link.send(payload)
    asyncio.get_running_loop().call_soon(lambda: seen.append(len(wire.writes)))
    assert wire.writes == []
    await asyncio.sleep(0)
    assert seen == [1]
    assert link.send(b"d")
    link.flush()
    assert len(wire.writes) == 2
    await asyncio.sleep(0)
    assert len(wire.writes) == 2
    assert wire.payloads() == [b"a", b"b", b"c", b"d"]
    assert link.counters.sent_bytes == sum(map(len, wire.writes))
    link.abort()


@on_both_loops
async def test_a_queue_that_is_full_takes_nothing() -> None:
    """Goal: bounded memory for a peer that does not read, and sending goes on once it does; what
    was taken arrives, what was not does not. Method: a wire that takes nothing."""
    wire = Wire(room=0)
    link, _ = made(wire)
    payload = bytes(1 << 20)
    taken = 0
    while link.send(payload):
        taken += 1
        assert link.waiting_bytes <= QUEUE_BYTES_MAX
    assert taken == QUEUE_BYTES_MAX // (len(payload) + HEADER_BYTES)
    link.flush()
    assert not link.send(payload)
    wire.room = 1 << 40
    assert link.send(b"more")
    link.flush()
    assert wire.payloads() == [payload] * taken + [b"more"]
    link.abort()


@on_both_loops
async def test_what_waits_for_the_end_of_the_turn_counts_too() -> None:
    """Goal: the bound holds within a turn. Method: small payloads; the wire takes nothing."""
    link, _ = made(Wire(room=0))
    size = HEADER_BYTES + 5000
    taken = 0
    while link.send(bytes(5000)):
        taken += 1
    assert taken == QUEUE_BYTES_MAX // size
    link.abort()


@on_both_loops
async def test_a_message_that_fits_in_no_frame_is_refused() -> None:
    """Goal: the limit of a frame. Method: the largest payload, and one more byte."""
    wire = Wire()
    link, _ = made(wire)
    assert link.send(bytes(PAYLOAD_BYTES_MAX))
    with pytest.raises(TooLarge):
        link.send(bytes(PAYLOAD_BYTES_MAX + 1))
    assert wire.payloads() == [bytes(PAYLOAD_BYTES_MAX)]
    link.abort()


@pytest.mark.parametrize(
    "bad",
    [
        header(b"xyz") + b"xyZ",
        (PAYLOAD_BYTES_MAX + 1).to_bytes(4, "little") + bytes(4),
        header(b"\x80\x04K\x01.") + b"\x80\x04K\x01.",
        header(b"\x93\xa6commit\xa1x\x01") + b"\x93\xa6commit\xa1x\x01",
        header(b"\xc1") + b"\xc1",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["checksum", "length", "pickle", "types", "msgpack", "http"],
)
@on_both_loops
async def test_what_is_no_message_ends_the_link(bad: bytes) -> None:
    """Goal: what came before is delivered, the link ends with one reason, nothing after it counts.
    Method: each kind of nonsense between two messages, in one piece and byte by byte."""
    good = encode(note(1))
    stream = header(good) + good + bad + header(good) + good
    for step in (len(stream), 1):
        wire = Wire()
        link, owner = made(wire)
        for at in range(0, len(stream), step):
            link.data_received(stream[at : at + step])
        assert owner.messages == [note(1)]
        assert len(owner.losses) == 1
        assert wire.ends == ["abort"]
        assert not link.send(b"x")


@on_both_loops
async def test_an_idle_link_pings_and_a_silent_peer_is_dropped() -> None:
    """Goal: the peer hears from us when there is nothing to say; one that says nothing is given up
    after some looks, whatever it is sent. Method: count pings; then keep quiet."""
    wire = Wire()
    with mock.patch("raft.peers.pace._CHECK_MIN_S", 0.001):
        link, owner = made(wire, Pace.of(Timing(heartbeat_ms=1, election_ms=2)))
    await until(lambda: owner.losses, "the silent peer dropped")
    assert owner.losses[0].startswith("nothing was heard")
    assert wire.ends == ["abort"]
    assert set(wire.writes) == {PING}
    assert len(wire.writes) <= SILENT_CHECKS_MAX
    assert link.counters.sent_bytes == len(wire.writes) * len(PING)


@on_both_loops
async def test_a_pause_of_ours_is_not_taken_for_one_of_the_peer() -> None:
    """Goal: a process that was stopped for long finds its links alive. Method: look late, once,
    with what the peer said meanwhile still unread."""
    wire = Wire()
    link, owner = made(wire)
    link._look()
    link._look()
    await asyncio.sleep(0)
    link.data_received(PING)
    for _ in range(SILENT_CHECKS_MAX):
        assert owner.losses == []
        link._look()
        link.data_received(PING)
    assert owner.losses == []
    link.abort()


@on_both_loops
async def test_a_finished_link_sends_what_is_queued_and_hears_nothing() -> None:
    """Goal: letting go loses nothing that was queued, delivers nothing more, waits for the peer to
    close, and not for ever. Method: finish; the wire closes, or does not."""
    wire = Wire()
    link, owner = made(wire)
    link.send(b"last")
    done = link.finish()
    assert wire.payloads() == [b"last"]
    assert wire.ends == ["eof"]
    assert not link.send(b"more")
    good = encode(note(1))
    link.data_received(header(good) + good)
    assert owner.messages == []
    assert not done.done()
    link.connection_lost(None)
    assert done.done()
    assert owner.losses == []
    with mock.patch("raft.peers.link.FINISH_S", 0.01):
        wire = Wire()
        link, _ = made(wire)
        link.finish()
        await until(lambda: wire.ends == ["eof", "abort"], "given up")
