"""The driver: what happens in which order, one turn of the event loop at a time.

Laws:

* append -> send -> fdatasync -> promise -> commit -> apply -> reply. Nothing is promised to another
  member, applied or answered above the index up to which the journal is known to be on disk.
* Clients are answered before followers hear that what they wrote is committed; that waits for one
  round of the event loop, and for none if an append takes it along.
* No engine turn happens while something appended is not yet synced.
* All that came in during a turn shares one sync. With other members to tell, it begins one turn
  later, so that network and disk work at the same time. It runs on the event loop, which on a fast
  disk is quicker than any hand-over, and moves to a thread by itself while the disk is slow; a
  leader goes on beating then, but not for longer than an election time-out.
* Any exception from the engine, the journal or the state machine is fatal: the process ends without
  another reply.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from raft import batch
from raft.appender import Appender
from raft.applying import Applying
from raft.errors import (
    LEADER_NO_SPACE,
    MOST_NO_SPACE,
    NO_SPACE,
    STOPPED,
    TOO_MANY,
    ChangeRefused,
    ProposalFailed,
)
from raft.messages import (
    Append,
    AskIndex,
    Forward,
    Refused,
    SnapshotBegin,
    SnapshotPart,
    SnapshotTaken,
    TellIndex,
)
from raft.proposals import Intake, Proposals
from raft.reads import Reads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from raft.births import Births
    from raft.clock import Clock, ClusterClock
    from raft.core import Timing
    from raft.engine import Engine
    from raft.installs import Receiver, Sender
    from raft.journal import Journal
    from raft.log import Log
    from raft.machine import StateMachine
    from raft.messages import Change, Message
    from raft.snapshots import SnapshotMeta
    from raft.traffic import Traffic
    from raft.transport import PeerTransport

ReplyT = TypeVar("ReplyT")

# A disk whose syncs take longer than this (moving average) gets a thread; below half of it the sync
# comes back to the event loop. A hand-over costs 0.1 to 0.3 ms, and a fast disk that three members
# of one machine share takes up to 1 ms.
SLOW_SYNC_NS: Final = 2_000_000
_AVERAGE_WEIGHT: Final = 0.05

# etcd's SYNC: while some key has a TTL, the leader logs the time this often.
STAMP_PERIOD_NS: Final = 500_000_000
_TICK_MAX_S: Final = 0.1

_logger = logging.getLogger("raft")


class Driver(Generic[ReplyT]):
    """Drives one engine, its journal and its state machine on one event loop."""

    def __init__(
        self,
        engine: Engine,
        log: Log,
        journal: Journal,
        machine: StateMachine[ReplyT],
        *,
        transport: PeerTransport,
        clock: Clock,
        cluster_clock: ClusterClock,
        timing: Timing,
        origin: int,
        request_timeout_ms: int,
        applied: int,
        is_removed: Callable[[int], bool],
        births: Births,
        on_applied: Callable[[], None],
        traffic: Traffic,
        on_configured: Callable[[tuple[batch.Peer, ...]], None],
        on_members: Callable[[], None],
        on_removed: Callable[[], None],
        on_no_room: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`on_configured` is told of each configuration that is applied, `on_members` when another
        one is in force; `on_removed` when another member says that we are none.
        """
        self._engine = engine
        self._births = births
        self._log = log
        self._journal = journal
        self._machine = machine
        self._transport = transport
        self._clock = clock
        self._cluster_clock = cluster_clock
        self._election_ns = timing.election_ms * 1_000_000
        self._tick_s = min(timing.heartbeat_ms / 1000, _TICK_MAX_S)
        self._traffic = traffic
        self._on_configured = on_configured
        self._on_members = on_members
        self._on_removed = on_removed
        self._membership_version = log.membership.version
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        timeout_ns = request_timeout_ms * 1_000_000
        self._proposals: Proposals[ReplyT] = Proposals(origin, timeout_ns, clock.monotonic_ns)
        self._intake = Intake()
        # Which member a proposal in the intake came from, by its origin.
        self._origins: dict[int, int] = {}
        self._appender = Appender(
            engine,
            log,
            journal,
            proposals=self._proposals,
            intake=self._intake,
            clock=clock,
            cluster_clock=cluster_clock,
            is_removed=is_removed,
            on_refused=self._refuse_change,
            on_no_room=on_no_room,
        )
        self._applying: Applying[ReplyT] = Applying(
            engine,
            log,
            journal,
            machine,
            proposals=self._proposals,
            cluster_clock=cluster_clock,
            applied=applied,
            on_applied=on_applied,
            configure=self._configure,
        )
        engine.leading.on_acknowledged = lambda member, took_ns: traffic.acknowledged(
            member, took_ns / 1e9
        )
        self._reads = Reads(
            engine,
            origin=origin,
            timeout_ns=timeout_ns,
            repeat_ns=self._election_ns,
            now_ns=clock.monotonic_ns,
            send=self._send,
        )
        self.sender: Sender | None = None
        self.receiver: Receiver | None = None
        self._flushes: list[asyncio.Future[None]] = []
        # The leader as last noticed; how many came, and when the last one did, by the wall clock.
        self._leader = 0
        self.leader_changes = 0
        self.leader_since_ns = clock.wall_ns()
        self._led_term = 0
        self._handed_over: asyncio.Future[None] | None = None

        self._turn_due = False
        self._commits_due = False
        # Something happened besides proposals, so that the engine may have come to something new.
        self._news = True
        self._sync_due = False
        # The write that is under way in a thread, and since when.
        self._write: asyncio.Future[int] | None = None
        self._write_began_ns = 0
        self._stopped = False
        self._failed = False
        self.sync_average_ns = 0.0
        self.on_sync: Callable[[int], None] = lambda _took_ns: None
        self._slow_disk = False
        self._disk_full = False
        self._next_stamp_ns = 0
        self._ticker: asyncio.TimerHandle | None = None

    # -- for everyone -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick; must be called on the event loop."""
        self._tick()

    async def stop(self) -> None:
        """Stop after what is being written; whoever still waits then is told so."""
        self._stopped = True
        if self._ticker is not None:
            self._ticker.cancel()
        if self._write is not None:
            await asyncio.wait([self._write])
            if not self._failed:
                self._guarded(self._finish)
        self._proposals.stop()
        self._reads.stop()
        for flush in self._flushes:
            flush.cancel()

    async def hand_over(self, timeout_s: float) -> None:
        """As a leader, let another member lead; come back when one does, or none will in time."""
        if self._stopped or not self._engine.leading.transfer():
            return
        self._handed_over = self._loop.create_future()
        self.wake()
        await asyncio.wait([self._handed_over], timeout=timeout_s)

    def reconfigure(self, peers: tuple[batch.Peer, ...], commands: list[bytes]) -> None:
        """As the only member, put a configuration into the log, with commands that record it."""
        self._notice()
        stamp_ns, wall_ns = self._cluster_clock.stamp(), self._clock.wall_ns()
        self._engine.propose(batch.encode(batch.Batch(stamp_ns, wall_ns, [], commands, peers)))

    async def settle(self, timeout_s: float) -> None:
        """Wait until everything proposed so far has its reply, but not longer than that."""
        waiting = self._proposals.futures()
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)

    @property
    def disk_full(self) -> bool:
        return self._disk_full

    @property
    def wants_room(self) -> bool:
        """Whether the next command does not fit into what the journal has prepared."""
        return self._appender.wants_room

    def set_disk_full(self, *, full: bool) -> None:
        """Refuse writes from now on, those in the queue included, or take them again.

        A leader lets another member lead, whose disk may have room.
        """
        self._disk_full = self._engine.desk.is_full = full
        if full:
            if self._engine.leading.transfer():
                self.wake()
            self._refuse_waiting(NO_SPACE, LEADER_NO_SPACE)

    def _refuse_waiting(self, own_cause: str, cause: str) -> None:
        """Refuse what was not appended yet, here and to other members."""
        self._proposals.refuse_waiting(own_cause)
        for origin, number in self._intake.drain():
            self._refuse(origin, [number], cause)

    @property
    def applied_index(self) -> int:
        """Where the state machine stands."""
        return self._applying.index

    @property
    def pending(self) -> int:
        """How many proposals wait for their reply."""
        return len(self._proposals)

    @property
    def proposals_failed(self) -> int:
        """How many proposals of this member ended without a reply."""
        return self._proposals.failed

    def propose(
        self, command: bytes, *, change: Change | None = None, reserved: bool = False
    ) -> asyncio.Future[ReplyT]:
        """Propose a command; the future is its reply once it is applied, or ProposalFailed.

        `change` goes with the command that records it; the future may be ChangeRefused then.
        `reserved`: a small command of the server's own, for which there is room on a full disk.
        """
        if self._stopped or (self._disk_full and not reserved):
            future: asyncio.Future[ReplyT] = self._loop.create_future()
            self._proposals.fail(future, STOPPED if self._stopped else NO_SPACE)
            return future
        future = self._proposals.add(command, change)
        self.wake()
        return future

    def read_barrier(self) -> asyncio.Future[None]:
        """Return a future that is done when a local read is as good as a read through the log."""
        if self._stopped:
            future: asyncio.Future[None] = self._loop.create_future()
            future.set_exception(ProposalFailed(STOPPED))
            return future
        future = self._reads.add(self.applied_index)
        if not future.done():
            self.wake()
        return future

    def flush(self) -> asyncio.Future[None]:
        """Return a future that is done once everything buffered in the journal is on disk."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self._stopped:
            future.cancel()
        else:
            self._flushes.append(future)
            self.wake()
        return future

    def wake(self) -> None:
        """Ask for a turn soon: something was proposed, buffered or learnt."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    # -- other members (raft.transport.Listener) --------------------------------------------

    def received(self, member: int, message: Message) -> None:
        if not self._stopped:
            self._news = True
            self._guarded(self._receive, member, message)
            self.wake()

    def connected(self, member: int, *, births: Mapping[int, int]) -> None:
        if not self._stopped:
            self._news = True
            self._guarded(self._greet, member, births)
            self.wake()

    def _greet(self, member: int, births: Mapping[int, int]) -> None:
        """Begin to talk with a member, unless one of us remembers what the other has lost."""
        self._births.compare(member, births)
        self._engine.connected(member)

    def disconnected(self, member: int) -> None:
        if not self._stopped:
            self._guarded(self._engine.disconnected, member)
            for transfers in (self.sender, self.receiver):
                if transfers is not None:
                    transfers.disconnected(member)

    def _receive(self, member: int, message: Message) -> None:
        match message:
            case Forward():
                self._take_in(member, message)
            case Refused():
                self._be_refused(message)
            case AskIndex():
                self._reads.question(member, message)
            case TellIndex():
                self._reads.answer(message)
            case SnapshotBegin() | SnapshotPart():
                follow = self._engine.following.follow
                if self.receiver is not None and follow(member, message.term):
                    self.receiver.received(member, message)
            case SnapshotTaken():
                if self.sender is not None:
                    self.sender.taken(member, message)
            case Append():
                self._traffic.received(member, _size_bytes(message))
                self._engine.receive(member, message)
            case _:
                self._engine.receive(member, message)

    def _send(self, member: int, message: Message) -> None:
        self._transport.send(member, message)

    def _send_out(self) -> None:
        for member, message in self._engine.desk.take_outbox():
            sent = self._transport.send(member, message)
            if isinstance(message, Append):
                if sent:
                    self._traffic.sent(_size_bytes(message))
                else:
                    self._traffic.failed(member)
        if self._engine.leading.owes_commits and not self._commits_due:
            # Behind the answers that the last turn has given.
            self._commits_due = True
            self._loop.call_soon(self._send_commits)

    def _send_commits(self) -> None:
        self._commits_due = False
        if not self._stopped:
            self._guarded(self._engine.leading.send_commits)
            self._send_out()

    def _release(self) -> None:
        """Everything is on disk: what promises something may leave."""
        for member, message in self._engine.desk.take_held():
            self._transport.send(member, message)

    def _take_in(self, member: int, message: Forward) -> None:
        if not self._engine.is_leader or message.term != self._engine.term:
            return  # its proposer will learn of a later term
        self._notice()
        self._origins[message.origin] = member
        if refused := self._intake.take(message, refuse=self._disk_full):
            cause = LEADER_NO_SPACE if self._disk_full else TOO_MANY
            self._refuse(message.origin, refused, cause)

    def _refuse(self, origin: int, numbers: list[int], cause: str, *, change: bool = False) -> None:
        member = self._origins.get(origin)
        if member is not None:
            self._send(member, Refused(origin, numbers, cause, change))

    def _refuse_change(self, origin: int, number: int, refused: ChangeRefused) -> None:
        if origin == self._proposals.origin:
            self._proposals.refused([number], refused)
        else:
            self._refuse(origin, [number], str(refused), change=True)

    def _be_refused(self, message: Refused) -> None:
        if message.origin == self._proposals.origin:
            kind = ChangeRefused if message.change else ProposalFailed
            self._proposals.refused(message.numbers, kind(message.cause))

    def removed(self) -> None:
        if not self._stopped:
            self._on_removed()

    # -- turns ------------------------------------------------------------------------------

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        """Run a step; whatever it raises, nothing after it can be trusted."""
        try:
            step(*arguments)
        except Exception as error:
            self._stopped = self._failed = True
            self._on_fatal(error)

    def _turn(self) -> None:
        self._turn_due = False
        if not self._stopped:
            self._guarded(self._advance)

    def _advance(self) -> None:
        self._news |= self._engine.following.resume()
        self._agree()
        if self._write is None:
            self._hand_in()
        self._notice()
        self._engine.leading.send_appends()
        self._reads.advance(self.applied_index)
        self._send_out()
        if self._write is None:
            self._begin_sync()
        if self.sender is not None:
            self.sender.update()

    def _begin_sync(self) -> None:
        if not self._journal.pending:
            return
        if self._slow_disk:
            self._sync_in_thread()
        elif self._engine.desk.is_alone:
            self._sync()
        elif not self._sync_due:
            self._sync_due = True
            self._loop.call_soon(self._sync_now)

    def _sync_now(self) -> None:
        self._sync_due = False
        if not self._stopped and self._write is None and self._journal.pending:
            self._guarded(self._sync)

    def _sync(self) -> None:
        """Write what is buffered, here and now, and act on it."""
        while self._journal.pending:
            started_ns = self._clock.monotonic_ns()
            covered = self._log.begin_sync()
            self._journal.sync()
            self._synced(covered, self._clock.monotonic_ns() - started_ns)
            self._agree()
        if self._appender.is_behind:
            self.wake()
        self._engine.leading.send_appends()
        self._reads.advance(self.applied_index)
        self._send_out()

    def _sync_in_thread(self) -> None:
        covered = self._log.begin_sync()
        flushes, self._flushes = self._flushes, []
        held = self._engine.desk.take_held()
        chunk = self._journal.take()
        self._write_began_ns = self._clock.monotonic_ns()

        def write() -> int:
            # Timed here: the way to the thread and back says nothing about the disk.
            started_ns = self._clock.monotonic_ns()
            self._journal.write(chunk)
            return self._clock.monotonic_ns() - started_ns

        def learn() -> None:
            self._synced(covered, writing.result())
            if not self._stopped:
                for member, message in held:
                    self._transport.send(member, message)
            self._settle_flushes(flushes)

        def written(_done: asyncio.Future[int]) -> None:
            self._write = None
            self._guarded(learn)
            for flush in flushes:
                flush.cancel()  # those of a write that failed: nobody may wait for them for ever
            self._turn()

        self._write = writing = self._loop.run_in_executor(None, write)
        writing.add_done_callback(written)

    def _synced(self, covered: int, took_ns: int) -> None:
        self._log.synced(covered)
        self._engine.leading.is_silent = False
        self._news = True
        self.sync_average_ns += _AVERAGE_WEIGHT * (took_ns - self.sync_average_ns)
        limit = SLOW_SYNC_NS // 2 if self._slow_disk else SLOW_SYNC_NS
        self._slow_disk = self.sync_average_ns > limit
        self.on_sync(took_ns)

    def _agree(self) -> None:
        """Release, commit and apply what may be.

        A follower learns from its leader what is committed, so it need not have everything on disk;
        a leader counts itself.
        """
        clean = self._write is None and not self._journal.pending
        if clean:
            self._release()
            flushes, self._flushes = self._flushes, []
            self._settle_flushes(flushes)
        if self._news and (clean or not self._engine.is_leader):
            self._news = False
            self._applying.committed(self._engine.turn())
        self._applying.advance()

    def _finish(self) -> None:
        """The last turn: nothing new, but what is on disk is applied and answered."""
        if not self._journal.pending:
            self._applying.committed(self._engine.turn())
        self._applying.advance()

    @staticmethod
    def _settle_flushes(flushes: list[asyncio.Future[None]]) -> None:
        for flush in flushes:
            if not flush.done():
                flush.set_result(None)

    def _notice(self) -> None:
        """Look at what the engine has come to: who leads, and who the members are."""
        engine = self._engine
        if engine.is_leader and self._led_term != engine.term:
            self._led_term = engine.term
            self._intake.clear()
            self._origins.clear()
            self._cluster_clock.lead(self._last_stamp())
        handed_over = self._handed_over
        if not engine.is_leader and handed_over is not None and not handed_over.done():
            handed_over.set_result(None)
        leader = engine.leader
        if leader != self._leader:
            self._notice_leader(leader)
        if self._membership_version != self._log.membership.version:
            self._membership_version = self._log.membership.version
            self._on_members()

    def _notice_leader(self, leader: int) -> None:
        engine, before, self._leader = self._engine, self._leader, leader
        if not leader:
            _logger.info("%x lost leader %x at term %d", engine.me, before, engine.term)
            return
        self.leader_changes += 1
        self.leader_since_ns = self._clock.wall_ns()
        if leader == engine.me:
            _logger.info("%x became leader at term %d", leader, engine.term)
        else:
            _logger.info("%x elected leader %x at term %d", engine.me, leader, engine.term)

    def _last_stamp(self) -> int:
        """The newest stamp in the log, committed or not."""
        for data, index, _term in reversed(self._log.entries):
            if index <= self.applied_index:
                break
            entry = batch.decode(data)
            if entry is not None:
                return max(entry.stamp_ns, self._cluster_clock.applied_ns)
        return self._cluster_clock.applied_ns

    def _hand_in(self) -> None:
        """Append what waits, or tell the leader of it."""
        engine = self._engine
        if engine.is_leader:
            self._notice()
            if engine.leading.lacks_room:
                self._refuse_waiting(MOST_NO_SPACE, MOST_NO_SPACE)
            self._appender.run(self.applied_index)
        elif self._proposals and engine.leader:
            self._forward(0)

    def _forward(self, repeat_before_ns: int) -> None:
        engine = self._engine
        leader = engine.leader
        if leader and leader != engine.me:
            for message in self._proposals.forwards(engine.term, repeat_before_ns):
                self._send(leader, message)

    def has_room(self, size_bytes: int) -> bool:
        """Whether the journal has room for a leader's entries."""
        return self._appender.has_room(size_bytes)

    # -- committed --------------------------------------------------------------------------

    def apply_entry(self, index: int, data: bytes) -> None:
        """Apply one committed entry."""
        self._applying.apply(index, data)

    def _configure(self, peers: tuple[batch.Peer, ...]) -> None:
        """Act on a configuration once nobody here can forget any more that it is committed."""

        def act(flushed: asyncio.Future[None]) -> None:
            if not flushed.cancelled():
                self._guarded(self._on_configured, peers)

        self.flush().add_done_callback(act)

    def install(self, meta: SnapshotMeta, state: object) -> bool:
        """Let a durable snapshot replace log and state; False if they are beyond it already."""
        if self._stopped or not self._applying.install(meta, state):
            return False
        self.wake()
        return True

    # -- time -------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(self._tick_s, self._tick)
        if not self._stopped:
            self._news = True
            self._guarded(self._let_time_pass)
            self._turn()

    def _let_time_pass(self) -> None:
        engine, now_ns = self._engine, self._clock.monotonic_ns()
        self._proposals.expire()
        self._reads.expire()
        if self.receiver is not None:
            self.receiver.expire()
        engine.tick()
        self._notice()
        self._save_commit()
        if not engine.is_leader:
            self._forward(now_ns - self._election_ns)
        elif self._write is not None:
            # The core's heartbeats need a turn, and turns wait for the disk.
            engine.leading.is_silent = now_ns - self._write_began_ns >= self._election_ns
            engine.leading.beat()
        due = now_ns >= self._next_stamp_ns or self._machine.is_behind()
        if due and engine.is_leader:
            self._next_stamp_ns = now_ns + STAMP_PERIOD_NS
            command = self._machine.tick_command()
            if command is not None and not self._disk_full:
                # Nobody waits for the reply, but somebody must look at the outcome.
                self.propose(command).add_done_callback(asyncio.Future.exception)

    def _save_commit(self) -> None:
        """When nothing else is written, write how far the log is committed.

        So a restart without a quorum shows what was shown before; alone, all of the log is that.
        """
        idle = self._write is None and not self._journal.pending
        if idle and not self._engine.desk.is_alone and not self._disk_full:
            self._log.save_commit()


def _size_bytes(message: Append) -> int:
    """About how many bytes an append takes on the wire."""
    return 32 + sum(len(data) + 16 for data, _index, _term in message.entries)
