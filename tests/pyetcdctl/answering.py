"""A server that says what it is told to say, whatever it is asked."""

from __future__ import annotations

import contextlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

from tests.pyetcdctl.serving import serving

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from email.message import Message


class Reply(NamedTuple):
    """An answer to a request."""

    body: bytes
    status: int = 200
    index: int | None = 7
    location: str = ""
    # Bytes that are announced, and never come.
    missing: int = 0
    headers: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def answering(
    behave: Callable[[str, Message], Reply], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Run one; `behave` is given a request's target and headers. Yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reply = behave(self.path, self.headers)
            self.send_response(reply.status)
            if reply.index is not None:
                self.send_header("X-Etcd-Index", str(reply.index))
            for name, value in reply.headers:
                self.send_header(name, value)
            if reply.location:
                self.send_header("Location", f"http://{self.headers['Host']}{reply.location}")
            self.send_header("Content-Length", str(len(reply.body) + reply.missing))
            self.end_headers()
            with contextlib.suppress(OSError):  # nobody waits any more
                self.wfile.write(reply.body)

        do_GET = do_PUT = do_POST = do_DELETE = _answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with serving(server) as place:
        yield f"http{'s' if tls is not None else ''}://{place}"
