"""The driver: what happens in which order, one turn of the event loop at a time.

Laws:

* append -> send -> fdatasync -> promise -> commit -> apply -> reply. Nothing is promised to another
  member, applied or answered above the index up to which the journal is known to be on disk.
* Clients are answered before followers hear that what they wrote is committed; that waits for one
  round of the event loop, and for none if an append takes it along.
* No engine turn happens while something appended is not yet synced.
* All that came in during a turn shares one sync. With other members to tell, it begins one turn
  later, so that network and disk work at the same time. While a write in a thread takes its time a
  leader goes on beating, but not for longer than an election time-out.
* Any exception from the engine, the journal or the state machine is fatal: the process ends without
  another reply.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from raft import batch
from raft.applying import Applying
from raft.errors import STOPPED, ProposalFailed
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
from raft.proposals import Proposals
from raft.proposing import Proposing
from raft.reads import Reads
from raft.tenure import Tenure
from raft.writing import Writing

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

# etcd's SYNC: while some key has a TTL, the leader logs the time this often.
STAMP_PERIOD_NS: Final = 500_000_000
_TICK_MAX_S: Final = 0.1


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
        self._proposing: Proposing[ReplyT] = Proposing(
            engine,
            log,
            journal,
            proposals=self._proposals,
            clock=clock,
            cluster_clock=cluster_clock,
            is_removed=is_removed,
            on_no_room=on_no_room,
            send=self._send,
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
        self.writing = Writing(
            log, journal, engine.desk, clock=clock, send=self._promise, on_synced=self._synced
        )
        self._tenure = Tenure(engine, log, clock=clock, cluster_clock=cluster_clock)

        self._turn_due = False
        self._commits_due = False
        # Something happened besides proposals, so that the engine may have come to something new.
        self._news = True
        self._sync_due = False
        self._stopped = False
        self._failed = False
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
        if self.writing.is_under_way:
            await self.writing.ended()
            if not self._failed:
                self._guarded(self._finish)
        self._proposals.stop()
        self._reads.stop()
        self.writing.cancel_flushes()

    async def hand_over(self, timeout_s: float) -> None:
        """As a leader, let another member lead; come back when one does, or none will in time."""
        if not self._stopped and self._engine.leading.transfer():
            self.wake()
            await self._tenure.handed_over(timeout_s)

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
        """Whether this member's disk takes no more files."""
        return self._engine.desk.is_full

    @property
    def wants_room(self) -> bool:
        """Whether the next command does not fit into what the journal has prepared."""
        return self._proposing.wants_room

    def set_disk_full(self, *, full: bool) -> None:
        """Refuse writes from now on, those in the queue included, or take them again.

        A leader lets another member lead, whose disk may have room.
        """
        self._engine.desk.is_full = full
        if full:
            if self._engine.leading.transfer():
                self.wake()
            self._proposing.refuse_for_full_disk()

    def has_room(self, size_bytes: int) -> bool:
        """Whether the journal has room for a leader's entries."""
        return self._proposing.has_room(size_bytes)

    @property
    def leader_changes(self) -> int:
        """How many leaders this member has seen come."""
        return self._tenure.changes

    @property
    def leader_since_ns(self) -> int:
        """When the last one came, by the wall clock."""
        return self._tenure.since_ns

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
        if self._stopped:
            return self._proposing.failed(STOPPED)
        future = self._proposing.add(command, change=change, reserved=reserved)
        if not future.done():
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
        future = self.writing.flush()
        if self._stopped:
            future.cancel()
        else:
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
                self._proposing.take_in(member, message)
            case Refused():
                self._proposing.be_refused(message)
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

    def _promise(self, member: int, message: Message) -> None:
        if not self._stopped:
            self._transport.send(member, message)

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
        if not self.writing.is_under_way:
            self._hand_in()
        self._notice()
        self._engine.leading.send_appends()
        self._reads.advance(self.applied_index)
        self._send_out()
        if not self.writing.is_under_way:
            self._begin_sync()
        if self.sender is not None:
            self.sender.update()

    def _hand_in(self) -> None:
        if self._engine.is_leader:
            self._notice()  # cluster time goes on from the log before anything is stamped
        self._proposing.hand_in(self.applied_index)

    def _begin_sync(self) -> None:
        if not self._journal.pending:
            return
        if self.writing.is_slow:
            self.writing.write_in_thread(self._written)
        elif self._engine.desk.is_alone:
            self._sync()
        elif not self._sync_due:
            self._sync_due = True
            self._loop.call_soon(self._sync_now)

    def _sync_now(self) -> None:
        self._sync_due = False
        if not self._stopped and not self.writing.is_under_way and self._journal.pending:
            self._guarded(self._sync)

    def _sync(self) -> None:
        """Write what is buffered, here and now, and act on it."""
        while self._journal.pending:
            self.writing.write()
            self._agree()
        if self._proposing.is_behind:
            self.wake()
        self._engine.leading.send_appends()
        self._reads.advance(self.applied_index)
        self._send_out()

    def _written(self, learn: Callable[[], None]) -> None:
        self._guarded(learn)
        self._turn()

    def _synced(self) -> None:
        self._engine.leading.is_silent = False
        self._news = True

    def _agree(self) -> None:
        """Release, commit and apply what may be.

        A follower learns from its leader what is committed, so it need not have everything on disk;
        a leader counts itself.
        """
        clean = self.writing.is_clean
        if clean:
            self.writing.release()
        if self._news and (clean or not self._engine.is_leader):
            self._news = False
            self._applying.committed(self._engine.turn())
        self._applying.advance()

    def _finish(self) -> None:
        """The last turn: nothing new, but what is on disk is applied and answered."""
        if not self._journal.pending:
            self._applying.committed(self._engine.turn())
        self._applying.advance()

    def _notice(self) -> None:
        """Look at what the engine has come to: who leads, and who the members are."""
        self._tenure.notice(self.applied_index)
        if self._membership_version != self._log.membership.version:
            self._membership_version = self._log.membership.version
            self._on_members()

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
            self._proposing.forward(now_ns - self._election_ns)
        elif self.writing.is_under_way:
            # The core's heartbeats need a turn, and turns wait for the disk.
            engine.leading.is_silent = self.writing.under_way_ns() >= self._election_ns
            engine.leading.beat()
        due = now_ns >= self._next_stamp_ns or self._machine.is_behind()
        if due and engine.is_leader:
            self._next_stamp_ns = now_ns + STAMP_PERIOD_NS
            command = self._machine.tick_command()
            if command is not None and not self.disk_full:
                # Nobody waits for the reply, but somebody must look at the outcome.
                self.propose(command).add_done_callback(asyncio.Future.exception)

    def _save_commit(self) -> None:
        """When nothing else is written, write how far the log is committed.

        So a restart without a quorum shows what was shown before; alone, all of the log is that.
        """
        if self.writing.is_clean and not self._engine.desk.is_alone and not self.disk_full:
            self._log.save_commit()


def _size_bytes(message: Append) -> int:
    """About how many bytes an append takes on the wire."""
    return 32 + sum(len(data) + 16 for data, _index, _term in message.entries)
