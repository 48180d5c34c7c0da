"""A member's part in the agreement on a log: messages in, messages out, and what is committed.

PySyncObj (`core`) decides elections and commitment; this fence decides what it gets to see, so that
none of what raft/audit.md found can happen (the ids in brackets are the audit's). It has three
parts, which work at one `desk`: `candidacy`, `following`, `leading`. This module is what they have
in common: time, messages, and who the members are.

Laws:

* Answers carry a term; older ones are dropped, a newer one makes us a follower [S2, L7].
* Who counts is who is in force by the log, from the step on in which that is noticed.
* Who leads and finds out that it is no member any more stops leading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raft.candidacy import NOBODY, Candidacy
from raft.core import Core
from raft.desk import Desk
from raft.election import ElectionTimer
from raft.errors import SafetyViolation
from raft.following import Following
from raft.leading import Leading
from raft.messages import Append, Appended, AskVote, Beat, Beaten, Commit, TimeoutNow, Vote

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from raft.births import Births
    from raft.clock import Clock
    from raft.core import Timing
    from raft.log import Log
    from raft.messages import Message

_NS_PER_MS = 1_000_000


class Engine:
    """Propose to it, tell it what was received, turn it, send what is in its desk's trays."""

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
        heartbeat_ns = timing.heartbeat_ms * _NS_PER_MS
        election_ns = timing.election_ms * _NS_PER_MS
        self._core = Core(
            me, log=log, applied=applied, timing=timing, clock=clock, outlet=self._outlet
        )
        self._timer = ElectionTimer(election_ns, chance, clock.monotonic_ns())
        self.desk = desk = Desk(me, log=log, core=self._core, clock=clock, timer=self._timer)
        self.leading = Leading(desk, heartbeat_ns=heartbeat_ns, election_ns=election_ns)
        self._candidacy = Candidacy(desk, births, on_campaign=self.leading.forget)
        self.following = Following(desk, has_room, on_followed=self._candidacy.give_up)
        self._membership_version = -1
        self._adopt_membership()
        if desk.is_alone:
            # Nobody else can be leader, so there is nothing to wait for.
            self._candidacy.campaign(by_request=False)
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
        if self.is_leader:
            self.leading.tick()
        elif self._timer.is_due(self._clock.monotonic_ns()) and self.me in self.desk.voters:
            self._candidacy.stand()
        self._after()

    def connected(self, member: int) -> None:
        """Messages can get through to a member; what was on its way before is lost."""
        self.desk.reachable.add(member)
        self.leading.restart(member)
        self._candidacy.introduce(member)
        self._after()

    def disconnected(self, member: int) -> None:
        """Messages do not get through to a member."""
        self.desk.reachable.discard(member)
        self._core.set_reachable(member, reachable=False)
        if not self.is_leader and member == self._core.leader:
            self._timer.lost(self._clock.monotonic_ns())

    def receive(self, member: int, message: Message) -> None:
        """Act on a message."""
        match message:
            case Append():
                self.following.on_append(member, message)
            case Appended():
                self.leading.on_appended(member, message)
            case Commit():
                self.following.on_commit(member, message)
            case Beat():
                self.following.on_beat(member, message)
            case Beaten():
                self.leading.on_beaten(member, message)
            case AskVote():
                self._candidacy.on_ask_vote(member, message)
            case Vote():
                self._candidacy.on_vote(member, message)
            case TimeoutNow():
                self._candidacy.on_timeout_now(member, message)
            case _:
                raise SafetyViolation(f"not a message for the engine: {message!r}")
        self._after()

    def installed(self, index: int) -> None:
        """A snapshot up to `index` has replaced log and state."""
        self.following.installed(index)
        self._adopt_membership()

    def _after(self) -> None:
        """Notice what the last step has changed."""
        self._adopt_membership()
        if self.is_leader and self.me not in self.desk.voters:
            # It has committed its own removal, which it found in its log. The core would go on
            # counting itself as one of the majority.
            self._core.step_down(self.term + 1)
        self.leading.noticed()

    def _adopt_membership(self) -> None:
        membership, desk = self._log.membership, self.desk
        if self._membership_version == membership.version:
            return
        self._membership_version = membership.version
        before, desk.voters = desk.voters, membership.voters
        desk.others = sorted(desk.voters - {self.me})
        self.leading.configured(before)
        self._core.set_others(desk.others)
        self.leading.admit_all()

    def _outlet(self, member: int, message: dict[str, Any]) -> None:
        """What the core sends."""
        match message["type"]:
            case "append_entries" if "prevLogIdx" in message:
                self.leading.send_append(member, message)
            case "append_entries":
                self.leading.install(member)
            case "response_vote":
                self._candidacy.grant(member, message["term"])
            case "request_vote" if member != NOBODY:
                self._candidacy.ask(member, message["term"])
            case "next_node_idx" | "request_vote":
                pass  # the fence gives its own answers, and nobody is not asked
            case kind:
                raise SafetyViolation(f"the core sends {kind}")
