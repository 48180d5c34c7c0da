"""What clients and other members want in the log: appended by a leader, else forwarded or refused.

Laws:

* A leader takes what was meant for it in its term, and forgets it once another term is its own.
* A member forwards to the leader it knows; what may have been lost on the way is told again.
* While a disk is full, this one's or most members', nothing waits for it: it is refused in words.
* A refusal goes back to the member that the proposal came from; one of its own ends here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from raft.appender import Appender
from raft.errors import (
    LEADER_NO_SPACE,
    MOST_NO_SPACE,
    NO_SPACE,
    TOO_MANY,
    ChangeRefused,
    ProposalFailed,
)
from raft.messages import Refused
from raft.proposals import Intake

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.clock import Clock, ClusterClock
    from raft.engine import Engine
    from raft.journal import Journal
    from raft.log import Log
    from raft.messages import Change, Forward, Message
    from raft.proposals import Proposals

ReplyT = TypeVar("ReplyT")


class Proposing(Generic[ReplyT]):
    """This member's `proposals`, those that others gave it as their leader, and where they go."""

    def __init__(
        self,
        engine: Engine,
        log: Log,
        journal: Journal,
        *,
        proposals: Proposals[ReplyT],
        clock: Clock,
        cluster_clock: ClusterClock,
        is_removed: Callable[[int], bool],
        on_no_room: Callable[[], None],
        send: Callable[[int, Message], object],
    ) -> None:
        """`send` takes a member and a message; `on_no_room` is told that the journal wants room."""
        self._engine = engine
        self._proposals = proposals
        self._send = send
        self._intake = Intake()
        # Which member a proposal in the intake came from, by its origin; and whose term it is for.
        self._origins: dict[int, int] = {}
        self._led_term = 0
        self._appender = Appender(
            engine,
            log,
            journal,
            proposals=proposals,
            intake=self._intake,
            clock=clock,
            cluster_clock=cluster_clock,
            is_removed=is_removed,
            on_refused=self._refuse_change,
            on_no_room=on_no_room,
        )

    @property
    def wants_room(self) -> bool:
        """Whether the next command does not fit into what the journal has prepared."""
        return self._appender.wants_room

    @property
    def is_behind(self) -> bool:
        """Whether something waits that a leader may append now."""
        return self._appender.is_behind

    def has_room(self, size_bytes: int) -> bool:
        """Whether the journal has room for so much of a leader's entries; if not, asks for it."""
        return self._appender.has_room(size_bytes)

    def add(
        self, command: bytes, *, change: Change | None, reserved: bool
    ) -> asyncio.Future[ReplyT]:
        """Take a client's command, or fail it at once; see Driver.propose."""
        if self._engine.desk.is_full and not reserved:
            return self.failed(NO_SPACE)
        return self._proposals.add(command, change)

    def failed(self, cause: str) -> asyncio.Future[ReplyT]:
        """Return the future of a command that is not taken."""
        future: asyncio.Future[ReplyT] = asyncio.get_running_loop().create_future()
        self._proposals.fail(future, cause)
        return future

    def take_in(self, member: int, message: Forward) -> None:
        """As a leader, take what another member forwards."""
        if not self._engine.is_leader or message.term != self._engine.term:
            return  # its proposer will learn of a later term
        self._begin_term()
        self._origins[message.origin] = member
        is_full = self._engine.desk.is_full
        if refused := self._intake.take(message, refuse=is_full):
            self._refuse(message.origin, refused, LEADER_NO_SPACE if is_full else TOO_MANY)

    def _begin_term(self) -> None:
        """Forget what was taken in an earlier term, which whoever proposed it knows to be dead."""
        if self._led_term != self._engine.term:
            self._led_term = self._engine.term
            self._intake.clear()
            self._origins.clear()

    def hand_in(self, applied_index: int) -> None:
        """Append what waits, or tell the leader of it."""
        engine = self._engine
        if engine.is_leader:
            self._begin_term()
            if engine.leading.lacks_room:
                self._refuse_waiting(MOST_NO_SPACE, MOST_NO_SPACE)
            self._appender.run(applied_index)
        elif self._proposals and engine.leader:
            self.forward(0)

    def forward(self, repeat_before_ns: int) -> None:
        """Tell the leader what it was never told, or not since that time (monotonic)."""
        engine = self._engine
        leader = engine.leader
        if leader and leader != engine.me:
            for message in self._proposals.forwards(engine.term, repeat_before_ns):
                self._send(leader, message)

    def refuse_for_full_disk(self) -> None:
        """Refuse what was not appended yet, here and to other members: this disk is full."""
        self._refuse_waiting(NO_SPACE, LEADER_NO_SPACE)

    def _refuse_waiting(self, own_cause: str, cause: str) -> None:
        self._proposals.refuse_waiting(own_cause)
        for origin, number in self._intake.drain():
            self._refuse(origin, [number], cause)

    def _refuse(self, origin: int, numbers: list[int], cause: str, *, change: bool = False) -> None:
        member = self._origins.get(origin)
        if member is not None:
            self._send(member, Refused(origin, numbers, cause, change))

    def _refuse_change(self, origin: int, number: int, refused: ChangeRefused) -> None:
        if origin == self._proposals.origin:
            self._proposals.refused([number], refused)
        else:
            self._refuse(origin, [number], str(refused), change=True)

    def be_refused(self, message: Refused) -> None:
        """Learn that the leader will not append some of this member's."""
        if message.origin == self._proposals.origin:
            kind = ChangeRefused if message.change else ProposalFailed
            self._proposals.refused(message.numbers, kind(message.cause))
