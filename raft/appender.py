"""As a leader: makes log entries of what waits to be proposed, here and by other members.

Laws:

* The commands of one turn are one entry, closed at a size; a larger command goes alone, and so does
  a change of the members.
* A change is appended only when no other one is under way and all before it is applied; it is
  checked against the configuration it changes.
* A leader does not append its own removal: it hands leadership over, and whoever proposed it does
  so again to the next one.
* What is appended and not committed is bounded: while followers' disks hang it would fill memory.
* Nothing is appended that the journal may have no room for: a disk that is full is found out while
  the next file is made, and the log never dies of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from raft import batch, membership
from raft.errors import ChangeRefused
from raft.proposals import EXTRA_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.clock import Clock, ClusterClock
    from raft.engine import Engine
    from raft.journal import Journal
    from raft.log import Log
    from raft.messages import Change, Proposal
    from raft.proposals import Intake, Proposals

# Room in the journal left for what the engine appends by itself: votes and its no-op.
_ROOM_KEPT_BYTES: Final = 64 * 1024
UNCOMMITTED_BYTES_MAX: Final = 64 << 20


class Appender:
    """Takes proposals off their queues and gives them to the engine."""

    def __init__(
        self,
        engine: Engine,
        log: Log,
        journal: Journal,
        *,
        proposals: Proposals[Any],
        intake: Intake,
        clock: Clock,
        cluster_clock: ClusterClock,
        is_removed: Callable[[int], bool],
        on_refused: Callable[[int, int, ChangeRefused], None],
        on_no_room: Callable[[], None],
    ) -> None:
        """`on_refused` is told origin and number of a change that makes no sense."""
        self._engine = engine
        self._log = log
        self._journal = journal
        self._proposals = proposals
        self._intake = intake
        self._clock = clock
        self._cluster_clock = cluster_clock
        self._is_removed = is_removed
        self._on_refused = on_refused
        self._on_no_room = on_no_room
        # The next command does not fit into what the journal has prepared.
        self.wants_room = False
        self._room = 0
        self._next_room = 0

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many bytes of a leader's entries can be appended; if not, asks for room."""
        room, next_room = self._journal.room_bytes
        need = size_bytes + _ROOM_KEPT_BYTES
        self.wants_room = need > room and need > next_room
        if self.wants_room:
            self._on_no_room()
        return not self.wants_room

    def run(self, applied_index: int) -> None:
        """Append what waits, as long as there is room; the end of preparing more wakes us."""
        if not self._proposals and not self._intake:
            return
        self._room, self._next_room = self._journal.room_bytes
        self._room -= _ROOM_KEPT_BYTES
        self.wants_room = False
        while self._may_append and (head := self._head()) is not None:
            change = head[1].change
            if change is not None:
                if not self._append_change(*head, change, applied_index):
                    return
            elif not self._append_commands():
                return

    @property
    def is_behind(self) -> bool:
        """Whether something waits that may be appended now."""
        return bool(self._proposals or self._intake) and not self.wants_room and self._may_append

    @property
    def _may_append(self) -> bool:
        bounded = self._log.uncommitted_bytes < UNCOMMITTED_BYTES_MAX
        return bounded and not self._engine.leading.is_transferring

    def _head(self) -> tuple[int, Proposal] | None:
        own = self._proposals.first()
        return (self._proposals.origin, own) if own is not None else self._intake.first()

    def _pop(self, origin: int) -> None:
        if origin == self._proposals.origin:
            self._proposals.take(self._engine.term)
        else:
            self._intake.pop()

    def _fits(self, size_bytes: int) -> bool:
        if size_bytes <= self._room:
            return True
        if self._next_room:
            self._room, self._next_room = self._next_room - _ROOM_KEPT_BYTES, 0
            return self._fits(size_bytes)
        self.wants_room = True
        self._on_no_room()
        return False

    def _append_commands(self) -> bool:
        ids: list[tuple[int, int]] = []
        commands: list[bytes] = []
        size_bytes = 0
        while len(commands) < batch.COMMANDS_MAX and (head := self._head()) is not None:
            origin, proposal = head
            if proposal.change is not None:
                break
            size_bytes += len(proposal.command) + EXTRA_BYTES
            if commands and size_bytes > min(self._room, batch.BYTES_MAX):
                break
            if not commands and not self._fits(size_bytes):
                return False
            self._pop(origin)
            ids.append((origin, proposal.number))
            commands.append(proposal.command)
        self._append(ids, commands, None)
        return True

    def _append_change(
        self, origin: int, proposal: Proposal, change: Change, applied_index: int
    ) -> bool:
        engine, members = self._engine, self._log.membership
        if not engine.is_ready_leader or members.index > applied_index:
            return False
        try:
            peers = membership.changed(members.peers, change, self._is_removed)
        except ChangeRefused as refused:
            self._pop(origin)
            self._on_refused(origin, proposal.number, refused)
            return True
        if change.kind == membership.REMOVE and change.peer.id == engine.me:
            if not engine.leading.transfer():
                return False
            self._pop(origin)
            return False
        if not self._fits(len(proposal.command) + EXTRA_BYTES + 512 * len(peers)):
            return False
        self._pop(origin)
        self._append([(origin, proposal.number)], [proposal.command], peers)
        return True

    def _append(
        self,
        ids: list[tuple[int, int]],
        commands: list[bytes],
        peers: tuple[batch.Peer, ...] | None,
    ) -> None:
        stamp_ns, wall_ns = self._cluster_clock.stamp(), self._clock.wall_ns()
        entry = batch.encode(batch.Batch(stamp_ns, wall_ns, ids, commands, peers))
        self._room -= len(entry) + EXTRA_BYTES
        self._engine.propose(entry)
