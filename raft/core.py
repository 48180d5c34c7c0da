"""PySyncObj with typed handles: the one module that touches its private names.

PySyncObj 0.3.17 brings elections, vote rules, the bookkeeping of the log and the commit loop. As
shipped it loses acknowledged writes (raft/audit.md), so it is given our log, our clock and no
network, is ticked by hand, never starts an election by itself, never truncates, and is not allowed
to apply anything: it says what is committed. `engine` decides what reaches it.

Laws:

* Commitment only ever advances inside `tick`, and a leader counts itself: the caller ticks only
  when all that was appended is on disk.
* Any exception out of PySyncObj ends the process: it is not exception safe anywhere.
* `raft/pin` holds the version these names belong to.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pysyncobj import SyncObj, SyncObjConf
from pysyncobj import syncobj as pysyncobj_module
from pysyncobj.node import Node as PeerNode
from pysyncobj.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from raft.clock import Clock
    from raft.log import Log

# PySyncObj's own compaction, batching and election timer are put out of reach.
_NEVER: Final = 1 << 60

_CANDIDATE: Final = 1
_LEADER: Final = 2


@dataclass(frozen=True, slots=True)
class Timing:
    """etcd's two knobs: `heartbeat-interval` and `election-timeout`."""

    heartbeat_ms: int = 100
    election_ms: int = 1000


