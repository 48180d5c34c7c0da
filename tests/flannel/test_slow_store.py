"""Goal: a store that answers late, or too much, costs time and nothing else.

Method: answers of a real store are held back: those to writes for longer than the client waits, and
all of them for a few seconds, before the real program; a store of a few lines never ends its own.
"""

import asyncio
import contextlib
import random
import sys
from pathlib import Path

import pytest

from flannel.holding import Holding
from flannel.lease import Attributes
from flannel.leasing import acquire_lease
from flannel.registry import Put, Registry
from pyetcdctl import AsyncClient, BadAnswer, Node, Result
from tests.flannel.sample import US, network
from tests.flannel.slow_store import CHUNK_BYTES, slow
from tests.flannel.stores import Operator
from tests.flannel.test_access import daemon
from tests.oracle.process import ROOT, Server

DEADLINE_S = 40.0
PEAK_KB = 200_000
PATIENCE_S = 0.5


async def test_a_write_whose_answer_is_too_late_is_seen_to_have_happened(
    server: Server, operator: Operator
) -> None:
    """Alone, and with a second endpoint that is asked the same; and again over the old lease."""
    for endpoints in (1, 2, 1):
        async with (
            slow(server, 4 * PATIENCE_S, "PUT") as url,
            AsyncClient([url] * endpoints, timeout_s=PATIENCE_S) as client,
            asyncio.timeout(DEADLINE_S),
        ):
            registry = Registry(client, operator.prefix)
            held = await acquire_lease(
                registry, network(), Attributes(US), None, random.Random(1).choice
            )
        (name,) = operator.subnets()
        assert operator.get(f"subnets/{name}")["modifiedIndex"] == held.lease.index
        assert held.lease.ttl_s > 86000


async def test_the_daemon_with_a_store_that_takes_three_seconds(
    server: Server, operator: Operator, tmp_path: Path
) -> None:
    """It starts, and has one lease."""
    operator.configure(Network="10.5.0.0/16", Backend={"Type": "alloc"})
    async with slow(server, 3.0) as url, asyncio.timeout(DEADLINE_S):
        with daemon(tmp_path, operator, f"-etcd-endpoints={url}") as log:
            while not (tmp_path / "subnet.env").exists():
                await asyncio.sleep(0.05)
            assert "trying again" not in log.read_text()
    assert len(operator.subnets()) == 1


async def test_an_answer_that_never_ends(tmp_path: Path) -> None:
    """It is refused at a bound, and said; memory stays what it was."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 1\r\n\r\n")
            while True:
                writer.write(b"[" * CHUNK_BYTES)
                await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    log = tmp_path / "log"
    async with server, asyncio.timeout(DEADLINE_S):
        with open(log, "wb") as file:
            line = [sys.executable, "-m", "flannel", "-iface-regex=.", f"-etcd-endpoints={url}",
                    f"-subnet-file={tmp_path / 'subnet.env'}"]  # fmt: skip
            process = await asyncio.create_subprocess_exec(*line, cwd=ROOT, stderr=file)
        try:
            while "the answer is larger than 16777216 bytes" not in log.read_text():
                await asyncio.sleep(0.05)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.kill()
            await process.wait()
    peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    assert int(peak_kb) < PEAK_KB


async def test_a_listing_without_an_index() -> None:
    """It is no listing, rather than that of a store that was set back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"action":"get","node":{"key":"/net/subnets","dir":true}}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, AsyncClient([url]) as client:
        with pytest.raises(BadAnswer, match="has no X-Etcd-Index"):
            await Registry(client, "/net").listing()


def test_a_time_nobody_lives_to_see() -> None:
    """A lease's ttl has no more digits than can be reckoned with."""
    node = Node(key="/net/subnets/10.5.7.0-24", value='{"PublicIP":"172.17.8.101"}',
                ttl=10**400, expiration="9999-01-01T00:00:00Z", modified_index=9)  # fmt: skip
    news = Registry(AsyncClient(), "/net").read(Result("set", node))
    assert isinstance(news, Put)
    assert Holding(news.lease, since_s=1.5).due_in(2.0, 3600.0) > 1e9
