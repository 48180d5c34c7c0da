"""The loop of confd, vulcand and every other configuration watcher: long poll, go on, resync."""

import json
import threading
from dataclasses import dataclass, field

from tests.oracle import Connection, Request, Response, Server

WRITES = 150
WRITERS = 3
HISTORY_EVENTS = 1000
LAST_KEY = "/end"


@dataclass
class Follower:
    """Holds a copy of everything below a prefix, kept up to date as confd does it.

    Reads the whole tree, then waits from X-Etcd-Index + 1 on; each event is applied and the next
    wait begins behind it. A 401 means that history has moved on: read everything again.
    """

    prefix: str
    copy: dict[str, str] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)
    syncs: int = 0
    wait_index: int = 0

    def sync(self, connection: Connection) -> None:
        """Read the whole tree."""
        answer = _ask(connection, "GET", f"{self.prefix}?recursive=true")
        assert answer.status == 200, answer
        self.copy = {}
        self._collect(json.loads(answer.body)["node"])
        self.wait_index = int(answer.header("X-Etcd-Index") or "") + 1
        self.syncs += 1

    def follow(self, connection: Connection) -> None:
        """Wait for one event and apply it."""
        target = f"{self.prefix}?wait=true&recursive=true&waitIndex={self.wait_index}"
        answer = _ask(connection, "GET", target)
        event = json.loads(answer.body)
        if event.get("errorCode") == 401:
            self.sync(connection)
            return
        assert answer.status == 200, answer
        node = event["node"]
        assert node["modifiedIndex"] >= self.wait_index
        if event["action"] in ("delete", "expire", "compareAndDelete"):
            del self.copy[node["key"]]
        else:
            self.copy[node["key"]] = node["value"]
        self.events.append(node["modifiedIndex"])
        self.wait_index = node["modifiedIndex"] + 1

    def _collect(self, node: dict[str, object]) -> None:
        if node.get("dir"):
            children = node.get("nodes", [])
            assert isinstance(children, list)
            for child in children:
                self._collect(child)
        else:
            self.copy[str(node["key"])] = str(node["value"])


def _ask(connection: Connection, method: str, key: str, body: str = "") -> Response:
    return connection.ask(Request.form(method, "/v2/keys" + key, body))


class Writers:
    """Threads that write, delete and expire below a prefix, and elsewhere; then one last key."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self.succeeded = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)
        ]
        self._closing = threading.Thread(target=self._close)

    def start(self) -> None:
        """Begin."""
        for thread in (*self._threads, self._closing):
            thread.start()

    def join(self) -> None:
        """Wait for the end; the last key has been written by then."""
        self._closing.join()

    def _write(self, writer: int) -> None:
        with self._server.connect() as connection:
            for number in range(WRITES):
                key = f"{self._prefix}/{writer}/{number % 10}"
                if number % 7 == 6:
                    answer = _ask(connection, "DELETE", key)
                else:
                    answer = _ask(connection, "PUT", key, f"value={writer}-{number}")
                with self._lock:
                    self.succeeded += answer.status in (200, 201)
                _ask(connection, "PUT", f"/elsewhere/{writer}", "value=noise")

    def _close(self) -> None:
        for thread in self._threads:
            thread.join()
        with self._server.connect() as connection:
            answer = _ask(connection, "PUT", self._prefix + LAST_KEY, "value=1")
            self.succeeded += answer.status in (200, 201)


def test_a_follower_misses_nothing(server: Server) -> None:
    """Goal: a loop of polls has seen every event once and in order, and ends with the same tree as
    the server. Method: writers at full speed beside one follower; writes elsewhere push the index
    along."""
    with server.connect() as connection:
        _ask(connection, "PUT", "/confd/ready", "value=1")
        follower = Follower("/confd")
        follower.sync(connection)
        writers = Writers(server, "/confd")
        writers.start()
        while "/confd" + LAST_KEY not in follower.copy:
            follower.follow(connection)
        writers.join()
        truth = Follower("/confd")
        truth.sync(connection)
    assert follower.copy == truth.copy
    assert all(a < b for a, b in zip(follower.events, follower.events[1:], strict=False))
    if follower.syncs == 1:
        assert len(follower.events) == writers.succeeded


def test_a_follower_that_slept_resyncs(server: Server) -> None:
    """Goal: 401 leads back to a true copy. Method: more writes than history keeps, unseen."""
    with server.connect() as connection:
        _ask(connection, "PUT", "/slept/a", "value=1")
        follower = Follower("/slept")
        follower.sync(connection)
        _ask(connection, "DELETE", "/slept/a")
        for number in range(HISTORY_EVENTS):
            _ask(connection, "PUT", f"/slept/{number % 5}", f"value={number}")
        follower.follow(connection)
        assert follower.syncs == 2
        assert follower.copy == {
            f"/slept/{number % 5}": str(number)
            for number in range(HISTORY_EVENTS - 5, HISTORY_EVENTS)
        }
        _ask(connection, "PUT", "/slept/0", "value=awake")
        follower.follow(connection)
        assert follower.copy["/slept/0"] == "awake"
