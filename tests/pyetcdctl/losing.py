"""A way to a server on which answers get lost: what was asked has been done, and nobody says so."""

from __future__ import annotations

import contextlib
import http.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.pyetcdctl.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

HOP_HEADERS = ("Content-Length", "Transfer-Encoding", "Connection")


class Losing:
    """Where it is, and what it was asked: method and target of each request."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str]] = []

    @property
    def written(self) -> list[tuple[str, str]]:
        """What it was asked that changes something."""
        return [each for each in self.asked if each[0] != "GET"]


@contextlib.contextmanager
def losing(url: str) -> Iterator[Losing]:
    """Hand every request on to the server; the answers to those that change something are lost,
    and the connection ends.
    """
    way = Losing()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _pass_on(self) -> None:
            way.asked.append((self.command, self.path))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
            try:
                server.request(self.command, self.path, body, dict(self.headers))
                response = server.getresponse()
                answer = response.read()
            finally:
                server.close()
            if self.command != "GET":
                self.close_connection = True
                return
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name not in HOP_HEADERS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PUT = do_POST = do_DELETE = _pass_on

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server) as place:
        way.url = f"http://{place}"
        yield way
