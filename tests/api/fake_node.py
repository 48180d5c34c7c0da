"""A node that agrees with itself at once, so that handlers can be asked without a network."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from api import Backend, Versions
from api.exchange import Answer, Request, Response
from kvstore import Machine, Reply, is_removed
from kvstore.commands import AddMember, Command, PublishMember, encode
from raft import Change, Identity, Node, Peer, Status
from raft.membership import changed
from raft.traffic import Traffic
from server.options.urls import parse_urls

CLUSTER = 0xC57F099532FC184A
ONE, TWO, THREE = 0x25D6CE33763C5524, 0x6AE27F9FA2984B1D, 0xFF32F4B39B9C47BD
MINTED = 0x6E6A5C09A90B7F8C
CLUSTER_HEADER = b"X-Etcd-Cluster-Id: c57f099532fc184a\r\n"
LONG_S = 60.0


@dataclass
class FakeNode:
    """What the handlers ask of a `raft.Node`; every change is agreed to by agreement's own rules,
    unless `failure` is set."""

    machine: Machine
    peers: tuple[Peer, ...]
    identity: Identity = field(default_factory=lambda: Identity(CLUSTER, ONE))
    failure: Exception | None = None
    proposed: list[Change | bytes] = field(default_factory=list)
    # For how long each other member has been reachable; not at all if it is not here.
    reachable_s: dict[int, float] = field(default_factory=dict)
    status: Status = field(default_factory=lambda: Status(2, ONE, ONE, True, "StateLeader", 7, 7))
    progress: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    leader_changes: int = 1
    leader_since_ns: int = 1_700_000_000_000_000_000
    now_ns: int = 0
    term: int = 2
    applied_index: int = 7
    cluster_time_ns: int = 0

    def __post_init__(self) -> None:
        self.traffic = Traffic(lambda: self.now_ns)
        self.driver = SimpleNamespace(pending=0, proposals_failed=0, disk_full=False)
        self.journal = SimpleNamespace(size_bytes=0)

    def connected_since(self, member: int) -> float | None:
        """The loop's time since when a member is reachable."""
        reachable_s = self.reachable_s.get(member)
        return None if reachable_s is None else asyncio.get_running_loop().time() - reachable_s

    async def change(self, change: Change, command: bytes) -> Reply:
        """Change the members."""
        self.proposed.append(change)
        if self.failure is not None:
            raise self.failure
        tree = self.machine.store.tree
        self.peers = changed(self.peers, change, lambda number: is_removed(tree, number))
        return self.machine.apply(0, 0, [command])[0]

    async def propose(self, command: bytes, *, reserved: bool = False) -> Reply:
        """Have a command committed."""
        self.proposed.append(command)
        if self.failure is not None:
            raise self.failure
        return self.machine.apply(0, 0, [command])[0]

    async def read_barrier(self) -> None:
        """Reads are always current here."""
        if self.failure is not None:
            raise self.failure


def peer_url(member: int) -> str:
    return f"http://10.0.0.{member & 0xFF}:2380"


def cluster(*members: int, started: Sequence[int] | None = None, strict: bool = True) -> Backend:
    """A backend of a cluster of these members, whose first one is this one and leads.

    `started`: those that have published themselves, all if not given.
    """
    machine = Machine()
    peers = tuple(Peer(member, (peer_url(member),)) for member in sorted(members))
    commands: list[Command] = [AddMember(peer.id, peer.urls) for peer in peers]
    commands += [
        PublishMember(member, f"m{member & 0xFF}", (f"http://10.0.0.{member & 0xFF}:2379",))
        for member in (members if started is None else started)
    ]
    machine.apply(0, 0, [encode(command) for command in commands])
    node = FakeNode(machine, peers, Identity(CLUSTER, members[0]))
    node.reachable_s = dict.fromkeys(members[1:], LONG_S)
    node.status = replace(node.status, leader=members[0])
    return Backend(
        node=cast("Node[Reply]", node),
        machine=machine,
        name="m",
        versions=Versions("3.4.23", "3.4.0", "0"),
        cors=frozenset(),
        host_whitelist=frozenset("*"),
        check_urls=lambda texts: tuple(url.text for url in parse_urls(texts)),
        mint_id=lambda _urls: MINTED,
        strict_reconfig_check=strict,
        set_log_level=lambda _level: None,
        started_ns=1_600_000_000_000_000_000,
    )


def node_of(backend: Backend) -> FakeNode:
    """The fake one."""
    return cast("FakeNode", backend.node)


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, limit_bytes: int) -> bytes | None:
        return self._data if len(self._data) <= limit_bytes else None


def request(
    method: str, path: str, body: object = None, *, content_type: str | None = "application/json"
) -> Request:
    """A request as handlers get it; a body that is no text or bytes is sent as JSON."""
    headers = {"Content-Type": content_type} if content_type is not None else {}
    header: Callable[[str], str | None] = headers.get
    if isinstance(body, bytes):
        data = body
    else:
        text = body if isinstance(body, str) else json.dumps(body) if body is not None else ""
        data = text.encode()
    raw_path, _, query = path.partition("?")
    return Request(method, raw_path.encode(), query.encode(), header, _Body(data))


def whole(answer: Answer) -> Response:
    """An answer that does not go on."""
    assert isinstance(answer, Response)
    return answer


def read(answer: Answer) -> Any:
    """The JSON of an answer."""
    return json.loads(whole(answer).body)
