"""Reads that are as good as reads through the log, without a log entry (read index).

Laws (Ongaro, "Consensus", 2014, section 6.4):

* A read may be served from this member's state once that has applied the commit index a leader
  had *after* the read was asked for, provided that the leader was still one after that: a majority
  said so in a round of messages begun after the read was asked for.
* A leader knows its commit index only when an entry of its own term is committed.
* All reads that wait share the next round; a follower's waiting reads share one question.
* Every wait ends by its deadline.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from raft.errors import STOPPED, TIMED_OUT, ProposalFailed
from raft.messages import AskIndex, TellIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.engine import Engine
    from raft.messages import Message

# Questions of other members that wait for a round; each member asks one at a time.
_QUESTIONS_MAX: Final = 1024


class Reads:
    """This member's reads, and what other members ask it as a leader."""

    def __init__(
        self,
        engine: Engine,
        *,
        origin: int,
        timeout_ns: int,
        repeat_ns: int,
        now_ns: Callable[[], int],
        send: Callable[[int, Message], object],
    ) -> None:
        """`origin` is drawn anew at each start: an answer to an earlier life fits no question.

        `repeat_ns`: a question without an answer is asked again after so long.
        """
        self._engine = engine
        self._timeout_ns = timeout_ns
        self._repeat_ns = repeat_ns
        self._now_ns = now_ns
        self._send = send
        # (deadline, future) of reads that have no index to wait for yet, ...
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        # ... of those the round or question under way is for, ...
        self._asked: list[tuple[int, asyncio.Future[None]]] = []
        # ... and those that have one: (index, deadline, future).
        self._due: list[tuple[int, int, asyncio.Future[None]]] = []
        # As a leader: members' questions that wait for a round, and those the round is for.
        self._questions: list[tuple[int, int]] = []
        self._answering: list[tuple[int, int]] = []
        self._round = 0
        self._round_index = 0
        # As a follower: our question's number, whom it went to in which term, and when.
        self._number = origin
        self._question_to = (0, 0)
        self._question_ns = 0
        self._led_term = 0

    def __bool__(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting or self._asked or self._due or self._questions)

    def add(self, applied_index: int) -> asyncio.Future[None]:
        """Return a future that is done when the state is good enough for a read asked for now."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        engine = self._engine
        if engine.desk.is_alone and engine.is_ready_leader and applied_index >= engine.commit_index:
            future.set_result(None)
        else:
            self._waiting.append((self._now_ns() + self._timeout_ns, future))
        return future

    def question(self, member: int, message: AskIndex) -> None:
        """Another member asks; whoever does not lead says nothing and is asked no more."""
        if self._engine.is_leader and len(self._questions) < _QUESTIONS_MAX:
            self._questions.append((member, message.number))

    def answer(self, message: TellIndex) -> None:
        """The leader has answered."""
        if message.number == self._number and not self._engine.is_leader:
            self._due += [(message.index, *read) for read in self._asked]
            self._asked = []
            self._question_to = (0, 0)

    def advance(self, applied_index: int) -> None:
        """Do what can be done now."""
        if self._engine.is_leader:
            self._lead()
        else:
            self._follow()
        if self._due:
            for index, _deadline, future in self._due:
                if index <= applied_index and not future.done():
                    future.set_result(None)
            self._due = [read for read in self._due if read[0] > applied_index]

    def _again(self) -> None:
        """What was asked has no answer: it waits again, in front."""
        self._waiting[:0] = self._asked
        self._asked = []

    def _lead(self) -> None:
        engine = self._engine
        if self._led_term != engine.term:
            self._led_term, self._round = engine.term, 0
            self._questions, self._answering = [], []
            self._again()
        if self._round and engine.leading.confirmed_round >= self._round:
            self._round = 0
            self._due += [(self._round_index, *read) for read in self._asked]
            self._asked = []
            for member, number in self._answering:
                self._send(member, TellIndex(number, self._round_index))
            self._answering = []
        if not self._round and (self._waiting or self._questions) and engine.is_ready_leader:
            self._asked, self._waiting = self._waiting, []
            self._answering, self._questions = self._questions, []
            self._round_index = engine.commit_index
            self._round = engine.leading.begin_round()
            if engine.leading.confirmed_round >= self._round:
                self._lead()

    def _follow(self) -> None:
        engine = self._engine
        if self._led_term:
            # We led until a moment ago.
            self._led_term = self._round = 0
            self._questions, self._answering = [], []
            self._question_to = (0, 0)
            self._again()
        leader = (engine.leader, engine.term)
        now_ns = self._now_ns()
        if self._asked and (
            leader != self._question_to or now_ns - self._question_ns > self._repeat_ns
        ):
            self._again()
        if self._waiting and not self._asked and leader[0]:
            self._number += 1
            self._question_to, self._question_ns = leader, now_ns
            self._asked, self._waiting = self._waiting, []
            self._send(leader[0], AskIndex(self._number))

    def expire(self) -> None:
        """Fail those whose time is up."""
        now_ns = self._now_ns()
        for reads in (self._waiting, self._asked):
            while reads and reads[0][0] <= now_ns:
                _fail(reads.pop(0)[1], TIMED_OUT)
        late = [read for read in self._due if read[1] <= now_ns]
        if late:
            self._due = [read for read in self._due if read[1] > now_ns]
            for _index, _deadline, future in late:
                _fail(future, TIMED_OUT)

    def stop(self) -> None:
        """Fail all."""
        for _deadline, future in (*self._waiting, *self._asked):
            _fail(future, STOPPED)
        for _index, _deadline, future in self._due:
            _fail(future, STOPPED)
        self._waiting, self._asked, self._due = [], [], []


def _fail(future: asyncio.Future[None], cause: str) -> None:
    if not future.done():
        future.set_exception(ProposalFailed(cause))
