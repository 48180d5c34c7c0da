"""What the three parts of an engine work at: who the member is, its log and core, and the trays.

Laws: there is one for each engine; the engine says who the voters are, and nobody else. What
promises something goes into `held` and may leave only when all that is in the journal's buffer is
on disk; the rest goes into `outbox`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from raft.clock import Clock
    from raft.core import Core
    from raft.election import ElectionTimer
    from raft.log import Log
    from raft.messages import Message


class Desk:
    """The member `me` among the `voters`; `others` are those without it, sorted."""

    def __init__(
        self, me: int, *, log: Log, core: Core, clock: Clock, timer: ElectionTimer
    ) -> None:
        self.me = me
        self.log = log
        self.core = core
        self.clock = clock
        self.timer = timer
        self.voters: frozenset[int] = frozenset()
        self.others: list[int] = []
        # This member's disk takes no more files.
        self.is_full = False
        # Whom messages can get through to.
        self.reachable: set[int] = set()
        self.outbox: list[tuple[int, Message]] = []
        self.held: list[tuple[int, Message]] = []

    @property
    def is_alone(self) -> bool:
        """The only voter."""
        return self.voters == {self.me}

    def is_majority(self, members: Collection[int]) -> bool:
        """Whether these are more than half of the voters."""
        return 2 * len(self.voters.intersection(members)) > len(self.voters)

    def take_outbox(self) -> list[tuple[int, Message]]:
        """Take what may leave at once: (member, message), in order."""
        taken, self.outbox = self.outbox, []
        return taken

    def take_held(self) -> list[tuple[int, Message]]:
        """Take what may leave once all that is buffered now is on disk."""
        taken, self.held = self.held, []
        return taken
