"""Proposals: from the client that waits, by way of the leader, into the log, and back as a reply.

Laws:

* A proposal has a number its member never uses twice, and its member an origin no other start ever
  has; the pair is in the log, and that is how the reply finds back.
* It is handed to at most one leader, the leader of one term, and that leader appends it in that
  term or never. So it is known dead, and may be handed in again, once this member has applied the
  first entry of a later term without having seen it. Whatever else happens, it is never repeated.
* The leader takes each one once, however often it is told.
* A snapshot that is installed hides what was applied: those handed in before are unknown for good.
* Every wait ends: without a reply in time it fails, saying whether it may still happen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from raft import batch
from raft.errors import (
    STOPPED,
    STOPPED_UNKNOWN,
    TIMED_OUT,
    TIMED_OUT_UNKNOWN,
    TOO_LARGE,
    TOO_MANY,
    ProposalFailed,
)
from raft.messages import Forward, Proposal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from raft.messages import Change

ReplyT = TypeVar("ReplyT")

# Proposals waiting for their turn. Connections have at most one each, so only very many of them, or
# a disk that hangs, come near this.
WAITING_BYTES_MAX: Final = 256 << 20

# One command must fit into one message to another member (16 MiB) with room to spare.
COMMAND_BYTES_MAX: Final = 15 << 20

# What a record's header and framing add to a command, generously.
EXTRA_BYTES: Final = 128


class _Pending(Generic[ReplyT]):
    """A proposal of this member that has no reply yet."""

    __slots__ = ("deadline_ns", "future", "proposal", "sent_ns", "term", "unknown")

    def __init__(
        self, proposal: Proposal, future: asyncio.Future[ReplyT], deadline_ns: int
    ) -> None:
        self.proposal = proposal
        self.future = future
        self.deadline_ns = deadline_ns
        # The term whose leader has it, 0 for none, and when it was handed over.
        self.term = 0
        self.sent_ns = 0
        # Whether a snapshot may have hidden what became of it.
        self.unknown = False


class Proposals(Generic[ReplyT]):
    """This member's own proposals."""

    def __init__(self, origin: int, timeout_ns: int, now_ns: Callable[[], int]) -> None:
        self.origin = origin
        self._timeout_ns = timeout_ns
        self._now_ns = now_ns
        self._number = 0
        # By number, in the order they came.
        self._pending: dict[int, _Pending[ReplyT]] = {}
        # Numbers of those that no leader has; some may have ended in the meantime.
        self._waiting: deque[int] = deque()
        self._waiting_bytes = 0
        self.failed = 0

    def __len__(self) -> int:
        """How many wait for their reply."""
        return len(self._pending)

    def __bool__(self) -> bool:
        """Whether some wait for a leader to take them."""
        return bool(self._waiting)

    def futures(self) -> list[asyncio.Future[ReplyT]]:
        """Those that wait for their reply."""
        return [pending.future for pending in self._pending.values()]

    def add(self, command: bytes, change: Change | None = None) -> asyncio.Future[ReplyT]:
        """Take a proposal; the future is its reply, or ProposalFailed."""
        future: asyncio.Future[ReplyT] = asyncio.get_running_loop().create_future()
        if len(command) > COMMAND_BYTES_MAX:
            self.fail(future, TOO_LARGE)
            return future
        if self._waiting_bytes + len(command) > WAITING_BYTES_MAX:
            self.fail(future, TOO_MANY)
            return future
        self._number += 1
        proposal = Proposal(self._number, command, change)
        pending = _Pending(proposal, future, self._now_ns() + self._timeout_ns)
        self._pending[self._number] = pending
        self._waiting.append(self._number)
        self._waiting_bytes += len(command)
        return future

    def first(self) -> Proposal | None:
        """The first one that no leader has."""
        while self._waiting:
            pending = self._pending.get(self._waiting[0])
            if pending is not None:
                return pending.proposal
            self._waiting.popleft()
        self._waiting_bytes = 0
        return None

    def take(self, term: int) -> None:
        """Hand the first one to the leader of a term."""
        pending = self._pending[self._waiting.popleft()]
        self._waiting_bytes -= len(pending.proposal.command)
        pending.term, pending.sent_ns = term, self._now_ns()

    def forwards(self, term: int, repeat_before_ns: int) -> list[Forward]:
        """What to tell the leader of a term: what it was never told, or so long ago that it may not
        have heard.
        """
        again = [
            pending
            for pending in self._pending.values()
            if pending.term == term and pending.sent_ns < repeat_before_ns
        ]
        now_ns = self._now_ns()
        for pending in again:
            pending.sent_ns = now_ns
        groups = _Groups()
        for pending in again:
            groups.add(pending.proposal)
        while (proposal := self.first()) is not None:
            self.take(term)
            groups.add(proposal)
        lowest = next(iter(self._pending), self._number + 1)
        return [Forward(term, self.origin, lowest, group) for group in groups.all]

    def applied(self, numbers: Iterable[int], replies: Iterable[ReplyT]) -> None:
        """Give the replies of what has been applied."""
        for number, reply in zip(numbers, replies, strict=True):
            pending = self._pending.pop(number, None)
            if pending is not None and not pending.future.done():
                pending.future.set_result(reply)

    def term_began(self, term: int) -> None:
        """The first entry of a term has been applied: what an earlier leader had is dead."""
        dead = [
            number
            for number, pending in self._pending.items()
            if 0 < pending.term < term and not pending.unknown
        ]
        for number in reversed(dead):
            pending = self._pending[number]
            pending.term = 0
            self._waiting.appendleft(number)
            self._waiting_bytes += len(pending.proposal.command)

    def hidden(self) -> None:
        """A snapshot has been installed."""
        for pending in self._pending.values():
            pending.unknown = pending.term > 0

    def refused(self, numbers: Iterable[int], error: Exception) -> None:
        """The leader will not append these."""
        for number in numbers:
            pending = self._pending.pop(number, None)
            if pending is not None:
                self._end(pending.future, error)

    def refuse_waiting(self, cause: str) -> None:
        """Fail those that no leader has."""
        while (proposal := self.first()) is not None:
            self._waiting.popleft()
            self.fail(self._pending.pop(proposal.number).future, cause)
        self._waiting_bytes = 0

    def expire(self) -> None:
        """Fail those whose time is up."""
        now_ns = self._now_ns()
        while self._pending:
            number, pending = next(iter(self._pending.items()))
            if pending.deadline_ns > now_ns:
                break
            del self._pending[number]
            self.fail(pending.future, TIMED_OUT_UNKNOWN if pending.term else TIMED_OUT)

    def stop(self) -> None:
        """Fail all."""
        for pending in self._pending.values():
            self.fail(pending.future, STOPPED_UNKNOWN if pending.term else STOPPED)
        self._pending.clear()
        self._waiting.clear()

    def fail(self, future: asyncio.Future[ReplyT], cause: str) -> None:
        """End a wait without a reply."""
        self._end(future, ProposalFailed(cause))

    def _end(self, future: asyncio.Future[ReplyT], error: Exception) -> None:
        self.failed += 1
        if not future.done():
            future.set_exception(error)


