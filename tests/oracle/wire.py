"""HTTP/1.1 on a plain socket: sends any bytes, and shows an answer exactly as it came.

Laws: nothing is normalised (header case, order, chunk borders and reason phrases are kept);
every wait has a deadline and ends in `Late`, a connection the server ended in `Closed`.
It does not judge, follow redirects or retry.
"""

import socket
import time
from dataclasses import dataclass, replace
from typing import Self

DEADLINE_S = 10.0
RECV_MAX = 65536
HEAD_MAX = 1 << 20
FORM = "application/x-www-form-urlencoded"


class Late(TimeoutError):
    """The deadline passed before the server said what was waited for."""


class Closed(ConnectionError):
    """The server ended the connection where more bytes were due; `got` holds what came."""

    def __init__(self, got: bytes) -> None:
        super().__init__(f"connection closed after {got!r}")
        self.got = got


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes out; `target` and `body` are sent as they are."""

    method: str
    target: bytes
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    version: str = "HTTP/1.1"
    host: bool = True
    chunk_bytes: int = 0
    """Sends the body chunked, in pieces of this size; 0 means Content-Length."""

    @classmethod
    def form(cls, method: str, target: bytes | str, body: bytes | str = b"") -> Self:
        """A request with a form body, or without any body."""
        raw = body.encode() if isinstance(body, str) else body
        path = target.encode() if isinstance(target, str) else target
        return cls(method, path, (("Content-Type", FORM),) if raw else (), raw)

    def encoded(self) -> bytes:
        """The request's bytes on the wire."""
        lines = [b"%b %b %b" % (self.method.encode("latin-1"), self.target, self.version.encode())]
        if self.host:
            lines.append(b"Host: 127.0.0.1")
        lines += [f"{name}: {value}".encode("latin-1") for name, value in self.headers]
        if self.chunk_bytes:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.body or self.method in ("PUT", "POST", "PATCH"):
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + self._framed_body()

    def _framed_body(self) -> bytes:
        if not self.chunk_bytes:
            return self.body
        pieces = range(0, len(self.body), self.chunk_bytes)
        chunks = [self.body[at : at + self.chunk_bytes] for at in pieces]
        return b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: the head, and as much of the body as was read."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    chunks: tuple[bytes, ...] | None = None
    complete: bool = True
    connection_open: bool = True
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return (self.header("Transfer-Encoding") or "").lower() == "chunked"


class Connection:
    """One TCP connection to a server, with what it has sent so far."""

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", timeout_s: float = DEADLINE_S
    ) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._ended = False
        self.requests_sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes our end; the server sees a disconnect."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends raw bytes; a server that hung up shows at the next read."""
        self._socket.settimeout(DEADLINE_S)
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self._ended = True

    def ask(self, request: Request, *, timeout_s: float = DEADLINE_S) -> Response:
        """Sends a request and reads its complete answer."""
        self.start(request)
        return self.answer(request.method, timeout_s=timeout_s)

    def start(self, request: Request) -> None:
        """Sends a request without waiting for anything."""
        self.requests_sent += 1
        self.send(request.encoded())

    def answer(self, method: str, *, timeout_s: float = DEADLINE_S) -> Response:
        """Reads one complete answer to a request of this method."""
        until = time.monotonic() + timeout_s
        return self.finish(self.head(until=until), method, until=until)

    def finish(self, head: Response, method: str, *, until: float) -> Response:
        """Reads the rest of the answer that began with this head."""
        if method == "HEAD" or head.status in (204, 304) or 100 <= head.status < 200:
            return _with(head, body=b"", chunks=None, is_open=self._open_after(head))
        if head.chunked:
            chunks = []
            while (chunk := self.chunk(until=until)) is not None:
                chunks.append(chunk)
            body, parts = b"".join(chunks), tuple(chunks)
            return _with(head, body=body, chunks=parts, is_open=self._open_after(head))
        length = head.header("Content-Length")
        if length is None:
            return _with(head, body=self.rest(until=until), chunks=None, is_open=False)
        body = self._take(int(length), until)
        return _with(head, body=body, chunks=None, is_open=self._open_after(head))

    def head(self, *, until: float | None = None) -> Response:
        """Reads an answer's head only; `complete` is False."""
        deadline = until if until is not None else time.monotonic() + DEADLINE_S
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEAD_MAX:
                raise Closed(bytes(self._buffer[:200]))
            self._fill(deadline)
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        version, _, rest = lines[0].decode("latin-1").partition(" ")
        status, _, reason = rest.partition(" ")
        pairs = [line.decode("utf-8", "replace").partition(":") for line in lines[1:]]
        headers = tuple((name, value.strip()) for name, _, value in pairs)
        return Response(int(status), reason, headers, complete=False, version=version)

    def chunk(self, *, until: float | None = None) -> bytes | None:
        """Reads one chunk; None is the terminating one."""
        deadline = until if until is not None else time.monotonic() + DEADLINE_S
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._fill(deadline)
        size = int(self._buffer[:end].split(b";")[0], 16)
        while len(self._buffer) < end + 2 + size + 2:
            self._fill(deadline)
        data = bytes(self._buffer[end + 2 : end + 2 + size])
        del self._buffer[: end + 2 + size + 2]
        return data if size else None

    def rest(self, *, until: float | None = None) -> bytes:
        """Reads everything up to the end of the connection."""
        deadline = until if until is not None else time.monotonic() + DEADLINE_S
        while not self._ended:
            try:
                self._fill(deadline)
            except Closed:
                break
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def ended(self, *, timeout_s: float = 0.0) -> bool:
        """Whether the server has ended the connection, waiting for it up to a deadline."""
        deadline = time.monotonic() + timeout_s
        while not self._ended:
            try:
                self._fill(deadline)
            except Late:
                return False
            except Closed:
                break
        return True

    def _open_after(self, head: Response) -> bool:
        # A server that announced the end gets time to carry it out; otherwise what is known
        # now counts, and a later end shows as `Closed` at the next request.
        said = (head.header("Connection") or "").lower()
        announced = said == "close" or (head.version == "HTTP/1.0" and said != "keep-alive")
        return not self.ended(timeout_s=DEADLINE_S if announced else 0.0)

    def _take(self, count: int, until: float) -> bytes:
        while len(self._buffer) < count:
            self._fill(until)
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _fill(self, until: float) -> None:
        if self._ended:
            raise Closed(bytes(self._buffer))
        left = until - time.monotonic()
        self._socket.settimeout(max(left, 0.0))
        try:
            data = self._socket.recv(RECV_MAX)
        except (TimeoutError, BlockingIOError):
            raise Late(f"nothing more after {bytes(self._buffer)!r}") from None
        except ConnectionResetError:
            data = b""
        if not data:
            self._ended = True
            raise Closed(bytes(self._buffer))
        self._buffer += data


def fetch(port: int, request: Request, *, timeout_s: float = DEADLINE_S) -> Response:
    """Asks one request on a connection of its own."""
    with Connection(port, timeout_s=timeout_s) as connection:
        return connection.ask(request, timeout_s=timeout_s)


def _with(
    head: Response, *, body: bytes, chunks: tuple[bytes, ...] | None, is_open: bool
) -> Response:
    return replace(head, body=body, chunks=chunks, complete=True, connection_open=is_open)
