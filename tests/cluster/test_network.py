"""The ways between members are really cut: the proxies and the hosts do what faults rely on."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from deploy.lab import room
from tests.cluster.links import Links
from tests.cluster.member import now
from tests.oracle.process import ROOT

SHORT_S = 0.3
LONG_S = 10.0


@contextlib.asynccontextmanager
async def _echo(port: int) -> AsyncIterator[None]:
    """A peer port that sends back what it gets."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


class _Line:
    """A member's connection to the proxy of another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, word: bytes, within_s: float) -> bool:
        """Whether a word comes back in time."""
        self.writer.write(word)
        return await self.hears(word, within_s)

    async def hears(self, word: bytes, within_s: float) -> bool:
        """Whether a word comes in time."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self.reader.readexactly(len(word)), within_s) == word
        return False


@pytest.fixture
async def line() -> AsyncIterator[tuple[Links, _Line]]:
    """A connection that member `a` (this process) has made to member `b`."""
    links = Links()
    links.attach("a", os.getpid())
    place = await links.place("b")
    async with _echo(int(place.listen_peer_url.rpartition(":")[2])):
        port = int(place.peer_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield links, _Line(reader, writer)
        writer.close()
        await links.close()


async def test_a_way_is_cut_in_one_direction(line: tuple[Links, _Line]) -> None:
    """Goal: what is sent along a cut way comes later, after healing, and once; the other way and
    other pairs are untouched. Method: cut each direction of an echo in turn."""
    links, wire = line
    assert await wire.says(b"one", LONG_S)
    links.cut("c", "b")
    links.cut("b", "c")
    assert await wire.says(b"two", LONG_S)
    for pair in (("a", "b"), ("b", "a")):
        links.cut(*pair)
        assert not await wire.says(b"three", SHORT_S)
        links.heal()
        assert await wire.hears(b"three", LONG_S)
    assert await wire.says(b"four", LONG_S)


async def test_a_way_is_slow(line: tuple[Links, _Line]) -> None:
    """Goal: a delay delays, and is undone. Method: an echo with one slow direction."""
    links, wire = line
    links.delay("a", "b", SHORT_S)
    began = now()
    assert await wire.says(b"one", LONG_S)
    assert now() - began >= SHORT_S
    links.heal()
    assert await wire.says(b"two", LONG_S)


async def test_connections_are_reset(line: tuple[Links, _Line]) -> None:
    """Goal: a reset ends a member's connections at once. Method: one that is idle."""
    links, wire = line
    assert await wire.says(b"one", LONG_S)
    links.reset(["a"])
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(wire.reader.read(), LONG_S) == b""


@pytest.mark.parametrize("what", ["hosts", "disks"])
def test_hosts_and_disks(what: str) -> None:
    """Goal: on hosts a way is cut in one direction, a host unplugged, all of it undone; a disk is
    full or slow, and is not any more; afterwards nothing is left of them. Method: datagrams between
    hosts and writes to a disk, in a room; the interfaces and mounts outside are as before."""
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("rooms need root")
    before = _outside()
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.inside", what],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert _outside() == before


def test_a_room_ends_with_whoever_entered_it() -> None:
    """Goal: processes and mounts do not outlive a test that is killed. Method: a room with a
    process of its own in it is killed from outside; the process is gone."""
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("rooms need root")
    before = _outside()
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe:
        running = subprocess.Popen(
            room.command("tests.cluster.inside", ["stay"]),
            cwd=ROOT,
            env=os.environ | {room.MARK: "1"},
            stdin=subprocess.DEVNULL,
            stdout=writer,
            pass_fds=(writer,),
        )
        os.close(writer)
        assert pipe.readline() == "the hosts are up\n"
        running.kill()
        running.wait()
        # The write end is inherited by everything inside: end of file when all of it is gone.
        assert pipe.read() == ""
    assert _outside() == before


def _outside() -> tuple[str, str]:
    links = subprocess.run(
        ["ip", "-brief", "link"], capture_output=True, text=True, check=True
    ).stdout
    with open("/proc/self/mounts") as mounts:
        return links, mounts.read()
