"""A server that says the bytes it is told to say, whatever it is asked, and perhaps hangs up."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from typing import TYPE_CHECKING

from tests.pyetcdctl.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def saying(answer: bytes, *, hangs_up: bool = True) -> Iterator[str]:
    """Run one; yields its URL. If it does not hang up, it keeps the connection and is silent."""
    ended = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            with contextlib.suppress(OSError):  # nobody waits any more
                self.wfile.write(answer)
                self.wfile.flush()
                if not hangs_up:
                    ended.wait()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server) as place:
        try:
            yield f"http://{place}"
        finally:
            ended.set()
