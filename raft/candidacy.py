"""Standing for election, and voting in others'.

Laws:

* Votes are counted by voter [S5]; a grant that was lost is repeated [L8].
* Before a member raises its term it asks whether it could win; who hears a leader says no, unless
  that leader has asked for the election.
* A founder that has nothing votes only for who can rule out that it has forgotten (`births`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from raft.log import FIRST_INDEX
from raft.messages import AskVote, TimeoutNow, Vote

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.births import Births
    from raft.desk import Desk

_logger = logging.getLogger("raft")

# No member has this id.
NOBODY: Final = 0


class Candidacy:
    """A member's part in elections."""

    def __init__(self, desk: Desk, births: Births, on_campaign: Callable[[], None]) -> None:
        """`on_campaign` is called before it stands, for real, in a term of its own."""
        self._desk = desk
        self._core, self._log = desk.core, desk.log
        self._clock, self._timer = desk.clock, desk.timer
        self._births = births
        self._on_campaign = on_campaign
        # Who would vote for us or did, in which term, and whether by request.
        self._granted: set[int] = set()
        self._pre_term = 0
        self._by_request = False
        self._has_abstained = False

    def give_up(self) -> None:
        """Somebody leads: what was said about our candidacy means nothing any more."""
        self._pre_term = 0

    def stand(self) -> None:
        """Ask the others whether they would vote for us."""
        self._timer.restart(self._clock.monotonic_ns())
        self._core.forget_leader()
        self._pre_term = self._core.term + 1
        self._granted = {self._desk.me}
        if self._desk.is_majority(self._granted):
            self.campaign(by_request=False)
            return
        log = self._log
        for member in self._desk.others:
            question = AskVote(
                self._pre_term,
                log.last_index,
                log.last_term,
                pre=True,
                transfer=False,
                without_you=self._births.began_without(member, self._desk.voters),
            )
            self._desk.outbox.append((member, question))

    def campaign(self, *, by_request: bool) -> None:
        """Stand for election; `by_request` of the leader."""
        self._pre_term = 0
        self._granted = {self._desk.me}
        self._by_request = by_request
        self._on_campaign()
        self._timer.restart(self._clock.monotonic_ns())
        if self._desk.is_alone:
            # On its own the core would lead and commit within one tick, with nothing on disk yet.
            # So it stands against nobody and is given nobody's vote.
            self._core.set_others([NOBODY])
            self._core.campaign()
            self._core.set_others([])
            self._core.vote(NOBODY, self._core.term)
        else:
            self._core.campaign()

    def on_ask_vote(self, member: int, message: AskVote) -> None:
        """Vote, or say why not."""
        core, log = self._core, self._log
        if self._is_untried and message.last_index > FIRST_INDEX and not message.without_you:
            self._abstain(member, message)
            return
        current = (message.last_term, message.last_index) >= (log.last_term, log.last_index)
        now_ns = self._clock.monotonic_ns()
        content = self._core.is_leader or self._timer.hears_leader(now_ns)
        if message.pre:
            granted = message.term > self._core.term and current and not content
            answer = Vote(message.term if granted else self._core.term, granted, pre=True)
            self._desk.outbox.append((member, answer))
            return
        if message.term > self._core.term and content and not message.transfer:
            return
        if message.term == core.term and core.vote_given == member and not core.is_leader:
            self._desk.held.append((member, Vote(message.term, True, False)))
            return
        if message.term >= self._core.term:
            answers = len(self._desk.held)
            core.ask_vote(member, message.term, message.last_index, message.last_term)
            if len(self._desk.held) > answers:
                self._timer.restart(now_ns)
                return
        self._desk.outbox.append((member, Vote(self._core.term, False, False)))

    @property
    def _is_untried(self) -> bool:
        """Whether it is a founder that has nothing yet, and neither voted nor followed anybody."""
        return self._log.is_founders and self._core.term == self._log.last_term

    def _abstain(self, member: int, question: AskVote) -> None:
        """Give no vote, since we do not know whether we are new or have forgotten something."""
        if not self._has_abstained:
            self._has_abstained = True
            _logger.warning(
                "no vote for %x: it has data, this member has none and might have lost some, and"
                " %x cannot rule it out; waiting for another member",
                member,
                member,
            )
        self._desk.outbox.append((member, Vote(self._core.term, False, question.pre)))

    def on_vote(self, member: int, message: Vote) -> None:
        """Count a vote."""
        if not message.granted:
            # Who is untried keeps the term that shows it.
            if message.term > self._core.term and not self._is_untried:
                self._core.step_down(message.term)
            return
        if member not in self._desk.voters or member in self._granted:
            return
        if message.pre:
            if message.term == self._pre_term == self._core.term + 1 and not self._core.is_leader:
                self._granted.add(member)
                if self._desk.is_majority(self._granted):
                    self.campaign(by_request=False)
        elif message.term == self._core.term and self._core.is_candidate:
            self._granted.add(member)
            self._core.vote(member, message.term)

    def on_timeout_now(self, member: int, message: TimeoutNow) -> None:
        """Stand, because the leader asks for it."""
        followed = message.term == self._core.term and member == self._core.leader
        if followed and not self._core.is_leader and self._desk.me in self._desk.voters:
            self.campaign(by_request=True)

    def ask(self, member: int, message: dict[str, Any]) -> None:
        """Ask for the vote that the core asks for."""
        question = AskVote(
            message["term"],
            message["last_log_index"],
            message["last_log_term"],
            pre=False,
            transfer=self._by_request,
            without_you=self._births.began_without(member, self._desk.voters),
        )
        self._desk.held.append((member, question))
