"""Replays examples against servers and says what differs.

Comparison: as `tests.oracle.normalise`, plus what the capture cannot hold: Connection is not
compared, and ids that contain the time of the capture are masked. Every example gets a server
as fresh as the captured one; those that leave no trace share one, which is checked each time.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.conformance.examples import Example
from tests.oracle import Closed, Late, Request, Response, Server, fetch
from tests.oracle.normalise import differences, head_differences, text_of

WORKERS = 2
EVENT_S = 5.0
QUIET_S = 0.25
"""How long a poll that must stay silent is listened to."""
EXPIRED_S = 10.0
FRESH_INDEX = "3"
IGNORE = frozenset({"connection"})
_TIMED_ID = re.compile(
    rb'\{"id":"[0-9a-f]{1,16}"(?=,"name":"","peerURLs":\["http://127\.0\.0\.1:23899"\])'
)

MakeServer = Callable[[], Server]


def replay(example: Example, server: Server) -> list[str]:
    """Runs one example on a fresh server; an empty list means it passes."""
    for request, times in example.setup:
        with server.connect() as connection:
            for _ in range(times - 1):
                connection.ask(replace(request, headers=request.headers[:-1]))
            connection.ask(request)
    if example.after_expiry:
        _await_expiry(server)
    try:
        if example.is_watch:
            return _watch(example, server)
        got = fetch(server.client_port, example.request)
    except (Late, Closed) as error:
        return [f"no answer: {type(error).__name__}: {error}"]
    return _compare(example, got)


def _await_expiry(server: Server) -> None:
    until = time.monotonic() + EXPIRED_S
    while time.monotonic() < until:
        answer = fetch(server.client_port, Request("GET", b"/v2/keys/"))
        if b'"nodes"' not in answer.body:
            return


def _compare(example: Example, got: Response) -> list[str]:
    expected, ignore = example.expected, IGNORE
    if "member id (time based)" in example.volatile:
        # The order of members follows the ids; an array's order is masked with them.
        expected = replace(expected, body=_TIMED_ID.sub(b'{"id":"<id>"', expected.body))
        got = replace(got, body=_TIMED_ID.sub(b'{"id":"<id>"', got.body))
        # An id has no leading zeros: one in sixteen is a digit shorter.
        ignore |= {"content-length"}
    is_sorted = b"sorted=true" in example.request.target
    return differences(expected, got, unsorted=not is_sorted, ignore=ignore)


def _watch(example: Example, server: Server) -> list[str]:
    expected = example.expected
    wanted = expected.chunks or ()
    with server.connect() as connection:
        connection.start(example.request)
        head = connection.head()
        if not head.chunked:
            return [f"not a long poll: {head.status} {head.headers}"]
        for request in example.during:
            fetch(server.client_port, request)
        got: list[bytes] = []
        ended = False
        try:
            # One chunk more than wanted is asked for: the end, or silence.
            while len(got) <= len(wanted):
                patient = len(got) < len(wanted) or not expected.connection_open
                until = time.monotonic() + (EVENT_S if patient else QUIET_S)
                chunk = connection.chunk(until=until)
                if chunk is None:
                    ended = True
                    break
                got.append(chunk)
        except (Late, Closed):
            ended = ended or connection.ended()
        is_open = not connection.ended(timeout_s=EVENT_S if ended else 0.0)
    found = head_differences(expected, head, ignore=IGNORE)
    found += _events(wanted, got)
    if is_open != expected.connection_open:
        found.append(f"connection open: expected {expected.connection_open}, got {is_open}")
    return found


def _events(wanted: Iterable[bytes], got: list[bytes]) -> list[str]:
    expected = list(wanted)
    if len(expected) != len(got):
        return [f"events: expected {expected!r}, got {got!r}"]
    return [
        f"event: expected {one!r}, got {other!r}"
        for one, other in zip(expected, got, strict=True)
        if not text_of(one).equals(text_of(other))
    ]


class Replayer:
    """Runs many examples on servers of its own, some at a time."""

    def __init__(self, make_server: MakeServer, *, workers: int = WORKERS) -> None:
        self._make_server = make_server
        self._workers = workers
        self._own = threading.local()
        self._shared: list[Server] = []
        self.servers_started = 0

    def run(self, examples: list[Example]) -> dict[str, list[str]]:
        """The differences of each example by its name."""
        # The quick ones, which share a server, go first.
        queue = sorted(examples, key=lambda example: not example.leaves_no_trace)
        try:
            with ThreadPoolExecutor(self._workers) as pool:
                found = list(pool.map(self._one, queue))
        finally:
            for server in self._shared:
                server.discard()
        return {example.name: lines for example, lines in zip(queue, found, strict=True)}

    def _one(self, example: Example) -> list[str]:
        if not example.leaves_no_trace:
            self.servers_started += 1
            with self._make_server() as server:
                return self._guarded(example, server)
        server = self._pristine()
        return self._guarded(example, server)

    def _guarded(self, example: Example, server: Server) -> list[str]:
        found = replay(example, server)
        if not server.running:
            found.append(f"the server ended; its log:\n{server.log()}")
        return found

    def _pristine(self) -> Server:
        server: Server | None = getattr(self._own, "server", None)
        if server is not None:
            answer = fetch(server.client_port, Request("GET", b"/v2/keys"))
            fresh = answer.header("X-Etcd-Index") == FRESH_INDEX
            if fresh and json.loads(answer.body) == {"action": "get", "node": {"dir": True}}:
                return server
            server.discard()
        server = self._make_server()
        self._shared.append(server)
        self.servers_started += 1
        self._own.server = server.start()
        return server
