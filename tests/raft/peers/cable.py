"""A cable between members that delays, stops, and cuts."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from raft.batch import Peer
from tests.raft.peers.station import Station


class Cable:
    """Leads to a station's port. Bytes pass after a random delay, in order, or not at all."""

    def __init__(self, station: Station, chance: random.Random, delay_max_s: float) -> None:
        self._station = station
        self._chance = chance
        self._delay_max_s = delay_max_s
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pipes: set[asyncio.StreamWriter] = set()
        # While it is clear nothing passes, and nothing is lost either.
        self.flows = asyncio.Event()
        self.flows.set()

    @property
    def peer(self) -> Peer:
        """The station as it is reached by this cable."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return Peer(self._station.member, (f"http://127.0.0.1:{port}",))

    def cut(self) -> None:
        """Cut every connection: neither side sees more of what was on its way."""
        for pipe in list(self._pipes):
            pipe.transport.abort()

    @asynccontextmanager
    async def plugged(self) -> AsyncIterator[None]:
        """Lay it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield
        finally:
            self._server.close()
            self.cut()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        away_reader, away_writer = await self._station.connect()
        self._pipes |= {writer, away_writer}
        both = [self._pump(reader, away_writer), self._pump(away_reader, writer)]
        try:
            await asyncio.gather(*both)
        finally:
            away_writer.transport.abort()
            writer.transport.abort()
            self._pipes -= {writer, away_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(self._chance.random() * self._delay_max_s)
                await self.flows.wait()
                if writer.is_closing():
                    return
                writer.write(data)
                await writer.drain()
            await asyncio.sleep(self._chance.random() * self._delay_max_s)
        if not writer.is_closing():
            writer.close()
