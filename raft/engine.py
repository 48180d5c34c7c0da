"""A member's part in the agreement on a log: messages in, messages out, and what is committed.

PySyncObj (`core`) decides elections and commitment; this fence decides what it gets to see, so that
none of what raft/audit.md found can happen (the ids in brackets are the audit's).

Laws:

* Answers carry a term; older ones are dropped, a newer one makes us a follower [S2, L7].
* An append is cut down to what we do not have before the core sees it, a conflict is resolved here,
  and neither the answer nor the commit index exceeds what was verified against the leader [S1].
* Votes are counted by voter [S5]; a grant that was lost is repeated [L8].
* A refused append moves what is sent next only downwards and never below what was acknowledged, and
  only the answer to the latest probe counts [L6].
* Nothing of a snapshot ever reaches the core [S3, S4]; what is sent ahead is bounded [P6].
* A follower that does not have what it acknowledged ends; with less than a majority of promises
  that are remembered, nothing that was acknowledged would be safe. A founder that has nothing
  votes only for who can rule out that it has forgotten (`births`).
* What promises something (an acknowledgement, a vote, a request for votes) goes into `held` and may
  leave only when all that is in the journal's buffer is on disk; the rest goes into `outbox`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from raft.core import Core
from raft.election import ElectionTimer
from raft.errors import Contradicted, DataLost, SafetyViolation
from raft.log import FIRST_INDEX
from raft.messages import (
    Append,
    Appended,
    AskVote,
    Beat,
    Beaten,
    Commit,
    TimeoutNow,
    Vote,
)
from raft.progress import INSTALLING, PROBING, Progress
from raft.proposals import EXTRA_BYTES

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from raft.births import Births
    from raft.clock import Clock
    from raft.core import Timing
    from raft.log import Log
    from raft.messages import Message

_NS_PER_MS = 1_000_000

_logger = logging.getLogger("raft")

# No member has this id.
_NOBODY = 0


class Engine:
    """Propose to it, tell it what was received, turn it, send what is in its boxes."""

    def __init__(
        self,
        me: int,
        *,
        log: Log,
        applied: int,
        timing: Timing,
        clock: Clock,
        chance: random.Random,
        births: Births,
        has_room: Callable[[int], bool],
    ) -> None:
        """`applied`: where the state machine stands; `has_room`: for so many bytes of entries."""
        self.me = me
        self._log = log
        self._clock = clock
        self._births = births
        self._has_room = has_room
        self._heartbeat_ns = timing.heartbeat_ms * _NS_PER_MS
        self._election_ns = timing.election_ms * _NS_PER_MS
        self.outbox: list[tuple[int, Message]] = []
        self.held: list[tuple[int, Message]] = []
        self._core = Core(
            me, log=log, applied=applied, timing=timing, clock=clock, outlet=self._outlet
        )
        now_ns = clock.monotonic_ns()
        self._timer = ElectionTimer(self._election_ns, chance, now_ns)
        self._reachable: set[int] = set()
        self._voters: frozenset[int] = frozenset()
        self._others: list[int] = []
        self._membership_version = -1
        # As a follower: the highest index known to equal the leader's log, in this term.
        self._verified = (0, 0)
        # As a candidate: who would vote for us or did, in which term, and whether by request.
        self._granted: set[int] = set()
        self._pre_term = 0
        self._by_request = False
        self._has_abstained = False
        # As a leader.
        self._progress: dict[int, Progress] = {}
        self._sent_index = 0
        self._sent_commit = 0
        # Some follower lacks what was sent before.
        self._lagging = False
        self._next_beat_ns = 0
        self._round = 0
        self._round_answers: set[int] = set()
        self.confirmed_round = 0
        self._transfer: tuple[int, int] | None = None
        self._led_term = 0
        # Our disk hangs: nobody should be kept from electing somebody else.
        self.is_silent = False
        # Called for each acknowledgement of entries with its sender and the ns it took.
        self.on_acknowledged: Callable[[int, int], None] = lambda _member, _took_ns: None
        self._adopt_membership()
        if self.is_alone:
            # Nobody else can be leader, so there is nothing to wait for.
            self._campaign(by_request=False)
            self._after()

    # -- what it knows -----------------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        return self._core.is_leader

    @property
    def is_candidate(self) -> bool:
        return self._core.is_candidate

    @property
    def is_ready_leader(self) -> bool:
        """Leader, and the no-op of its term is committed: everything before it is known."""
        no_op = self._core.no_op_index
        return self.is_leader and no_op is not None and self.commit_index >= no_op

    @property
    def is_alone(self) -> bool:
        """The only voter."""
        return self._voters == {self.me}

    @property
    def leader(self) -> int:
        """The leader's id; 0 if none has been heard of for an election time-out."""
        if self._core.is_leader:
            return self.me
        if not self._timer.hears_leader(self._clock.monotonic_ns()):
            return 0
        return self._core.leader

    @property
    def term(self) -> int:
        return self._core.term

    @property
    def vote(self) -> int:
        return self._core.vote_given

    @property
    def commit_index(self) -> int:
        return self._core.commit_index

    @property
    def progress(self) -> dict[int, tuple[int, int, str]]:
        """As a leader, of each other voter: match index, next index, state."""
        if not self.is_leader:
            return {}
        return {
            member: (
                self._core.match_index(member),
                self._core.next_index(member),
                self._of(member).state,
            )
            for member in self._others
        }

    # -- what happens ------------------------------------------------------------------------

    def propose(self, data: bytes) -> int:
        """Append an entry to the log of the leader that we must be; return its index."""
        if not self.is_leader:
            raise SafetyViolation("a proposal to a member that does not lead")
        index = self._log.last_index + 1
        self._log.add(data, index, self.term)
        self._adopt_membership()
        return index

    def turn(self) -> list[tuple[int, bytes]]:
        """Let the core act; return what is committed now and was not before, (index, data).

        Must not be called while something appended is not on disk.
        """
        committed = self._core.tick()
        self._after()
        return committed

    def tick(self) -> None:
        """Let time pass."""
        now_ns = self._clock.monotonic_ns()
        if self.is_leader:
            if now_ns >= self._next_beat_ns:
                self._next_beat_ns = now_ns + self._heartbeat_ns
                self._revive(now_ns)
            if self._transfer is not None and now_ns >= self._transfer[1]:
                self._transfer = None
        elif self._timer.is_due(now_ns) and self.me in self._voters:
            self._stand()
        self._after()

    def beat(self) -> None:
        """Tell all followers that we lead, without the core's help."""
        for member in self._others:
            self._beat(member)

    def _beat(self, member: int) -> None:
        if not self.is_silent:
            match = self._core.match_index(member)
            self.outbox.append((member, Beat(self.term, self._round, match)))

    def send_appends(self) -> None:
        """As a leader, send what was appended, and what is committed, to those who lack it."""
        if not self.is_leader:
            return
        last_index, commit = self._log.last_index, self.commit_index
        told: set[int] = set()
        if last_index > self._sent_index or self._lagging:
            self._sent_index, self._lagging = last_index, False
            # The core sends everyone it thinks reachable something, be it an empty append.
            for member in self._others:
                lacks = self._core.next_index(member) <= last_index
                if lacks and self._of(member).may_send:
                    told.add(member)
                else:
                    self._core.set_reachable(member, reachable=False)
            self._core.send_appends()
            for member in self._others:
                self._admit(member)
        if commit > self._sent_commit:
            notice = Commit(self.term, commit)
            self.outbox.extend((member, notice) for member in self._others if member not in told)
        self._sent_commit = commit

    def connected(self, member: int) -> None:
        """Messages can get through to a member; what was on its way before is lost."""
        self._reachable.add(member)
        self._restart_progress(member)
        self._after()

    def disconnected(self, member: int) -> None:
        """Messages do not get through to a member."""
        self._reachable.discard(member)
        self._core.set_reachable(member, reachable=False)
        if not self.is_leader and member == self._core.leader:
            self._timer.lost(self._clock.monotonic_ns())

    def receive(self, member: int, message: Message) -> None:
        """Act on a message."""
        match message:
            case Append():
                self._on_append(member, message)
            case Appended():
                self._on_appended(member, message)
            case Commit():
                self._on_commit(member, message)
            case Beat():
                self._on_beat(member, message)
            case Beaten():
                self._on_beaten(member, message)
            case AskVote():
                self._on_ask_vote(member, message)
            case Vote():
                self._on_vote(member, message)
            case TimeoutNow():
                self._on_timeout_now(member, message)
            case _:
                raise SafetyViolation(f"not a message for the engine: {message!r}")
        self._after()

    def _after(self) -> None:
        """Notice what the last step has changed."""
        self._adopt_membership()
        if self.is_leader and self.me not in self._voters:
            # It has committed its own removal, which it found in its log. The core would go on
            # counting itself as one of the majority.
            self._core.step_down(self.term + 1)
        if self.is_leader and self._led_term != self.term:
            self._begin_to_lead()

    def _adopt_membership(self) -> None:
        membership = self._log.membership
        if self._membership_version == membership.version:
            return
        self._membership_version = membership.version
        before, self._voters = self._voters, membership.voters
        if self.is_leader:
            # Who has been removed may not know yet that it is committed; if we are, nobody does.
            told = before - self._voters if self.me in self._voters else self._voters
            commit = Commit(self.term, self.commit_index)
            self.held.extend((member, commit) for member in sorted(told))
        self._others = sorted(self._voters - {self.me})
        self._core.set_others(self._others)
        for member in [gone for gone in self._progress if gone not in self._voters]:
            del self._progress[member]
        if self.is_leader:
            for member in self._others:
                self._admit(member)

    def _is_majority(self, members: set[int]) -> bool:
        return 2 * len(members & self._voters) > len(self._voters)

    # -- elections ---------------------------------------------------------------------------

    def _stand(self) -> None:
        self._timer.restart(self._clock.monotonic_ns())
        self._core.forget_leader()
        self._pre_term = self.term + 1
        self._granted = {self.me}
        if self._is_majority(self._granted):
            self._campaign(by_request=False)
            return
        log = self._log
        for member in self._others:
            question = AskVote(
                self._pre_term,
                log.last_index,
                log.last_term,
                pre=True,
                transfer=False,
                without_you=self._births.began_without(member, self._voters),
            )
            self.outbox.append((member, question))

    def _campaign(self, *, by_request: bool) -> None:
        self._pre_term = 0
        self._granted = {self.me}
        self._by_request = by_request
        self._progress.clear()
        self._timer.restart(self._clock.monotonic_ns())
        if self.is_alone:
            # On its own the core would lead and commit within one tick, with nothing on disk yet.
            # So it stands against nobody and is given nobody's vote.
            self._core.set_others([_NOBODY])
            self._core.campaign()
            self._core.set_others([])
            self._core.vote(_NOBODY, self.term)
        else:
            self._core.campaign()

    def _begin_to_lead(self) -> None:
        self._led_term = self.term
        self._pre_term = 0
        self._transfer = None
        self._round_answers = set()
        self._sent_index = self._log.last_index
        self._sent_commit = 0
        self._next_beat_ns = 0
        for member in self._others:
            self._admit(member)

    def _on_ask_vote(self, member: int, message: AskVote) -> None:
        core, log = self._core, self._log
        if self._is_untried and message.last_index > FIRST_INDEX and not message.without_you:
            self._abstain(member, message)
            return
        current = (message.last_term, message.last_index) >= (log.last_term, log.last_index)
        now_ns = self._clock.monotonic_ns()
        content = self.is_leader or self._timer.hears_leader(now_ns)
        if message.pre:
            granted = message.term > self.term and current and not content
            answer = Vote(message.term if granted else self.term, granted, pre=True)
            self.outbox.append((member, answer))
            return
        if message.term > self.term and content and not message.transfer:
            return
        if message.term == self.term and self.vote == member and not self.is_leader:
            self.held.append((member, Vote(message.term, True, False)))
            return
        if message.term >= self.term:
            answers = len(self.held)
            core.ask_vote(member, message.term, message.last_index, message.last_term)
            if len(self.held) > answers:
                self._timer.restart(now_ns)
                return
        self.outbox.append((member, Vote(self.term, False, False)))

    @property
    def _is_untried(self) -> bool:
        """Whether it is a founder that has nothing yet, and neither voted nor followed anybody."""
        return self._log.is_founders and self.term == self._log.last_term

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
        self.outbox.append((member, Vote(self.term, False, question.pre)))

    def _on_vote(self, member: int, message: Vote) -> None:
        if not message.granted:
            # Who is untried keeps the term that shows it.
            if message.term > self.term and not self._is_untried:
                self._core.step_down(message.term)
            return
        if member not in self._voters or member in self._granted:
            return
        if message.pre:
            if message.term == self._pre_term == self.term + 1 and not self.is_leader:
                self._granted.add(member)
                if self._is_majority(self._granted):
                    self._campaign(by_request=False)
        elif message.term == self.term and self.is_candidate:
            self._granted.add(member)
            self._core.vote(member, message.term)

    # -- following ---------------------------------------------------------------------------

    def follow(self, member: int, term: int) -> bool:
        """Follow the leader of a term, if it is not an old one."""
        if term < self.term:
            # It is told that its time is over.
            self.outbox.append((member, Appended(self.term, 0, ok=False)))
            return False
        if term == self.term and self.is_leader:
            raise SafetyViolation(f"{member:x} and this member lead the same term {term}")
        self._timer.heard(self._clock.monotonic_ns())
        self._pre_term = 0
        if term != self.term or self._core.leader != member or self.is_candidate:
            self._core.append(member, term, 0, [])
        return True

    def _verified_in(self, term: int) -> int:
        return self._verified[1] if self._verified[0] == term else 0

    def _on_append(self, member: int, message: Append) -> None:
        if not self.follow(member, message.term):
            return
        log, prev, entries = self._log, message.prev_index, message.entries
        if entries and (entries[0][1] != prev + 1 or entries[-1][1] != prev + len(entries)):
            raise SafetyViolation(f"an append of {member:x} with a gap")
        upto = prev + len(entries)
        prev_term = message.prev_term
        if prev < log.first_index:
            # What is at or below our snapshot is committed, hence equal.
            entries = entries[log.first_index - prev :]
            prev, prev_term = log.first_index, log.term_at(log.first_index)
            upto = max(upto, prev)
        if not log.holds(prev, prev_term):
            hint = log.agreement_hint(prev - 1, prev_term)
            self.outbox.append(
                (member, Appended(self.term, hint, ok=False, prev=message.prev_index))
            )
            return
        known = 0
        while known < len(entries) and log.holds(entries[known][1], entries[known][2]):
            known += 1
        new = entries[known:]
        if new:
            if not self._has_room(sum(len(data) + EXTRA_BYTES for data, _index, _term in new)):
                return  # the leader tries again
            if new[0][1] <= self.commit_index:
                raise Contradicted(
                    f"member {member:x} leads without entry {new[0][1]}, which was committed here:"
                    " other members have lost data, and what they lack may be in this member's data"
                    " directory alone: keep it"
                )
            if new[0][1] <= log.last_index:
                log.truncate(new[0][1])
        self._verified = (self.term, max(self._verified_in(self.term), upto))
        commit = min(message.commit, self._verified[1])
        if new or commit > self.commit_index:
            self._core.append(member, message.term, commit, new)
        self.held.append((member, Appended(self.term, upto, ok=True)))
        if not new and upto > log.durable:
            # The acknowledgement may have to wait for a slow disk; that we are there need not.
            self.outbox.append((member, Beaten(self.term, 0)))

    def _on_commit(self, member: int, message: Commit) -> None:
        if not self.follow(member, message.term):
            return
        commit = min(message.commit, self._verified_in(message.term))
        if commit > self.commit_index:
            self._core.append(member, message.term, commit, [])

    def _on_beat(self, member: int, message: Beat) -> None:
        if self.follow(member, message.term):
            if message.match > self._log.last_index and member in self._voters:
                raise DataLost(
                    f"leader {member:x} has this member's acknowledgement of entries up to"
                    f" {message.match}, and they end at {self._log.last_index}"
                )
            self.outbox.append((member, Beaten(message.term, message.round)))

    def _on_timeout_now(self, member: int, message: TimeoutNow) -> None:
        followed = message.term == self.term and member == self._core.leader
        if followed and not self.is_leader and self.me in self._voters:
            self._campaign(by_request=True)

    def acknowledge(self, member: int, index: int) -> None:
        """Tell a leader that a snapshot it sent is in our log and state, or was not needed."""
        self.held.append((member, Appended(self.term, index, ok=True)))

    def installed(self, index: int) -> None:
        """A snapshot up to `index` has replaced log and state."""
        self._core.installed(index)
        self._verified = (self.term, max(self._verified_in(self.term), index))
        self._adopt_membership()

    # -- leading -----------------------------------------------------------------------------

    def _of(self, member: int) -> Progress:
        progress = self._progress.get(member)
        if progress is None:
            progress = self._progress[member] = Progress()
        return progress

    def _admit(self, member: int) -> None:
        """Let the core make appends for a member if it may have some now."""
        may = member in self._reachable and self._of(member).may_send
        self._core.set_reachable(member, reachable=may)

    def _restart_progress(self, member: int) -> None:
        if not self.is_leader or member not in self._voters:
            return
        match = self._core.match_index(member)
        # Of whom nothing is known yet, the end of the log is tried first.
        self._core.set_next(member, (match or self._log.last_index) + 1)
        self._of(member).probe()
        self._admit(member)

    def _revive(self, now_ns: int) -> None:
        """Repeat what had no answer, and beat where the core's own heartbeat does not go."""
        for member in self._others:
            progress = self._of(member)
            if progress.is_stuck(now_ns - self._election_ns):
                self._restart_progress(member)
            progress.beat()
            self._admit(member)
            if not progress.may_send or self._round > self.confirmed_round:
                self._beat(member)

    def _outlet(self, member: int, message: dict[str, Any]) -> None:
        """What the core sends."""
        match message["type"]:
            case "append_entries" if "prevLogIdx" in message:
                self._send_append(member, message)
            case "append_entries":
                # The core's log no longer reaches back far enough.
                self._of(member).install()
                self._core.set_reachable(member, reachable=False)
            case "response_vote":
                self.held.append((member, Vote(message["term"], True, False)))
            case "request_vote" if member != _NOBODY:
                question = AskVote(
                    message["term"],
                    message["last_log_index"],
                    message["last_log_term"],
                    pre=False,
                    transfer=self._by_request,
                    without_you=self._births.began_without(member, self._voters),
                )
                self.held.append((member, question))
            case "next_node_idx" | "request_vote":
                pass  # the fence gives its own answers, and nobody is not asked
            case kind:
                raise SafetyViolation(f"the core sends {kind}")

    def _send_append(self, member: int, message: dict[str, Any]) -> None:
        entries = message["entries"]
        append = Append(
            message["term"],
            message["prevLogIdx"],
            message["prevLogTerm"],
            message["commit_index"],
            entries,
        )
        self.outbox.append((member, append))
        progress = self._of(member)
        size_bytes = sum(len(data) for data, _index, _term in entries)
        last_index = entries[-1][1] if entries else append.prev_index
        progress.sent(append.prev_index, last_index, size_bytes, self._clock.monotonic_ns())
        if not progress.may_send:
            self._core.set_reachable(member, reachable=False)

    def _on_appended(self, member: int, message: Appended) -> None:
        if message.term > self.term:
            self._core.step_down(message.term)
            return
        if message.term < self.term or not self.is_leader or member not in self._voters:
            return
        self._core.heard(member)
        progress = self._of(member)
        if message.ok:
            self._on_acknowledged(member, message.index, progress)
        elif self._is_news(member, message, progress):
            match = self._core.match_index(member)
            if message.prev <= match:
                # It denies what it has acknowledged: it knows best whether it has lost that.
                self._beat(member)
                return
            self._core.set_next(member, max(match, min(message.index, message.prev - 1)) + 1)
            progress.probe()
        else:
            return
        self._admit(member)
        if progress.may_send and self._core.next_index(member) <= self._log.last_index:
            self._lagging = True

    def _on_acknowledged(self, member: int, index: int, progress: Progress) -> None:
        if index > self._log.last_index:
            raise SafetyViolation(f"{member:x} acknowledges {index}, beyond our log")
        if progress.state == INSTALLING and index < self._log.first_index:
            return
        took_ns = progress.acknowledged(index, self._clock.monotonic_ns())
        if took_ns is not None:
            self.on_acknowledged(member, took_ns)
        if progress.state == INSTALLING:
            progress.probe()
        if index > self._core.match_index(member):
            self._core.acknowledged(member, index)
        self._finish_transfer()

    def _is_news(self, member: int, message: Appended, progress: Progress) -> bool:
        """Whether a refusal is about what is being tried now, and not about something older."""
        if progress.state == PROBING:
            return message.prev == progress.probe_index
        return progress.state != INSTALLING and message.prev > self._core.match_index(member)

    def wants_snapshot(self) -> list[int]:
        """The members that can only go on from a snapshot and can be reached."""
        return [
            member
            for member, progress in self._progress.items()
            if progress.state == INSTALLING and member in self._reachable
        ]

    def _on_beaten(self, member: int, message: Beaten) -> None:
        if message.term > self.term:
            self._core.step_down(message.term)
            return
        if message.term < self.term or not self.is_leader or member not in self._voters:
            return
        self._core.heard(member)
        if message.round == self._round and self._round > self.confirmed_round:
            self._round_answers.add(member)
            self._confirm_round()

    # -- read index (Ongaro, section 6.4) ----------------------------------------------------

    def begin_round(self) -> int:
        """Ask the followers whether we still lead; the round's number."""
        self._round += 1
        self._round_answers = {self.me}
        self.beat()
        self._confirm_round()
        return self._round

    def _confirm_round(self) -> None:
        if self._is_majority(self._round_answers):
            self.confirmed_round = self._round

    # -- handing leadership over (Ongaro, section 3.10) --------------------------------------

    @property
    def is_transferring(self) -> bool:
        """Whether leadership is being handed over; nothing should be proposed then."""
        return self._transfer is not None

    def transfer(self) -> bool:
        """Begin to hand leadership to the follower that is furthest; tell whether there is one."""
        followers = [
            member
            for member in self._others
            if member in self._reachable and self._of(member).state != INSTALLING
        ]
        if not self.is_leader or not followers:
            return False
        target = max(followers, key=self._core.match_index)
        self._transfer = (target, self._clock.monotonic_ns() + self._election_ns)
        self._finish_transfer()
        return True

    def _finish_transfer(self) -> None:
        if self._transfer is None:
            return
        target = self._transfer[0]
        if self._core.match_index(target) == self._log.last_index:
            self.outbox.append((target, TimeoutNow(self.term)))
