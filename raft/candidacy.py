"""Standing for election, and voting in others'.

Laws:

* Votes are counted by voter [S5]; a grant that was lost is repeated [L8].
* Before a member raises its term it asks whether it could win; who hears a leader says no, unless
  that leader has asked for the election.
* A founder that has nothing does not know whether it is new or has forgotten what it acknowledged,
  under its old id and with another disk. If at most one has, a candidate with data lacks nothing
  that was committed once one more than a majority of an odd number would vote for it (of an even
  number, a majority). So much it needs if founders with nothing are among them, unless it has seen
  the cluster begin without these (`births`), or they remember to have voted for it.
* Founders with nothing elect each other only if nobody who can be reached has more.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

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
        # Who would vote for us or did, in which term, asked in which one, and whether by request.
        self._granted: set[int] = set()
        self._pre_term = 0
        self._asked_in = 0
        self._by_request = False
        # Of those who would: founders with nothing.
        self._untried: set[int] = set()
        self._has_waited = False
        # As a founder with nothing: the highest term that others are at, and whoever has data.
        self._heard_term = 0
        self._ahead: set[int] = set()

    def give_up(self) -> None:
        """Somebody leads: what was said about our candidacy means nothing any more."""
        self._pre_term = 0

    def introduce(self, member: int) -> None:
        """Let a member that can be reached now know whether we have data, before it is asked."""
        if self._log.last_index > FIRST_INDEX:
            self._desk.outbox.append((member, Vote(0, False, pre=True, has_data=True)))

    def stand(self) -> None:
        """Ask the others whether they would vote for us."""
        self._timer.restart(self._clock.monotonic_ns())
        self._core.forget_leader()
        self._asked_in = self._core.term
        self._pre_term = max(self._core.term, self._heard_term) + 1
        self._granted = {self._desk.me}
        self._untried = set()
        if self._desk.is_majority(self._granted):
            self.campaign(by_request=False)
            return
        for member in self._desk.others:
            self._desk.outbox.append((member, self._question(member, self._pre_term, pre=True)))

    def campaign(self, *, by_request: bool) -> None:
        """Stand for election; `by_request` of the leader."""
        self._pre_term = 0
        self._granted = {self._desk.me}
        self._by_request = by_request
        self._on_campaign()
        self._timer.restart(self._clock.monotonic_ns())
        if self._heard_term > self._core.term:
            self._core.step_down(self._heard_term)
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
        self._notice(member, has_data=message.last_index > FIRST_INDEX)
        current = (message.last_term, message.last_index) >= (log.last_term, log.last_index)
        now_ns = self._clock.monotonic_ns()
        content = self._core.is_leader or self._timer.hears_leader(now_ns)
        if message.pre:
            granted = message.term > self._core.term and current and not content
            granted = granted and (message.last_index > FIRST_INDEX or not self._knows_data)
            if granted:
                untried = self._is_untried_for(member, message)
                answer = Vote(message.term, True, pre=True, untried=untried)
            else:
                answer = Vote(core.term, False, pre=True, has_data=self._knows_data)
            self._desk.outbox.append((member, answer))
            return
        if message.term > self._core.term and content and not message.transfer:
            return
        if message.term == core.term and core.vote_given == member and not core.is_leader:
            self.grant(member, message.term)
            return
        if message.term >= self._core.term:
            answers = len(self._desk.held)
            core.ask_vote(member, message.term, message.last_index, message.last_term)
            if len(self._desk.held) > answers:
                self._timer.restart(now_ns)
                return
        self._desk.outbox.append((member, Vote(self._core.term, False, False)))

    def grant(self, member: int, term: int) -> None:
        """Vote for a member, once that is on disk."""
        self._desk.held.append((member, Vote(term, True, pre=False)))

    # -- founders that have nothing ----------------------------------------------------------

    def _is_untried_for(self, member: int, question: AskVote) -> bool:
        """Whether we have nothing, do not remember a vote for a candidate that has more, and might
        have been there when it was not.
        """
        has_more = question.last_index > FIRST_INDEX and not question.without_you
        return self._log.is_founders and has_more and self._core.vote_given != member

    def _notice(self, member: int, *, has_data: bool) -> None:
        """Take note of whether a member has data, or knows somebody who has."""
        (self._ahead.add if has_data else self._ahead.discard)(member)

    @property
    def _knows_data(self) -> bool:
        """Whether we or somebody we can reach has more than what a founder begins with."""
        return self._log.last_index > FIRST_INDEX or not self._ahead.isdisjoint(
            self._desk.reachable
        )

    @property
    def _is_enough(self) -> bool:
        """Whether those who would vote for us are."""
        desk, granted = self._desk, self._granted
        if self._log.is_founders:
            return desk.is_majority(granted) and not self._knows_data
        majority = len(desk.voters) // 2 + 1
        if desk.is_majority(granted - self._untried):
            return True
        if len(granted & desk.voters) >= len(desk.voters) - majority + 2:
            return True
        if desk.is_majority(granted) and not self._has_waited:
            self._has_waited = True
            names = ", ".join(f"{member:x}" for member in sorted(self._untried))
            _logger.warning(
                "a majority would elect this member, but %s have no data, and might have lost some"
                " that this member lacks: waiting for another member",
                names,
            )
        return False

    # -- counting ----------------------------------------------------------------------------

    def on_vote(self, member: int, message: Vote) -> None:
        """Count a vote."""
        if member in self._desk.voters and message.pre:
            self._on_pre_vote(member, message)
        elif not message.granted:
            self._learn_term(message.term)
        elif member in self._desk.voters and member not in self._granted:
            self._on_real_vote(member, message.term)

    def _on_real_vote(self, member: int, term: int) -> None:
        if term == self._core.term and self._core.is_candidate:
            self._granted.add(member)
            self._core.vote(member, term)

    def _on_pre_vote(self, member: int, message: Vote) -> None:
        self._notice(member, has_data=message.has_data)
        if not message.granted:
            self._learn_term(message.term)
            return
        is_current = self._asked_in == self._core.term and not self._core.is_leader
        if message.term == self._pre_term and is_current:
            self._granted.add(member)
            (self._untried.add if message.untried else self._untried.discard)(member)
            if self._is_enough:
                self.campaign(by_request=False)

    def _learn_term(self, term: int) -> None:
        """Somebody is at this term."""
        if self._log.is_founders:
            # Its own term goes with its vote, which it may have to remember.
            self._heard_term = max(self._heard_term, term)
        elif term > self._core.term:
            self._core.step_down(term)

    def on_timeout_now(self, member: int, message: TimeoutNow) -> None:
        """Stand, because the leader asks for it."""
        followed = message.term == self._core.term and member == self._core.leader
        if followed and not self._core.is_leader and self._desk.me in self._desk.voters:
            self.campaign(by_request=True)

    def ask(self, member: int, term: int) -> None:
        """Ask for a vote in a term, once our own is on disk."""
        self._desk.held.append((member, self._question(member, term, pre=False)))

    def _question(self, member: int, term: int, *, pre: bool) -> AskVote:
        return AskVote(
            term,
            self._log.last_index,
            self._log.last_term,
            pre=pre,
            transfer=self._by_request and not pre,
            without_you=self._births.began_without(member, self._desk.voters),
        )