class Core:
    """One PySyncObj. Members are named by their uint64 ids."""

    def __init__(
        self,
        me: int,
        *,
        log: Log,
        applied: int,
        timing: Timing,
        clock: Clock,
        outlet: Callable[[int, dict[str, Any]], None],
    ) -> None:
        """`applied`: where the state machine stands; `outlet` is told each message to a member."""
        self._log = log
        self._clock = clock
        self._timing = timing
        self._nodes: dict[int, PeerNode] = {me: PeerNode(me)}
        self._committed: list[tuple[int, bytes]] = []
        self._enter()
        self._object = _Object(
            self._nodes[me],
            [],
            conf=SyncObjConf(
                autoTick=False,
                appendEntriesUseBatch=True,
                appendEntriesBatchSizeBytes=_NEVER,
                appendEntriesPeriod=timing.heartbeat_ms / 1000,
                raftMinTimeout=_NEVER,
                raftMaxTimeout=2 * _NEVER,
                connectionTimeout=2 * _NEVER,
                leaderFallbackTimeout=timing.election_ms / 1000,
                logCompactionMinEntries=_NEVER,
                logCompactionMinTime=_NEVER,
            ),
            transport=_Outlet(outlet),
        )
        self._object.committed = self._committed
        self._object._poller = _NoPoller()
        self._object._SyncObj__serializer = _NoDumps()
        self._object._SyncObj__raftLastApplied = applied

    def _enter(self) -> None:
        """Lend PySyncObj this member's log and clock: it looks for them in its module."""
        pysyncobj_module.createJournal = lambda _path: self._log
        pysyncobj_module.monotonicTime = self._now_s
        pysyncobj_module.random = random

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def _node(self, member: int) -> PeerNode:
        node = self._nodes.get(member)
        if node is None:
            node = self._nodes[member] = PeerNode(member)
        return node

    def _receive(self, member: int, message: dict[str, Any]) -> None:
        self._enter()
        self._object._SyncObj__onMessageReceived(self._node(member), message)

    # -- what it is told ---------------------------------------------------------------------

    def tick(self) -> list[tuple[int, bytes]]:
        """Commit, send heartbeats, step down without a quorum; return what is newly committed.

        The entries are (index, data), in order, each exactly once.
        """
        self._enter()
        self._object._onTick(0)
        committed = self._committed[:]
        self._committed.clear()
        return committed

    def set_others(self, members: Iterable[int]) -> None:
        """Whose votes and acknowledgements count, besides our own."""
        others = {self._node(member) for member in members}
        known = self._object._SyncObj__otherNodes
        for node in known - others:
            self._object._SyncObj__raftNextIndex.pop(node, None)
            self._object._SyncObj__raftMatchIndex.pop(node, None)
        for node in others - known:
            self._object._SyncObj__raftNextIndex[node] = self._log.last_index + 1
            self._object._SyncObj__raftMatchIndex[node] = 0
            self._object._SyncObj__lastResponseTime[node] = self._now_s()
        self._object._SyncObj__otherNodes = others

    def set_reachable(self, member: int, *, reachable: bool) -> None:
        """Whether appends should be made for a member at all."""
        nodes = self._object._SyncObj__connectedNodes
        (nodes.add if reachable else nodes.discard)(self._node(member))

    def campaign(self) -> None:
        """Begin an election now."""
        self._enter()
        # PySyncObj only asks for votes when it thinks that somebody is there to hear.
        self._object._SyncObj__connectedNodes |= self._object._SyncObj__otherNodes
        self._object._SyncObj__raftElectionDeadline = 0
        self._object._onTick(0)
        self._object._SyncObj__raftElectionDeadline = _NEVER

    def forget_leader(self) -> None:
        """Nobody has been heard of for long."""
        self._object._SyncObj__raftLeader = None

    def step_down(self, term: int) -> None:
        """Go on in a higher term as a follower: a vote request nobody could grant does it."""
        message = {"type": "request_vote", "term": term, "last_log_index": 0, "last_log_term": -1}
        self._receive(0, message)

    def append(
        self, leader: int, term: int, commit: int, entries: list[tuple[bytes, int, int]]
    ) -> None:
        """Follow a leader; append entries, which must follow our last one; learn what is committed.

        PySyncObj is never shown a conflict: its way to resolve one deletes what is right, too.
        """
        message = {
            "type": "append_entries",
            "term": term,
            "commit_index": commit,
            "prevLogIdx": self._log.last_index,
            "prevLogTerm": self._log.last_term,
            "entries": entries,
        }
        self._receive(leader, message)

    def ask_vote(self, candidate: int, term: int, last_index: int, last_term: int) -> None:
        """Be asked for a vote; the outlet is told if it was granted."""
        message = {
            "type": "request_vote",
            "term": term,
            "last_log_index": last_index,
            "last_log_term": last_term,
        }
        self._receive(candidate, message)

    def vote(self, voter: int, term: int) -> None:
        """Be given a vote. PySyncObj counts votes, not voters: each one once."""
        self._receive(voter, {"type": "response_vote", "term": term})

    def acknowledged(self, member: int, index: int) -> None:
        """The member has everything up to `index`."""
        node = self._node(member)
        following = self._object._SyncObj__raftNextIndex[node]
        message = {
            "type": "next_node_idx",
            "next_node_idx": index + 1,
            "reset": False,
            "success": True,
        }
        self._receive(member, message)
        # PySyncObj would go back to what was acknowledged and send all that is on its way again.
        self.set_next(member, max(following, index + 1))

    def heard(self, member: int) -> None:
        """The member is alive and follows."""
        self._object._SyncObj__lastResponseTime[self._node(member)] = self._now_s()

    def send_appends(self) -> None:
        """As a leader, tell everyone reachable what they do not have."""
        self._enter()
        self._object._SyncObj__sendAppendEntries()

    def installed(self, index: int) -> None:
        """A snapshot has replaced log and state up to `index`."""
        self._object._SyncObj__raftLastApplied = index
        self._object._SyncObj__raftCommitIndex = index
        self._log.setRaftCommitIndex(index)

    # -- what it says ------------------------------------------------------------------------

    def next_index(self, member: int) -> int:
        index: int = self._object._SyncObj__raftNextIndex[self._node(member)]
        return index

    def set_next(self, member: int, index: int) -> None:
        self._object._SyncObj__raftNextIndex[self._node(member)] = index

    def match_index(self, member: int) -> int:
        index: int = self._object._SyncObj__raftMatchIndex.get(self._node(member), 0)
        return index

    @property
    def is_leader(self) -> bool:
        leads: bool = self._object._SyncObj__raftState == _LEADER
        return leads

    @property
    def is_candidate(self) -> bool:
        asks: bool = self._object._SyncObj__raftState == _CANDIDATE
        return asks

    @property
    def leader(self) -> int:
        """The leader's id, 0 for none."""
        node = self._object._SyncObj__raftLeader
        return node.id if node is not None else 0

    @property
    def term(self) -> int:
        term: int = self._object._SyncObj__raftCurrentTerm
        return term

    @property
    def vote_given(self) -> int:
        """For whom this member voted in its term, 0 for nobody."""
        return self._log.getVotedForNodeId() or 0

    @property
    def commit_index(self) -> int:
        index: int = self._object._SyncObj__raftCommitIndex
        return index

    @property
    def no_op_index(self) -> int | None:
        """The index of the first entry of our own leadership."""
        index: int | None = self._object._SyncObj__noopIDx
        return index


class _Object(SyncObj):  # type: ignore[misc]  # PySyncObj has no types
    """PySyncObj with its one unsafe hand tied: it unpickles and calls what the log says."""

    committed: list[tuple[int, bytes]]

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        self.committed.append((self.raftLastApplied + 1, command))


class _Outlet(Transport):  # type: ignore[misc]  # PySyncObj has no types
    """What PySyncObj sends goes to the engine, by member id."""

    def __init__(self, outlet: Callable[[int, dict[str, Any]], None]) -> None:
        super().__init__(None, None, [])
        self._outlet = outlet

    def send(self, node: PeerNode, message: dict[str, Any]) -> bool:
        self._outlet(node.id, message)
        return True


class _NoPoller:
    """PySyncObj polls its own sockets on each tick; it has none."""

    def poll(self, timeout: float) -> None:
        """Do nothing."""


class _NoDumps:
    """PySyncObj's snapshots are never made and never sent; ours are."""

    def checkSerializing(self) -> tuple[int, None]:
        return 0, None

    def getTransmissionData(self, _transmission: object) -> None:
        return None

    def cancelTransmisstion(self, _transmission: object) -> None:
        """There is none to cancel (the name's spelling is PySyncObj's)."""
