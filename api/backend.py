"""What the handlers stand on: the log, the state machine, and who this member is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from api.meter import Meter
from api.watching import Feeds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kvstore import Machine, Reply
    from raft import Node
    from raft.peers import Counters


@dataclass(slots=True)
class Backend:
    """One per process; built by server/, handed to every handler."""

    node: Node[Reply]
    machine: Machine
    name: str
    versions: Versions
    # Origins, and Host names, that are served; "*" stands for all.
    cors: frozenset[str]
    host_whitelist: frozenset[str]
    # Returns peer URLs as they are kept, sorted; raises ValueError with etcd's words for a bad one.
    check_urls: Callable[[Sequence[str]], tuple[str, ...]]
    # Returns the id of a member that is added now with these peer URLs.
    mint_id: Callable[[Sequence[str]], int]
    # Whether changes of the members are refused that would cost the quorum.
    strict_reconfig_check: bool
    # Sets the log level by etcd's name for it; raises ValueError for an unknown one.
    set_log_level: Callable[[str], None]
    # When the process started, by the wall clock.
    started_ns: int
    # What went to and came from each other member, by its id.
    peer_counters: Callable[[], Mapping[int, Counters]] = dict
    feeds: Feeds = field(default_factory=Feeds)
    meter: Meter = field(default_factory=Meter)

    @property
    def cluster_id(self) -> str:
        return f"{self.node.identity.cluster_id:x}"

    @property
    def member_id(self) -> str:
        return f"{self.node.identity.member_id:x}"


@dataclass(frozen=True, slots=True)
class Versions:
    """What we say we are: etcd's version, and our own."""

    etcd: str
    cluster: str
    ours: str
