"""What is committed, given to the state machine in its order, and its replies to who waits.

Laws:

* A member applies what its own disk has, each entry once, in the order of the log.
* A snapshot replaces log and state only if it goes beyond both; the journal knows of it first.
* A configuration is acted on once nobody here can forget that it is committed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from raft import batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from raft.clock import ClusterClock
    from raft.engine import Engine
    from raft.journal import Journal
    from raft.log import Log
    from raft.machine import StateMachine
    from raft.proposals import Proposals
    from raft.snapshots import SnapshotMeta

ReplyT = TypeVar("ReplyT")


class Applying(Generic[ReplyT]):
    """Where the state machine stands, and what it is given next."""

    def __init__(
        self,
        engine: Engine,
        log: Log,
        journal: Journal,
        machine: StateMachine[ReplyT],
        *,
        proposals: Proposals[ReplyT],
        cluster_clock: ClusterClock,
        applied: int,
        on_applied: Callable[[], None],
        configure: Callable[[tuple[batch.Peer, ...]], None],
    ) -> None:
        """`applied`: where it stands; `configure` acts on a configuration in good time."""
        self._engine = engine
        self._log = log
        self._journal = journal
        self._machine = machine
        self._proposals = proposals
        self._cluster_clock = cluster_clock
        self._on_applied = on_applied
        self._configure = configure
        # (index, data) of what is committed and was not applied yet.
        self._committed: deque[tuple[int, bytes]] = deque()
        self.index = applied

    def committed(self, entries: Iterable[tuple[int, bytes]]) -> None:
        """Learn that entries (index, data) are committed."""
        self._committed.extend(entries)

    def advance(self) -> None:
        """Apply what may be."""
        applied = False
        while self._committed and self._committed[0][0] <= self._log.durable:
            index, data = self._committed.popleft()
            if index > self.index:  # else a snapshot was installed meanwhile
                self.apply(index, data)
                applied = True
        if applied:
            self._on_applied()

    def apply(self, index: int, data: bytes) -> None:
        """Apply one committed entry and answer those of its commands that were proposed here."""
        entry = batch.decode(data)
        self.index = index
        if entry is None:
            self._proposals.term_began(self._log.term_at(index))
            return
        self._cluster_clock.saw(entry.stamp_ns)
        replies = self._machine.apply(entry.stamp_ns, entry.wall_ns, entry.commands)
        own = self._proposals.origin
        if entry.ids:
            self._proposals.applied(
                (number if origin == own else 0 for origin, number in entry.ids), replies
            )
        if entry.peers is not None:
            self._configure(entry.peers)

    def install(self, meta: SnapshotMeta, state: object) -> bool:
        """Let a durable snapshot replace log and state; False if they are beyond it already."""
        if meta.index <= max(self.index, self._engine.commit_index):
            return False
        standing = batch.decode_standing(meta.config)
        self._journal.mark_snapshot(meta.index, meta.term)
        if not self._log.holds(meta.index, meta.term):
            self._log.replace(meta.index, meta.term, commands=meta.commands)
            self._log.membership.reset(meta.index, standing.peers)
        self._machine.adopt(state)
        self._committed.clear()
        self.index = meta.index
        self._cluster_clock.saw(standing.stamp_ns)
        self._proposals.hidden()
        self._engine.installed(meta.index)
        self._configure(standing.peers)
        return True