class _Groups:
    """Proposals in messages of bounded size."""

    def __init__(self) -> None:
        self.all: list[list[Proposal]] = []
        self._size_bytes = 0

    def add(self, proposal: Proposal) -> None:
        """Put it into the last message, or begin another."""
        self._size_bytes += len(proposal.command) + EXTRA_BYTES
        full = self._size_bytes > batch.BYTES_MAX or (
            self.all and len(self.all[-1]) >= batch.COMMANDS_MAX
        )
        if not self.all or full:
            self.all.append([])
            self._size_bytes = len(proposal.command) + EXTRA_BYTES
        self.all[-1].append(proposal)


class Intake:
    """What a leader has been given by other members and has not appended yet."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, Proposal]] = deque()
        self._bytes = 0
        # By origin: the lowest number it may still send, and those taken from there on.
        self._taken: dict[int, tuple[int, set[int]]] = {}

    def __bool__(self) -> bool:
        """Whether something waits to be appended."""
        return bool(self._queue)

    def clear(self) -> None:
        """Forget everything: another term has begun."""
        self._queue.clear()
        self._taken.clear()
        self._bytes = 0

    def take(self, message: Forward, *, refuse: bool) -> list[int]:
        """Take what is new, or nothing; return the numbers that are refused.

        What is refused counts as taken, so that a copy of it that comes later is not.
        """
        lowest, taken = self._taken.get(message.origin, (0, set()))
        if message.lowest > lowest:
            lowest = message.lowest
            taken = {number for number in taken if number >= lowest}
        self._taken[message.origin] = (lowest, taken)
        refused: list[int] = []
        for proposal in message.proposals:
            if proposal.number < lowest or proposal.number in taken:
                continue
            taken.add(proposal.number)
            if refuse or self._bytes + len(proposal.command) > WAITING_BYTES_MAX:
                refused.append(proposal.number)
                continue
            self._queue.append((message.origin, proposal))
            self._bytes += len(proposal.command)
        return refused

    def first(self) -> tuple[int, Proposal] | None:
        """The first one that waits, with its origin."""
        return self._queue[0] if self._queue else None

    def pop(self) -> None:
        """Take the first one off."""
        self._bytes -= len(self._queue.popleft()[1].command)

    def drain(self) -> list[tuple[int, int]]:
        """Take all off; their origins and numbers."""
        gone = [(origin, proposal.number) for origin, proposal in self._queue]
        self._queue.clear()
        self._bytes = 0
        return gone
