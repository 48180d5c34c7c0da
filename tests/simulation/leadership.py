"""Who leads, what is committed, and what members promise each other.

Laws that are watched, after each callback of a member and at each message it sends:

* "one leader per term", by what members say of themselves and by what they send.
* "leader completeness": a new leader has everything that was committed in an earlier term.
* "commit within the log", "commit never goes back", "applied is committed".
* "a majority has it": what a leader commits is on the disks of a majority.
* "promises are durable": a vote, a candidacy and an acknowledgement leave a member only when they
  are on its disk; and what is acknowledged is what the leader has.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raft.messages import (
    Append,
    Appended,
    AskVote,
    Beat,
    Commit,
    SnapshotBegin,
    SnapshotPart,
    TimeoutNow,
    Vote,
)

if TYPE_CHECKING:
    from raft import Status
    from raft.messages import Message
    from tests.simulation.canon import Canon
    from tests.simulation.journals import Journals
    from tests.simulation.violation import Accuse

_OF_LEADERS = (Append, Beat, Commit, SnapshotBegin, SnapshotPart, TimeoutNow)


@dataclass(slots=True)
class Standing:
    """What a member said last."""

    term: int = 0
    led: int = 0
    commit: int = 0


class Leadership:
    """Watches all members."""

    def __init__(self, accuse: Accuse, journals: Journals, canon: Canon) -> None:
        self._accuse = accuse
        self._journals = journals
        self._canon = canon
        self.leaders: dict[int, int] = {}
        self._standings: dict[int, Standing] = {}
        self.counts: Counter[str] = Counter()

    def begins(self, member: int) -> None:
        """A member has started: what it says is not bound by what it said before."""
        self._standings[member] = Standing()

    # -- what a member says of itself -------------------------------------------------------

    def observe(self, member: int, status: Status) -> None:
        """Look at a member."""
        standing = self._standings[member]
        if status.term != standing.term:
            if status.term < standing.term:
                detail = f"member {member} says {status.term} after {standing.term}"
                self._accuse("the term never goes back", detail)
            standing.term = status.term
        if status.is_leader and standing.led != status.term:
            standing.led = status.term
            self._claim(member, status.term)
            self._check_completeness(member, status.term)
            self.counts["elections"] += 1
        if status.commit_index != standing.commit:
            if status.commit_index < standing.commit:
                detail = f"member {member}: {status.commit_index} after {standing.commit}"
                self._accuse("commit never goes back", detail)
            standing.commit = status.commit_index
            self._check_commit(member, status)
        if status.applied_index > status.commit_index:
            detail = f"member {member}: {status.applied_index} > {status.commit_index}"
            self._accuse("applied is committed", detail)

    def _claim(self, member: int, term: int) -> None:
        leader = self.leaders.setdefault(term, member)
        if leader != member:
            self._accuse("one leader per term", f"{leader} and {member} lead term {term}")
        self._canon.led_term = max(self._canon.led_term, term)

    def _check_completeness(self, member: int, term: int) -> None:
        """The leader of a term has all that was committed in earlier terms."""
        canon, told = self._canon, self._journals.of(member).told
        index = bisect_left(canon.committed_by, term)
        if not index:
            return
        entry_term = canon.entries[index - 1][0]
        if not told.holds(index, entry_term):
            self._accuse(
                "leader completeness",
                f"member {member} leads term {term} without the committed entry {index} of term "
                f"{entry_term} (its log ends at {told.last})",
            )

    def _check_commit(self, member: int, status: Status) -> None:
        told = self._journals.of(member).told
        if status.commit_index > told.last:
            detail = f"member {member}: {status.commit_index} > {told.last}"
            self._accuse("commit within the log", detail)
        term = told.term_at(status.commit_index)
        if status.is_leader and term is not None and status.commit_index > 1:
            self.check_majority(status.commit_index, term, f"leader {member} commits")

    def check_majority(self, index: int, term: int, what: str) -> None:
        """An entry is on the disks of a majority."""
        disks = self._journals.durable_on(index, term)
        base, members = self._canon.configuration_at(index)
        # What is committed together with a configuration is counted by the one before.
        choices = [members, self._canon.configuration_at(base - 1)[1]]
        # One that is not committed yet counts as well, from the moment it is in a log.
        choices += [
            newer for (at, _term), newer in self._journals.configurations.items() if at > base
        ]
        if not any(2 * len(disks & choice) > len(choice) for choice in choices):
            self._accuse(
                "a majority has it",
                f"{what} entry {index} of term {term}, which is on {sorted(disks)} of "
                f"{sorted(members)}",
            )

    # -- what a member sends ----------------------------------------------------------------

    def sent(self, sender: int, receiver: int, message: Message) -> None:
        """Look at a message before it leaves."""
        journal = self._journals.of(sender)
        if isinstance(message, _OF_LEADERS):
            self._claim(sender, message.term)
            if journal.durable.term < message.term:
                self._broken(sender, "leads a term that is not on its disk", message)
        elif isinstance(message, Appended):
            if message.ok and message.term == journal.told.term:
                self._check_acknowledgement(sender, receiver, message)
        elif isinstance(message, Vote) and message.granted and not message.pre:
            given = journal.votes.get(message.term)
            if given != f"{receiver:x}":
                self._broken(sender, f"has voted for {given}", message)
        elif (
            isinstance(message, AskVote)
            and not message.pre
            and journal.votes.get(message.term) != f"{sender:x}"
        ):
            self._broken(sender, "asks for votes without its own", message)

    def _check_acknowledgement(self, sender: int, receiver: int, message: Appended) -> None:
        index, durable = message.index, self._journals.of(sender).durable
        if index > durable.last:
            self._broken(sender, f"has only {durable.last} on its disk", message)
        leader = self._journals.of(receiver).told
        term = leader.term_at(index)
        leads = self.leaders.get(message.term) == receiver and leader.term == message.term
        if leads and term is not None and not durable.holds(index, term):
            self._broken(sender, f"has another entry than its leader {receiver} there", message)

    def _broken(self, sender: int, how: str, message: Message) -> None:
        self._accuse("promises are durable", f"member {sender} {how} and sends {message!r}")
