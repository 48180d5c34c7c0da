"""A lean HTTP/1.1 client on asyncio: one connection, one request under way.

Laws: what a failure means for a write is said by its class: `NotSent` has certainly done nothing,
`Broken` and `Late` may have done everything. It does not retry and does not judge an answer.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import orjson

FORM = "application/x-www-form-urlencoded"
CONNECT_S = 3.0
READ_MAX = 64 << 20

_connections = itertools.count(1)


class NotSent(ConnectionError):
    """No connection came about, so the server knows nothing of the request."""


class Broken(ConnectionError):
    """The connection ended before the answer was complete."""


class Late(TimeoutError):
    """No complete answer within the time allowed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body, which must be a JSON object."""
        found = orjson.loads(self.body)
        assert isinstance(found, dict), self
        return found

    @property
    def index(self) -> int:
        """X-Etcd-Index; 0 if there is none."""
        return int(self.headers.get("x-etcd-index", "0"))


class Client:
    """One keep-alive connection to one server, made when it is needed."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.connection = 0
        """The present connection's number, of all there are."""

    async def ask(
        self, method: str, target: str, form: dict[str, str] | None = None, *, timeout_s: float
    ) -> Answer:
        """One request and its whole answer."""
        body = urlencode(form).encode() if form is not None else b""
        return await self.send(method, target, body, FORM, timeout_s=timeout_s)

    async def send(
        self, method: str, target: str, body: bytes, content_type: str, *, timeout_s: float
    ) -> Answer:
        """The same with any body."""
        await self._connect()
        try:
            async with asyncio.timeout(timeout_s):
                self._write(method, target, body, content_type)
                return await self._answer()
        except TimeoutError:
            self.close()
            raise Late(f"{method} {target}: no answer in {timeout_s} s") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Broken(f"{method} {target}: {error!r}") from None

    async def follow(self, target: str, *, head_s: float) -> "Stream":
        """A GET whose answer comes in chunks, one after the other.

        As every client does, it asks again if a connection that had served before turns out to
        be closed: the server may end it after any answer.
        """
        is_new = await self._connect()
        try:
            return await self._follow(target, head_s)
        except Broken:
            if is_new:
                raise
        await self._connect()
        return await self._follow(target, head_s)

    async def _follow(self, target: str, head_s: float) -> "Stream":
        assert self._reader is not None
        try:
            async with asyncio.timeout(head_s):
                self._write("GET", target, b"", FORM)
                status, headers = await _head(self._reader)
                if headers.get("transfer-encoding") == "chunked":
                    return Stream(Answer(status, headers, b""), self)
                body = await self._reader.readexactly(int(headers.get("content-length", "0")))
                return Stream(Answer(status, headers, body), None)
        except TimeoutError:
            self.close()
            raise Late(f"GET {target}: no head in {head_s} s") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Broken(f"GET {target}: {error!r}") from None

    async def chunk(self) -> bytes | None:
        """The next chunk of what is followed; None if the server has ended it, properly or not."""
        assert self._reader is not None
        try:
            return await _chunk(self._reader)
        except asyncio.IncompleteReadError as error:
            self.close()
            if error.partial:
                raise Broken(repr(error)) from None
            return None
        except OSError as error:
            self.close()
            raise Broken(repr(error)) from None

    def close(self) -> None:
        """End the connection at once; the next request makes another."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _connect(self) -> bool:
        """See to it that there is a connection; whether it is a new one."""
        if self._reader is not None and not self._reader.at_eof():
            return False
        self.close()
        try:
            async with asyncio.timeout(CONNECT_S):
                self._reader, self._writer = await asyncio.open_connection(
                    self.host, self.port, limit=READ_MAX
                )
        except (OSError, TimeoutError) as error:
            raise NotSent(f"{self.host}:{self.port}: {error!r}") from None
        self.connection = next(_connections)
        return True

    def _write(self, method: str, target: str, body: bytes, content_type: str) -> None:
        head = f"{method} {target} HTTP/1.1\r\nHost: {self.host}\r\n"
        if body or method in ("PUT", "POST"):
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        assert self._writer is not None
        self._writer.write(head.encode() + b"\r\n" + body)

    async def _answer(self) -> Answer:
        assert self._reader is not None
        status, headers = await _head(self._reader)
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while (part := await _chunk(self._reader)) is not None:
                parts.append(part)
            body = b"".join(parts)
        else:
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, body)


@dataclass(slots=True)
class Stream:
    """An answer's head, and its chunks while they come; `source` is None if `head` has it all."""

    head: Answer
    source: Client | None

    async def chunks(self, *, idle_s: float) -> AsyncIterator[bytes]:
        """The chunks up to the end of the answer; Late if none came for so long."""
        if self.source is None:
            yield self.head.body
        while self.source is not None:
            try:
                async with asyncio.timeout(idle_s):
                    part = await self.source.chunk()
            except TimeoutError:
                self.source.close()
                raise Late(f"nothing for {idle_s} s") from None
            if part is None:
                return
            yield part


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(lines[0].split(" ", 2)[1]), headers


async def _chunk(reader: asyncio.StreamReader) -> bytes | None:
    size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
    data = await reader.readexactly(size + 2)
    return data[:-2] if size else None


def keys(key: str, **parameters: str | int) -> str:
    """The target of a key."""
    query = f"?{urlencode(parameters)}" if parameters else ""
    return f"/v2/keys{quote(key)}{query}"
