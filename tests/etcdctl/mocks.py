"""The mock servers of the cases: endpoints that are not quite an etcd.

Laws: each is known by the port it had in the capture and listens on a free one here; what it
answers depends on the request only. The capture's description of each is quoted at its entry.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FINE = 24849
_VALUE = f"from-{FINE}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a mock sees it; `url` tells where a mock is by its number, `dead` where nobody
    is."""

    method: str
    path: str
    number: int
    url: Callable[[int], str]
    dead: str

    @property
    def here(self) -> str:
        """Where it was asked."""
        return self.url(self.number)


Behaviour = Callable[[Asked], Reply | None]
"""None closes the connection without a word."""


def _json(document: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def _member(ident: str, name: str, *client_urls: str) -> dict[str, object]:
    return {
        "id": ident,
        "name": name,
        "peerURLs": ["http://127.0.0.1:1"],
        "clientURLs": list(client_urls),
    }


def _members(*members: dict[str, object]) -> Reply:
    return _json({"members": list(members)})


def _fine(asked: Asked) -> Reply:
    """One member, called alpha, healthy; every key has a value that tells who was asked."""
    alpha = _member("1111", "alpha", asked.here)
    match asked.path.split("?")[0]:
        case "/v2/members":
            return _members(alpha)
        case "/v2/members/leader":
            return _json(alpha)
        case "/health":
            return _json({"health": "true"})
    node = {"key": "/a", "value": _VALUE, "modifiedIndex": 1, "createdIndex": 1}
    answer = _json({"action": "get", "node": node})
    return Reply(200, answer.body, {**answer.headers, "X-Etcd-Index": "1"})


def _always(reply: Reply) -> Behaviour:
    return lambda _asked: reply


def _where(prefix: str, reply: Reply, *methods: str) -> Behaviour:
    """Fine, but for some paths and, if any are named, methods."""

    def behave(asked: Asked) -> Reply:
        concerns = asked.path.startswith(prefix) and (not methods or asked.method in methods)
        return reply if concerns else _fine(asked)

    return behave


def _no_client_urls(asked: Asked) -> Reply:
    if asked.path.startswith("/v2/members"):
        return _members(_member("1111", "alpha"))
    return _fine(asked)


def _to_fine(asked: Asked) -> Reply:
    return Reply(307, headers={"Location": asked.url(FINE) + asked.path})


def _to_itself(asked: Asked) -> Reply:
    return Reply(307, headers={"Location": asked.here + asked.path})


def _three_one_unstarted(asked: Asked) -> Reply:
    if asked.path != "/v2/members":
        return _fine(asked)
    return _members(
        _member("1111", "alpha", asked.here),
        _member("2222", ""),
        _member("3333", "gamma", asked.here),
    )


def _half_dead(asked: Asked) -> Reply:
    if asked.path == "/v2/members":
        return _members(_member("1111", "alpha", asked.here, asked.dead))
    return Reply(200, b"fine, thanks") if asked.path == "/health" else _fine(asked)


def _refuses_members(asked: Asked) -> Reply:
    refusals = {
        "POST": _json({"message": "etcdserver: ID exists"}, 409),
        "PUT": _json({"message": "No such member: 1111"}, 404),
        "DELETE": _json({"message": "Member permanently removed: 1111"}, 410),
    }
    return refusals.get(asked.method) or _fine(asked)


HANGS = 24834
BEHAVIOURS: dict[int, Behaviour] = {
    24830: _no_client_urls,  # no client URLs
    24831: _always(Reply(404, b"404 page not found\n")),  # 404 text
    24832: _always(Reply(500, b"broken\n")),  # 500
    24833: _always(Reply(503, b"unavailable\n")),  # 503
    HANGS: _fine,  # accepts and never answers: `Mocks` sees to it
    24835: _to_fine,  # 307 to 24849
    24836: _to_itself,  # 307 to itself
    24837: _where("/v2/keys", Reply(200)),  # keys 200 empty body
    24838: _where("/v2/keys", Reply(200, b"<html>hello</html>\n")),  # keys 200 HTML
    24839: _where("/v2/members/leader", _json({"message": "no leader"}, 503)),  # leader 503
    24840: _three_one_unstarted,  # three members, one unstarted
    24841: _where("/health", _json({"health": "false"}, 503)),  # health "false" (503)
    24842: lambda _asked: None,  # closes at once
    24843: _where("/health", _json({"health": True})),  # health boolean true
    24844: _half_dead,  # health not JSON, and a dead second URL
    24845: _refuses_members,  # POST 409, PUT 404, DELETE 410
    24846: _where("", Reply(400, b"bad\n"), "POST", "PUT", "DELETE"),  # writes 400
    24847: _always(Reply(307)),  # 307 without Location
    24848: _always(Reply(502, b"bad gateway\n")),  # 502
    FINE: _fine,
}


class Mocks:
    """All mock servers, running; a context manager."""

    def __init__(self, dead_url: str) -> None:
        self._dead_url = dead_url
        self._ended = threading.Event()
        self._servers: dict[int, _Server] = {}
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Mocks":
        for number in BEHAVIOURS:
            self._servers[number] = _Server(self._handler(number))
        for server in self._servers.values():
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def address(self, number: int) -> str:
        """host:port of the mock server with this number."""
        return f"127.0.0.1:{self._servers[number].server_address[1]}"

    @property
    def names(self) -> dict[str, str]:
        """The placeholders of `cases`."""
        return {f"MOCK{number}": self.address(number) for number in self._servers}

    def _url(self, number: int) -> str:
        return f"http://{self.address(number)}"

    def _handler(self, number: int) -> type[BaseHTTPRequestHandler]:
        mocks = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._answer
                raise AttributeError(name)

            def _answer(self) -> None:
                # Read whole: closing with bytes unread would be a reset, not an end.
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if number == HANGS:
                    mocks._ended.wait()
                asked = Asked(self.command, self.path, number, mocks._url, mocks._dead_url)
                reply = BEHAVIOURS[number](asked)
                if reply is None or mocks._ended.is_set():
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for header, value in reply.headers.items():
                    self.send_header(header, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

        return Handler


class _Server(ThreadingHTTPServer):
    """A server of one mock, with a thread for each connection."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone, or been killed, is nobody's error."""

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """End a connection."""
        with suppress(OSError):
            super().shutdown_request(request)
