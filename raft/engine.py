"""PySyncObj inside the fence.

PySyncObj 0.3.17 brings elections, vote rules, the bookkeeping of the log and the commit loop. As
shipped it loses acknowledged writes (raft/audit.md), so here it is given our log, our clock and our
transport, is ticked by hand, and is not allowed to apply anything: it says what is committed, the
driver decides when that may be acted on.

Laws:

* Duty of the caller: no `turn` between an append and the sync that covers it. Commitment only ever
  advances inside `turn`, and a leader counts itself.
* Any exception out of PySyncObj ends the process: it is not exception safe anywhere.
* This module and `log` are the only ones that know PySyncObj. `raft/pin` holds its version.
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
    from collections.abc import Sequence

    from raft.clock import Clock
    from raft.log import Log
    from raft.transport import PeerTransport

# PySyncObj's own compaction and batching are switched off by putting them out of reach.
_NEVER: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Timing:
    """etcd's two knobs: `heartbeat-interval` and `election-timeout`."""

    heartbeat_ms: int = 100
    election_ms: int = 1000


class Engine:
    """A member's part in the agreement on a log: propose to it, turn it, read what is committed."""

    def __init__(
        self,
        member: str,
        voters: Sequence[str],
        *,
        log: Log,
        applied: int,
        timing: Timing,
        clock: Clock,
        transport: PeerTransport,
    ) -> None:
        """`applied`: the index up to which the state machine already stands."""
        self._log = log
        self._member = member
        self.committed: list[tuple[int, bytes]] = []
        pysyncobj_module.createJournal = lambda _path: log
        pysyncobj_module.monotonicTime = lambda: clock.monotonic_ns() / 1e9
        pysyncobj_module.random = random.Random()
        self._core = _Core(
            PeerNode(member),
            [PeerNode(voter) for voter in voters if voter != member],
            conf=SyncObjConf(
                autoTick=False,
                appendEntriesUseBatch=True,
                appendEntriesBatchSizeBytes=_NEVER,
                appendEntriesPeriod=timing.heartbeat_ms / 1000,
                raftMinTimeout=timing.election_ms / 1000,
                raftMaxTimeout=2 * timing.election_ms / 1000,
                leaderFallbackTimeout=timing.election_ms / 1000,
                logCompactionMinEntries=_NEVER,
                logCompactionMinTime=_NEVER,
            ),
            transport=_Outlet(transport),
        )
        self._core.engine = self
        self._core._poller = _NoPoller()
        self._core._SyncObj__serializer = _NoDumps()
        self._core._SyncObj__raftLastApplied = applied
        if len(voters) == 1:
            # Nobody else can be leader, so there is nothing to wait for.
            self._core._SyncObj__raftElectionDeadline = 0

    def propose(self, data: bytes) -> None:
        """Hand in an entry; a leader appends it to the log at the next turn."""
        self._core._applyCommand(data, None)

    def turn(self) -> list[tuple[int, bytes]]:
        """Let PySyncObj act on what has happened; return what is committed now and was not before.

        The entries are (index, data), in order, each exactly once.
        """
        self._core.doTick(0)
        committed, self.committed = self.committed, []
        return committed

    @property
    def is_leader(self) -> bool:
        leads: bool = self._core._isLeader()
        return leads

    @property
    def is_ready_leader(self) -> bool:
        """Leader, and the no-op of its term is committed: everything before it is known."""
        noop: int | None = self._core._SyncObj__noopIDx
        return self.is_leader and noop is not None and self.commit_index >= noop

    @property
    def leader(self) -> str | None:
        node: PeerNode | None = self._core._getLeader()
        return node.id if node is not None else None

    @property
    def term(self) -> int:
        term: int = self._core.raftCurrentTerm
        return term

    @property
    def vote(self) -> str | None:
        vote: str | None = self._log.getVotedForNodeId()
        return vote

    @property
    def commit_index(self) -> int:
        index: int = self._core.raftCommitIndex
        return index


class _Core(SyncObj):  # type: ignore[misc]  # PySyncObj has no types
    """PySyncObj with its one unsafe hand tied: it unpickles and calls what the log says."""

    engine: Engine

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        self.engine.committed.append((self.raftLastApplied + 1, command))


class _Outlet(Transport):  # type: ignore[misc]  # PySyncObj has no types
    """What PySyncObj sends goes to our transport, by member id."""

    def __init__(self, transport: PeerTransport) -> None:
        super().__init__(None, None, [])
        self._transport = transport

    def send(self, node: PeerNode, message: dict[str, Any]) -> bool:
        return self._transport.send(node.id, message)


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
