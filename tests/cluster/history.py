"""What the clients did and saw: the only thing the checker goes by.

Laws: times are of one monotonic clock, in s; `start` is taken before the request is sent and
`end` after the answer is complete; an outcome is never better than what the client knows.
"""

from dataclasses import dataclass, field
from enum import Enum

ROOT = "/c"
"""All keys of the workload are below it."""


class Outcome(Enum):
    """What the client knows of a request."""

    OK = "ok"
    REFUSED = "refused"
    """A definite answer: it has changed nothing, for a reason in the store."""
    UNKNOWN = "unknown"
    """No answer, or errorCode 300: it may have been done, or be done later."""
    NOT_SENT = "not sent"
    """The server has never seen it."""


class Kind(Enum):
    """What a request is."""

    WRITE = "write"
    QUORUM = "quorum read"
    READ = "read"
    LIST = "list"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Node:
    """A key's value, and when it was changed and created."""

    value: str | None
    modified: int
    created: int
    expiration: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one key, as any member tells it."""

    index: int
    action: str
    key: str
    node: Node
    before: Node | None
    """What was there (prevNode); None if nothing."""

    @property
    def removes(self) -> bool:
        """Whether the key is gone afterwards."""
        return self.action in ("delete", "compareAndDelete", "expire")


@dataclass(slots=True)
class Op:
    """One request."""

    kind: Kind
    member: str
    key: str
    start: float
    connection: int = 0
    """Its number: on one connection a member may not go back in time. 0: there was none."""
    end: float = 0.0
    outcome: Outcome = Outcome.UNKNOWN
    late: bool = False
    """The client gave up waiting."""
    index: int = 0
    """X-Etcd-Index of a definite answer: the state it tells of."""
    error: int = 0
    note: str = ""
    # -- of a write
    action: str = ""
    value: str | None = None
    ttl_s: int = 0
    expect_index: int = 0
    expect_value: str | None = None
    event: Event | None = None
    # -- of a read
    node: Node | None = None
    """What was there; None with outcome OK: nothing."""
    listing: dict[str, Node] | None = None


@dataclass(slots=True)
class Segment:
    """A watcher's unbroken view: all events below its prefix in (after, through]."""

    after: int
    through: int
    indexes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Seen:
    """All a watcher saw, over all of its connections."""

    name: str
    prefix: str
    segments: list[Segment] = field(default_factory=list)
    resyncs: int = 0
    """How often the history had been cleared (401) before it came back."""
    connections: int = 0
    silent_ends: int = 0
    """How often the server ended a stream, or was silent for long."""


@dataclass(slots=True)
class Window:
    """A time of trouble: what may fail meanwhile."""

    fault: str
    start: float
    end: float = float("inf")
    silent: frozenset[str] = frozenset()
    """Members that may answer nothing at all."""
    stalled: frozenset[str] | None = None
    """Members through which writes and quorum reads may fail; None: through any."""


@dataclass(slots=True)
class History:
    """One epoch, from a state known to all members to the next."""

    base: dict[str, Node]
    base_index: int
    ops: list[Op] = field(default_factory=list)
    watchers: list[Seen] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    """Times in which there was certainly no majority."""
    finals: dict[str, Op] = field(default_factory=dict)
    """The listing of each member at the end."""
    troubles: list[str] = field(default_factory=list)
    """What went wrong outside of any request: a member ended, or never got well."""


def event_from(found: dict[str, object]) -> Event:
    """An event from its JSON."""
    node = found["node"]
    assert isinstance(node, dict)
    before = found.get("prevNode")
    return Event(
        index=node["modifiedIndex"],
        action=str(found["action"]),
        key=node["key"],
        node=node_from(node),
        before=node_from(before) if isinstance(before, dict) else None,
    )


def node_from(node: dict[str, object]) -> Node:
    """A leaf from its JSON; `ttl` is left out, it depends on the time of asking."""
    modified, created = node["modifiedIndex"], node["createdIndex"]
    assert isinstance(modified, int)
    assert isinstance(created, int)
    value, expiration = node.get("value"), node.get("expiration")
    return Node(
        None if value is None else str(value),
        modified,
        created,
        None if expiration is None else str(expiration),
    )


def leaves(node: dict[str, object]) -> dict[str, Node]:
    """All leaves of a recursive listing."""
    children = node.get("nodes", [])
    assert isinstance(children, list)
    if not node.get("dir"):
        return {str(node["key"]): node_from(node)}
    found: dict[str, Node] = {}
    for child in children:
        found |= leaves(child)
    return found
