"""Leading: what each follower is sent, who has answered, and handing leadership over.

Laws:

* A refused append moves what is sent next only downwards and never below what was acknowledged, and
  only the answer to the latest probe counts [L6].
* What cannot be committed because most disks are full is not appended: it would fill the others.
* Nothing of a snapshot ever reaches the core [S3, S4]; what is sent ahead is bounded [P6].
* A round of heartbeats that a majority answers says that we lead still (Ongaro, section 6.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raft.errors import SafetyViolation
from raft.messages import Append, Appended, Beat, Beaten, Commit, TimeoutNow
from raft.progress import INSTALLING, PROBING, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.desk import Desk


class Leading:
    """A member's part as a leader; all of it is harmless while it does not lead."""

    def __init__(self, desk: Desk, *, heartbeat_ns: int, election_ns: int) -> None:
        self._desk = desk
        self._core, self._log, self._clock = desk.core, desk.log, desk.clock
        self._heartbeat_ns = heartbeat_ns
        self._election_ns = election_ns
        self._progress: dict[int, Progress] = {}
        self._sent_index = 0
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

    # -- whom it leads -----------------------------------------------------------------------

    @property
    def progress(self) -> dict[int, tuple[int, int, str]]:
        """Of each other voter: match index, next index, state; empty if it does not lead."""
        if not self._core.is_leader:
            return {}
        return {
            member: (
                self._core.match_index(member),
                self._core.next_index(member),
                self._of(member).state,
            )
            for member in self._desk.others
        }

    def forget(self) -> None:
        """What is known of followers is of an earlier term."""
        self._progress.clear()

    def noticed(self) -> None:
        """Begin to lead, if the core has come to."""
        if self._core.is_leader and self._led_term != self._core.term:
            self._begin()

    def configured(self, before: frozenset[int]) -> None:
        """Act on another configuration in force; `before` were the voters."""
        desk = self._desk
        if self._core.is_leader:
            # Who has been removed may not know yet that it is committed; if we are, nobody does.
            told = before - desk.voters if desk.me in desk.voters else desk.voters
            commit = Commit(self._core.term, self._core.commit_index)
            desk.held.extend((member, commit) for member in sorted(told))
        for member in [gone for gone in self._progress if gone not in desk.voters]:
            del self._progress[member]

    def admit_all(self) -> None:
        """Let the core make appends for all who may have some."""
        if self._core.is_leader:
            for member in self._desk.others:
                self._admit(member)

    def tick(self) -> None:
        """Let time pass."""
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._next_beat_ns:
            self._next_beat_ns = now_ns + self._heartbeat_ns
            self._revive(now_ns)
        if self._transfer is not None and now_ns >= self._transfer[1]:
            self._transfer = None

    def _begin(self) -> None:
        self._led_term = self._core.term
        self._transfer = None
        self._round_answers = set()
        self._sent_index = self._log.last_index
        self._next_beat_ns = 0
        for member in self._desk.others:
            self._admit(member)

    def beat(self) -> None:
        """Tell all followers that we lead, without the core's help."""
        for member in self._desk.others:
            self._beat(member)

    def send_appends(self) -> None:
        """As a leader, send what was appended to those who lack it."""
        last_index = self._log.last_index
        if not self._core.is_leader or not (last_index > self._sent_index or self._lagging):
            return
        self._sent_index, self._lagging = last_index, False
        # The core sends everyone it thinks reachable something, be it an empty append.
        for member in self._desk.others:
            lacks = self._core.next_index(member) <= last_index
            if not (lacks and self._of(member).may_send):
                self._core.set_reachable(member, reachable=False)
        self._core.send_appends()
        for member in self._desk.others:
            self._admit(member)

    @property
    def owes_commits(self) -> bool:
        """Whether some follower was not told yet of all that is committed."""
        commit = self._core.commit_index
        return self._core.is_leader and any(
            self._of(member).told_commit < commit for member in self._desk.others
        )

    def send_commits(self) -> None:
        """As a leader, tell those of the commit index whom no append has told of it."""
        if not self._core.is_leader:
            return
        notice = Commit(self._core.term, self._core.commit_index)
        for member in self._desk.others:
            progress = self._of(member)
            if progress.told_commit < notice.commit:
                progress.told_commit = notice.commit
                self._desk.outbox.append((member, notice))

    def restart(self, member: int) -> None:
        """Find out anew what a follower has."""
        if not self._core.is_leader or member not in self._desk.voters:
            return
        match = self._core.match_index(member)
        # Of whom nothing is known yet, the end of the log is tried first.
        self._core.set_next(member, (match or self._log.last_index) + 1)
        self._of(member).probe()
        self._admit(member)

    def _revive(self, now_ns: int) -> None:
        """Repeat what had no answer, and beat where the core's own heartbeat does not go."""
        for member in self._desk.others:
            progress = self._of(member)
            if progress.is_stuck(now_ns - self._election_ns):
                self.restart(member)
            progress.beat()
            self._admit(member)
            if not progress.may_send or self._round > self.confirmed_round:
                self._beat(member)

    def send_append(self, member: int, message: dict[str, Any]) -> None:
        """Send what the core would."""
        entries = message["entries"]
        append = Append(
            message["term"],
            message["prevLogIdx"],
            message["prevLogTerm"],
            message["commit_index"],
            entries,
            self._log.check(message["prevLogIdx"]),
        )
        self._desk.outbox.append((member, append))
        progress = self._of(member)
        size_bytes = sum(len(data) for data, _index, _term in entries)
        last_index = entries[-1][1] if entries else append.prev_index
        progress.sent(append.prev_index, last_index, size_bytes, self._clock.monotonic_ns())
        progress.told_commit = append.commit
        if not progress.may_send:
            self._core.set_reachable(member, reachable=False)

    def on_appended(self, member: int, message: Appended) -> None:
        """Learn what a follower has."""
        if not self._is_follower(member, message.term):
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

    def on_beaten(self, member: int, message: Beaten) -> None:
        """Learn that a follower is there."""
        if not self._is_follower(member, message.term):
            return
        self._core.heard(member)
        self._of(member).is_full = message.full
        if message.round == self._round and self._round > self.confirmed_round:
            self._round_answers.add(member)
            self._confirm_round()

    def install(self, member: int) -> None:
        """The log no longer reaches back far enough for a follower."""
        self._of(member).install()
        self._core.set_reachable(member, reachable=False)

    def wants_snapshot(self) -> list[int]:
        """The members that can only go on from a snapshot and can be reached."""
        return [
            member
            for member, progress in self._progress.items()
            if progress.state == INSTALLING and member in self._desk.reachable
        ]

    def begin_round(self) -> int:
        """Ask the followers whether we still lead; the round's number."""
        self._round += 1
        self._round_answers = {self._desk.me}
        self.beat()
        self._confirm_round()
        return self._round

    @property
    def is_transferring(self) -> bool:
        """Whether leadership is being handed over; nothing should be proposed then."""
        return self._transfer is not None

    def transfer(self) -> bool:
        """Begin to hand leadership to the follower that is furthest; tell whether there is one."""
        followers = [
            member
            for member in self._desk.others
            if member in self._desk.reachable and self._of(member).state != INSTALLING
        ]
        if not self._core.is_leader or not followers:
            return False
        target = max(followers, key=self._core.match_index)
        self._transfer = (target, self._clock.monotonic_ns() + self._election_ns)
        self._finish_transfer()
        return True

    @property
    def lacks_room(self) -> bool:
        """Whether what is appended cannot be committed: most disks have no room for it."""
        full = {member for member, progress in self._progress.items() if progress.is_full}
        if self._desk.is_full:
            full.add(self._desk.me)
        return bool(full) and not self._desk.is_majority(self._desk.voters - full)

    def _beat(self, member: int) -> None:
        if not self.is_silent:
            match = self._core.match_index(member)
            self._desk.outbox.append((member, Beat(self._core.term, self._round, match)))

    def _of(self, member: int) -> Progress:
        progress = self._progress.get(member)
        if progress is None:
            progress = self._progress[member] = Progress()
        return progress

    def _admit(self, member: int) -> None:
        """Let the core make appends for a member if it may have some now."""
        may = member in self._desk.reachable and self._of(member).may_send
        self._core.set_reachable(member, reachable=may)

    def _is_follower(self, member: int, term: int) -> bool:
        """Whether an answer of a term is one to us; that of a later one ends our own."""
        if term > self._core.term:
            self._core.step_down(term)
        return self._core.is_leader and term == self._core.term and member in self._desk.voters

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

    def _confirm_round(self) -> None:
        if self._desk.is_majority(self._round_answers):
            self.confirmed_round = self._round

    def _finish_transfer(self) -> None:
        if self._transfer is None:
            return
        target = self._transfer[0]
        if self._core.match_index(target) == self._log.last_index:
            self._desk.outbox.append((target, TimeoutNow(self._core.term)))
