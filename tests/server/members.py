"""Members of one cluster as real processes on loopback, for tests of how they start and end."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.oracle import Pyetcd, Request, fetch
from tests.oracle.process import Identity, find_etcd, free_port
from tests.oracle.wire import Response

DEADLINE_S = 30.0
POLL_S = 0.02
TIMING = ("--heartbeat-interval=50", "--election-timeout=500", "--initial-cluster-token=t")


class Member(Pyetcd):
    """One member, which advertises where it listens."""

    def __init__(self, name: str, *, env: dict[str, str] | None = None) -> None:
        client_port, peer_port = free_port(), free_port()
        urls = (f"http://127.0.0.1:{port}" for port in (peer_port, client_port))
        super().__init__(identity=Identity(name, *urls), env=env)
        self.client_port, self.peer_port = client_port, peer_port

    @property
    def entry(self) -> str:
        """Its part of --initial-cluster."""
        return f"{self.identity.name}={self.identity.peer_url}"

    def among(self, members: Sequence["Member"], *more: str) -> "Member":
        """The same member with the options of a cluster of these; what comes last counts."""
        cluster = ",".join(member.entry for member in members)
        self.args = (*TIMING, f"--initial-cluster={cluster}", *more)
        return self

    def ask(self, method: str, path: str, document: object = None) -> Response:
        """Ask the client port; a document is sent as JSON."""
        headers = () if document is None else (("Content-Type", "application/json"),)
        body = b"" if document is None else json.dumps(document).encode()
        return fetch(self.client_port, Request(method, path.encode(), headers, body))

    def put(self, key: str, value: str) -> Response:
        """Set a key."""
        request = Request.form("PUT", f"/v2/keys{key}", f"value={value}")
        return fetch(self.client_port, request)

    def see(self, path: str) -> Any:
        """The JSON at a path."""
        return json.loads(self.ask("GET", path).body)

    @property
    def index(self) -> int:
        """The store's index as this member has it."""
        return int(self.ask("GET", "/v2/keys/").header("X-Etcd-Index") or "0")

    def full_log(self) -> str:
        """All it has ever printed."""
        return self.log_path.read_text(encoding="utf-8")

    def launch(self) -> None:
        """Start without waiting for anything."""
        self._spawn()

    def ended(self) -> int:
        """Wait until it ends by itself; its exit code."""
        until(lambda: not self.running, f"{self.identity.name} ends")
        return self.kill()


class EtcdMember(Member):
    """The same as a real etcd."""

    kind = "etcd"

    def command(self) -> list[str]:
        """The binary found."""
        return [find_etcd()[0], "--enable-v2"]


@contextmanager
def cluster(size: int, kind: type[Member] = Member) -> Iterator[list[Member]]:
    """A running cluster of new members."""
    with founders(size, kind) as members:
        start(members)
        yield members


@contextmanager
def founders(size: int, kind: type[Member] = Member) -> Iterator[list[Member]]:
    """The members of a new cluster, none of them started yet."""
    with ExitStack() as stack:
        members = [kind(f"m{number}") for number in range(1, size + 1)]
        for member in members:
            stack.callback(member.discard)
            member.among(members)
        yield members


def start(members: Sequence[Member]) -> None:
    """Start several at once; each may need the others to become ready."""
    with ThreadPoolExecutor(len(members)) as pool:
        list(pool.map(Member.start, members))


def leader_of(members: Sequence[Member]) -> Member:
    """The member that leads, by what they say."""
    found: list[str] = []

    def known() -> bool:
        answer = members[0].ask("GET", "/v2/members/leader")
        if answer.status == 200:
            found.append(json.loads(answer.body)["name"])
        return bool(found)

    until(known, "somebody leads")
    return next(member for member in members if member.identity.name == found[-1])


def until(condition: Callable[[], object], what: str, *concerned: Member) -> None:
    """Wait until the condition holds; if it does not, show what those concerned have logged."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline_s:
            logs = "\n".join(member.log() for member in concerned)
            raise AssertionError(f"not within {DEADLINE_S} s: {what}\n{logs}")
        time.sleep(POLL_S)
