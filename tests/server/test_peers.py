"""The transport that does not know at first who it is."""

import asyncio
from unittest import mock

import pytest

from raft import Identity, Peer, Timing
from server.peers import Peers

ME, OTHER = 1, 2


class Greeter(asyncio.Protocol):
    """Serves whoever is no member."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer anything."""
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(b"served: " + data)
        self._transport.close()


def peers() -> Peers:
    """One that serves strangers with a greeting."""
    timing = Timing(50, 500)
    return Peers(
        timing,
        is_removed=lambda _member: False,
        birth_of=lambda _member: 0,
        fallback=Greeter,
        version="3.4.23",
    )


async def ask(port: int) -> bytes:
    """What a stranger is answered; nothing if the connection is closed or reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /members HTTP/1.1\r\n\r\n")
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_the_port_closes_connections_until_it_has_something_to_say() -> None:
    """Goal: who asks too early is not kept waiting; afterwards HTTP is served. Method: a listener
    that is asked before and after."""
    port_of = peers()
    server = await asyncio.get_running_loop().create_server(port_of.protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(10):
            assert await ask(port) == b""
            port_of.become(Identity(7, ME))
            assert await ask(port) == b"served: GET /members HTTP/1.1\r\n\r\n"
    finally:
        server.close()


async def test_it_is_a_mesh_once_it_knows_who_it_is() -> None:
    """Goal: everything asked of the transport reaches the mesh; nothing may be asked before.
    Method: a member nobody can reach; its counters appear."""
    transport = peers()
    with pytest.raises(AssertionError, match="before it was known who it is"):
        transport.start(mock.Mock())
    transport.become(Identity(7, ME))
    transport.start(mock.Mock())
    transport.set_members([Peer(OTHER, ("http://127.0.0.1:1",))])
    assert set(transport.counters) == {OTHER}
    assert transport.connected_since(OTHER) is None
    assert transport.send(OTHER, mock.Mock()) is False
    await transport.stop()
