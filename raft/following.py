"""Following a leader: what of its log is ours, and what of ours is on disk.

Laws:

* An append is cut down to what we do not have before the core sees it, a conflict is resolved here,
  and neither the answer nor the commit index exceeds what was verified against the leader [S1].
* Entries of one index and term are one entry. Where two that lead one term have made two of them,
  since somebody voted for both without knowing, that is found out and not built upon.
* What the journal has no room for waits, with what continues it, and is taken when there is room:
  making a file takes less long than it takes the leader to find out that nobody answered.
* A follower that does not have what it acknowledged ends; with less than a majority of promises
  that are remembered, nothing that was acknowledged would be safe.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from raft.errors import Contradicted, DataLost, SafetyViolation
from raft.messages import Append, Appended, Beat, Beaten, Commit
from raft.proposals import EXTRA_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.desk import Desk

# A leader has fewer bytes of entries on their way than this (progress.WINDOW_BYTES and an entry).
WAITING_BYTES_MAX: Final = 16 << 20


class Following:
    """A member's part as a follower."""

    def __init__(
        self, desk: Desk, has_room: Callable[[int], bool], on_followed: Callable[[], None]
    ) -> None:
        """`has_room`: for so many bytes of entries; `on_followed` is called whenever a leader of
        this term or a later one was heard of.
        """
        self._desk = desk
        self._core, self._log = desk.core, desk.log
        self._clock, self._timer = desk.clock, desk.timer
        self._has_room = has_room
        self._on_followed = on_followed
        # The highest index known to equal the leader's log, in this term.
        self._verified = (0, 0)
        # Appends that wait for room, each behind the last one, and the bytes of their entries.
        self._waiting: deque[Append] = deque()
        self._waiting_bytes = 0

    def follow(self, member: int, term: int) -> bool:
        """Follow the leader of a term, if it is not an old one."""
        if term < self._core.term:
            # It is told that its time is over.
            self._desk.outbox.append((member, Appended(self._core.term, 0, ok=False)))
            return False
        if term == self._core.term and self._core.is_leader:
            raise SafetyViolation(f"{member:x} and this member lead the same term {term}")
        self._timer.heard(self._clock.monotonic_ns())
        self._on_followed()
        if term != self._core.term or self._core.leader != member or self._core.is_candidate:
            self._core.append(member, term, 0, [])
        return True

    def on_append(self, member: int, message: Append) -> None:
        """Take entries, or say where the logs might agree."""
        if not self.follow(member, message.term):
            return
        self.resume()
        if self._waiting or not self._take(member, message):
            self._let_wait(message)
            # The acknowledgement has to wait; that we are there need not.
            self._desk.outbox.append((member, Beaten(self._core.term, 0, self._desk.is_full)))

    def resume(self) -> bool:
        """Take what waited for room, as far as there is some now; tell whether anything was."""
        taken = False
        while self._waiting:
            message, leader = self._waiting[0], self._core.leader
            if message.term != self._core.term or not leader:
                self._waiting.clear()
                self._waiting_bytes = 0
            elif self._take(leader, message):
                self._waiting.popleft()
                self._waiting_bytes -= _entry_bytes(message.entries)
                taken = True
            else:
                break
        return taken

    def _let_wait(self, message: Append) -> None:
        """Keep entries until there is room; what has a gap before it the leader sends again."""
        if self._waiting:
            last = self._waiting[-1]
            follows = message.prev_index == last.prev_index + len(last.entries)
            if not follows or self._waiting_bytes >= WAITING_BYTES_MAX:
                return
        if message.entries:
            self._waiting.append(message)
            self._waiting_bytes += _entry_bytes(message.entries)

    def _take(self, member: int, message: Append) -> bool:
        """Take the entries of an append, or refuse them; False if there is no room for them."""
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
            self._desk.outbox.append(
                (member, Appended(self._core.term, hint, ok=False, prev=message.prev_index))
            )
            return True
        if message.prev_check and log.check(prev) not in (0, message.prev_check):
            raise _contradicted(member, prev)
        known = 0
        while known < len(entries) and log.holds(entries[known][1], entries[known][2]):
            if log.differs(entries[known][1], entries[known][0]):
                raise _contradicted(member, entries[known][1])
            known += 1
        new = entries[known:]
        if new:
            if not self._has_room(_entry_bytes(new)):
                return False
            if new[0][1] <= self._core.commit_index:
                raise _contradicted(member, new[0][1])
            if new[0][1] <= log.last_index:
                log.truncate(new[0][1])
        self._verified = (self._core.term, max(self._verified_in(self._core.term), upto))
        commit = min(message.commit, self._verified[1])
        if new or commit > self._core.commit_index:
            self._core.append(member, message.term, commit, new)
        self._desk.held.append((member, Appended(self._core.term, upto, ok=True)))
        if not new and upto > log.durable:
            # The acknowledgement may have to wait for a slow disk; that we are there need not.
            self._desk.outbox.append((member, Beaten(self._core.term, 0)))
        return True

    def on_commit(self, member: int, message: Commit) -> None:
        """Learn what is committed."""
        if not self.follow(member, message.term):
            return
        commit = min(message.commit, self._verified_in(message.term))
        if commit > self._core.commit_index:
            self._core.append(member, message.term, commit, [])

    def on_beat(self, member: int, message: Beat) -> None:
        """Say that we are there."""
        if self.follow(member, message.term):
            voters = self._desk.voters
            if message.match > self._log.last_index and (member in voters or not voters):
                raise DataLost(
                    f"leader {member:x} has this member's acknowledgement of entries up to"
                    f" {message.match}, and they end at {self._log.last_index}"
                )
            full = bool(self._waiting) and self._desk.is_full
            self._desk.outbox.append((member, Beaten(message.term, message.round, full)))

    def acknowledge(self, member: int, index: int) -> None:
        """Tell a leader that a snapshot it sent is in our log and state, or was not needed."""
        self._desk.held.append((member, Appended(self._core.term, index, ok=True)))

    def installed(self, index: int) -> None:
        """A snapshot up to `index` has replaced log and state."""
        self._core.installed(index)
        self._verified = (self._core.term, max(self._verified_in(self._core.term), index))

    def _verified_in(self, term: int) -> int:
        return self._verified[1] if self._verified[0] == term else 0


def _entry_bytes(entries: list[tuple[bytes, int, int]]) -> int:
    """About how many bytes entries take in the journal."""
    return sum(len(data) + EXTRA_BYTES for data, _index, _term in entries)


def _contradicted(leader: int, index: int) -> Contradicted:
    return Contradicted(
        f"member {leader:x} leads without entry {index} as it is here: other members have lost"
        " data, and what they lack may be in this member's data directory alone: keep it"
    )
