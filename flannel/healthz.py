"""`GET /healthz`: `flanneld is running`, for whoever supervises the daemon.

Laws: a request is read up to a bound and a deadline; anything but /healthz is 404. Connections that
are open when the daemon ends are closed without a word.
"""

import asyncio
import contextlib

ANSWER = b"flanneld is running"
HEAD_BYTES_MAX = 8192
REQUEST_S = 5.0


async def serve(address: str, port: int) -> asyncio.Server:
    """Listen; raises OSError."""
    answering: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Of a coroutine that it was handed, and that is cancelled at the end, Python 3.11's asyncio
        # prints a traceback.
        task = asyncio.ensure_future(_answer(reader, writer))
        answering.add(task)
        task.add_done_callback(answering.discard)

    return await asyncio.start_server(accept, address, port, limit=HEAD_BYTES_MAX)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError,
                             asyncio.LimitOverrunError):  # fmt: skip
        async with asyncio.timeout(REQUEST_S):
            head = await reader.readuntil(b"\r\n\r\n")
            target = [*head.split(b" ", 2), b"", b""][1].partition(b"?")[0]
            status, body = (b"200 OK", ANSWER) if target == b"/healthz" else (b"404 Not Found", b"")
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\n"
                b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)
            )
            await writer.drain()
    writer.close()
