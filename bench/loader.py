"""Fills a server with keys over HTTP, a few connections with pipelined requests.

Law: it returns only when every PUT was answered with 200 or 201.
"""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Final

from bench.errors import BenchError
from bench.keys import key, value

_CONNECTIONS: Final = 8
_PIPELINED: Final = 16


def load(port: int, *, keys: int, value_bytes: int) -> None:
    """PUT the first `keys` keys."""
    asyncio.run(_load(port, keys, value_bytes))


async def _load(port: int, keys: int, value_bytes: int) -> None:
    numbers = iter(range(keys))
    await asyncio.gather(*(_connection(port, numbers, value_bytes) for _ in range(_CONNECTIONS)))


async def _connection(port: int, numbers: Iterator[int], value_bytes: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = f"value={value(value_bytes)}"
    while True:
        batch = list(itertools.islice(numbers, _PIPELINED))
        if not batch:
            break
        writer.write("".join(_put(number, body) for number in batch).encode())
        for number in batch:
            status = await _status(reader)
            if status not in (200, 201):
                raise BenchError(f"PUT {key(number)} was answered with {status}")
    writer.close()
    await writer.wait_closed()


def _put(number: int, body: str) -> str:
    return (
        f"PUT /v2/keys{key(number)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        f"\r\n{body}"
    )


async def _status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(content_length(head))
    return int(head.split(b" ", 2)[1])


def content_length(head: bytes) -> int:
    """The length of the body an answer's head announces; BenchError if it does not."""
    for line in head.split(b"\r\n")[1:]:
        name, _, number = line.partition(b":")
        if name.lower() == b"content-length":
            return int(number)
    raise BenchError(f"an answer without Content-Length: {head!r}")
