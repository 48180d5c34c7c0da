"""Somebody between a client and a store who passes on requests at once, and answers late."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.oracle.process import Server

CHUNK_BYTES = 1 << 16


@contextlib.asynccontextmanager
async def slow(store: Server, delay_s: float, method: str = "") -> AsyncIterator[str]:
    """The URL under which answers come so late: all, or those to one method."""
    host, port = store.url.removeprefix("http://").split(":")
    running = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        last = [b""]

        async def requests() -> None:
            while data := await reader.read(CHUNK_BYTES):
                last[0] = data
                inner_writer.write(data)
            inner_writer.close()

        asking = asyncio.ensure_future(requests())
        try:
            while data := await inner_reader.read(CHUNK_BYTES):
                if last[0].startswith(method.encode()):
                    await asyncio.sleep(delay_s)
                writer.write(data)
        finally:
            asking.cancel()
            for end in (writer, inner_writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
