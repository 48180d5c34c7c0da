"""A member of the log: recovers what is on disk, then agrees, applies, saves. The package's door.

Laws:

* Everything that was ever acknowledged is applied before anything is served: a restart applies the
  snapshot and the log up to the last commit index known to be a lower bound, without asking anyone.
* The newest configuration entry says who the members are; the first entry of a new log is one,
  made of the initial cluster and byte-identical on each member. A member that joins has no log: the
  leader sends it a snapshot.
* A snapshot file that the log does not know of is one whose installation a crash has cut short; it
  holds only what is committed, so it is installed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from raft import batch, pin
from raft.births import Births
from raft.clock import Clock, ClusterClock, SystemClock
from raft.compaction import TRAILING_COMMANDS, Compactor
from raft.core import Timing
from raft.disk import Disk, RealDisk
from raft.driver import Driver
from raft.engine import Engine
from raft.errors import Refused
from raft.installs import Receiver, Sender
from raft.journal import SEGMENT_BYTES, Entry, Identity, Journal, Recovered
from raft.log import FIRST_INDEX, Log
from raft.membership import Membership
from raft.snapshots import SnapshotMeta, SnapshotStore
from raft.space import Space
from raft.traffic import Traffic
from raft.transport import Alone, PeerTransport
from raft.unsafe_disk import UnsafeDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raft.machine import StateMachine
    from raft.messages import Change

ReplyT = TypeVar("ReplyT")

# The initial configuration has the term etcd gives it, so the first leader has term 2.
_FIRST_TERM: Final = 1

_logger = logging.getLogger("raft")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Where a member keeps its data and how it keeps time."""

    journal_directory: str
    snapshot_directory: str
    snapshot_count: int = 100_000
    snapshots_max: int = 5
    trailing_commands: int = TRAILING_COMMANDS
    segment_bytes: int = SEGMENT_BYTES
    fsync: bool = True
    timing: Timing = field(default_factory=Timing)

    @property
    def request_timeout_ms(self) -> int:
        """etcd's: five seconds and two election time-outs."""
        return 5000 + 2 * self.timing.election_ms


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The first entry of a new log: the initial members, and the commands that record them."""

    peers: tuple[batch.Peer, ...]
    commands: Sequence[bytes]

    def entry(self) -> Entry:
        ids = [(0, 0)] * len(self.commands)
        first = batch.Batch(0, 0, ids, list(self.commands), self.peers)
        return batch.encode(first), FIRST_INDEX, _FIRST_TERM


class Node(Generic[ReplyT]):
    """One member: `open` it, `start` it, `propose` to it."""

    def __init__(
        self,
        machine: StateMachine[ReplyT],
        config: NodeConfig,
        *,
        identity: Identity | None,
        bootstrap: Bootstrap | None,
        on_fatal: Callable[[BaseException], None],
        clock: Clock | None = None,
        disk: Disk | None = None,
        transport: PeerTransport | None = None,
        chance: random.Random | None = None,
        is_removed: Callable[[int], bool] = lambda _member: False,
        birth_of: Callable[[int], int] = lambda _member: 0,
        on_removed: Callable[[], None] = lambda: None,
        force_new: Callable[[tuple[batch.Peer, ...]], list[bytes]] | None = None,
    ) -> None:
        """Recover what is on disk, or begin a new log with `bootstrap` under `identity`.

        An identity alone, without data, is that of a member that joins. `force_new` makes this
        member the only one: given the others, it returns the commands that record their removal.
        `is_removed` tells whether an id was a member's once; `on_removed` is called, once, when
        this member has learnt that it was. `birth_of` tells which birth of a member is on record.

        Raises Refused, JournalCorrupt, SnapshotCorrupt or OSError if that cannot be done.
        """
        pin.check()
        self._disk = disk or (RealDisk() if config.fsync else UnsafeDisk())
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()  # seeded by the system
        self._config = config
        self._on_fatal = on_fatal
        self._is_removed = is_removed
        self._on_removed = on_removed
        self._force_new = force_new
        self._machine = machine
        self._transport = transport or Alone()
        self._journal, recovered = Journal.open(
            self._disk,
            config.journal_directory,
            identity=identity,
            first=(bootstrap.entry(),) if bootstrap else (),
            segment_bytes=config.segment_bytes,
        )
        if recovered.repaired:
            _logger.warning("%s", recovered.repaired)
        self.identity = recovered.identity
        self._births = Births(self.identity, birth_of)
        self._snapshots = SnapshotStore(
            self._disk, config.snapshot_directory, identity=self.identity
        )
        self._snapshot, recovered = self._restore(recovered)
        before = self._snapshot.commands if self._snapshot else 0
        entries = recovered.entries
        before -= sum(batch.count(data) for data, index, _term in entries if index <= self._base)
        # What a snapshot covers is committed, even if no later record says so.
        recovered = replace(recovered, commit=max(recovered.commit, self._base))
        standing = batch.decode_standing(self._snapshot.config) if self._snapshot else None
        self._membership = Membership(self._base, standing.peers if standing else ())
        self._log = Log(self._journal, recovered, self._membership, before)
        self._cluster_clock = ClusterClock(self._clock)
        if standing is not None:
            self._cluster_clock.saw(standing.stamp_ns)
        self._space = Space(
            self._disk,
            config.journal_directory,
            self._journal,
            on_full=self._relieve,
            on_fatal=on_fatal,
        )
        # Who the members are as far as applied, and whether we were told to go.
        self._configured: tuple[batch.Peer, ...] = standing.peers if standing else ()
        self._gone = False
        self._others: tuple[batch.Peer, ...] = ()
        self._started_s = 0.0
        self.traffic = Traffic(self._clock.monotonic_ns)

    @property
    def _base(self) -> int:
        """The index up to which the state machine stands before the log is applied."""
        return self._snapshot.index if self._snapshot else 0

    def _restore(self, recovered: Recovered) -> tuple[SnapshotMeta | None, Recovered]:
        """Restore the newest snapshot, and make the journal agree with it."""
        entries, mark = recovered.entries, recovered.snapshot or (0, 0)
        first = entries[0][1] if entries else mark[0] + 1
        newest = self._snapshots.newest(covers=first)
        if newest is None:
            if first != FIRST_INDEX:
                raise Refused(
                    f"the log in {self._config.journal_directory} begins at index {first} and no "
                    f"snapshot in {self._config.snapshot_directory} covers what came before; "
                    "restore the snapshot files, or remove this member and add it anew"
                )
            return None, recovered
        meta, chunks = newest
        if self._snapshots.skipped:
            _logger.warning("%s", self._snapshots.skipped)
        known = any((index, term) == (meta.index, meta.term) for _data, index, term in entries)
        if not known and first != meta.index + 1:
            if meta.index < first or meta.index <= mark[0]:
                raise Refused(
                    f"the newest snapshot in {self._config.snapshot_directory} ends at index "
                    f"{meta.index}, which the log in {self._config.journal_directory} (from index "
                    f"{first} on) does not hold; the two do not belong together"
                )
            self._journal.mark_snapshot(meta.index, meta.term)
            self._journal.sync()
            recovered = replace(recovered, entries=[])
            _logger.info("finished installing the snapshot at index %d", meta.index)
        self._machine.adopt(self._machine.thaw(chunks))
        return meta, replace(recovered, snapshot=(meta.index, meta.term))

    # -- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Join the agreement; must be called on the event loop."""
        config, me = self._config, self.identity.member_id
        if self._force_new is not None:
            self._forget_others(me)
        applied = max(self._base, self._log.first_index)
        self._engine = Engine(
            me,
            log=self._log,
            applied=applied,
            timing=config.timing,
            clock=self._clock,
            chance=self._chance,
            births=self._births,
            has_room=lambda size_bytes: self._driver.has_room(size_bytes),
        )
        self._driver: Driver[ReplyT] = Driver(
            self._engine,
            self._log,
            self._journal,
            self._machine,
            transport=self._transport,
            clock=self._clock,
            cluster_clock=self._cluster_clock,
            timing=config.timing,
            origin=self._chance.getrandbits(63),
            request_timeout_ms=config.request_timeout_ms,
            applied=self._base,
            is_removed=self._is_removed,
            births=self._births,
            on_applied=self._applied,
            traffic=self.traffic,
            on_configured=self._on_configured,
            on_members=self._connect,
            on_removed=self._go,
            on_no_room=self._space.prepare,
            on_fatal=self._on_fatal,
        )
        sender = Sender(
            self._engine,
            self._log,
            self._snapshots,
            send=self._transport.send,
            take_snapshot=self._take_snapshot,
        )
        self.compactor = Compactor(
            self._log,
            self._journal,
            self._snapshots,
            snapshot_count=config.snapshot_count,
            snapshots_max=config.snapshots_max,
            trailing_commands=config.trailing_commands,
            last_index=self._base,
            last_commands=self._snapshot.commands if self._snapshot else 0,
            freeze=self._machine.freeze,
            flush=self._driver.flush,
            needed_from=lambda: sender.needed_from,
        )
        self._driver.sender = sender
        self._driver.receiver = Receiver(
            self._engine,
            self._snapshots,
            self._machine,
            send=self._transport.send,
            install=self._driver.install,
            on_installed=self.compactor.installed,
        )
        if not self._base and self._log.first_index == FIRST_INDEX:
            # PySyncObj takes the first entry of a log for applied; so it is, by definition.
            self._driver.apply_entry(FIRST_INDEX, self._log.entries[0][0])
        self._started_s = asyncio.get_running_loop().time()
        self._transport.start(self._driver)
        self._connect()
        self._record_others_gone()
        self._driver.start()
        self._space.start(self._driver)
        if self._is_removed(me):
            self._go()

    async def stop(self) -> None:
        """Leave; what was acknowledged is on disk already. A leader hands leadership over first."""
        await self._driver.hand_over(self._config.timing.election_ms / 1000)
        sender, receiver = self._driver.sender, self._driver.receiver
        assert sender is not None
        assert receiver is not None
        await self._driver.stop()
        await sender.stop()
        await receiver.stop()
        await self._transport.stop()
        await self.compactor.stop()
        await self._space.stop()
        self._journal.close()

    def _forget_others(self, me: int) -> None:
        """Be the only member from now on, whatever the log says; see `_record_others_gone`."""
        self._others = tuple(peer for peer in self._membership.peers if peer.id != me)
        own = tuple(peer for peer in self._membership.peers if peer.id == me)
        if not own:
            raise Refused(
                f"--force-new-cluster: member {me:x} is not among the members that the log in "
                f"{self._config.journal_directory} names"
            )
        self._membership.append(self._log.last_index, own)
        self._membership.committed(self._log.last_index)

    def _record_others_gone(self) -> None:
        """Put the new configuration into the log, as the leader that we are at once."""
        if self._force_new is not None:
            _logger.warning("forcing a new cluster of this member alone")
            self._driver.reconfigure(self._membership.peers, self._force_new(self._others))

    def _applied(self) -> None:
        self.compactor.applied(self._driver.applied_index, self._encode_standing)
        self._space.prepare()
        if not self._gone and self._is_removed(self.identity.member_id):
            self._go()

    def _encode_standing(self) -> bytes:
        peers = self._membership.at(self._driver.applied_index)
        return batch.encode_standing(batch.Standing(peers, self._cluster_clock.applied_ns))

    def _relieve(self) -> None:
        """Let the part of the log go that a full disk can do without."""
        self.compactor.relieve(self._driver.applied_index, self._encode_standing)

    async def _take_snapshot(self) -> None:
        """Take a snapshot out of turn: a member needs one."""
        await self.compactor.take(self._driver.applied_index, self._encode_standing)

    def _on_configured(self, peers: tuple[batch.Peer, ...]) -> None:
        """A configuration has been applied."""
        me = self.identity.member_id
        was_member = any(peer.id == me for peer in self._configured)
        self._configured = peers
        self._connect()
        if was_member and all(peer.id != me for peer in peers):
            self._go()

    def _connect(self) -> None:
        """Keep connections with everyone who is a member, or will be or was until a moment ago."""
        known = {peer.id: peer for peer in (*self._configured, *self._membership.peers)}
        known.pop(self.identity.member_id, None)
        self._transport.set_members([known[member] for member in sorted(known)])

    def _go(self) -> None:
        if not self._gone:
            self._gone = True
            self._on_removed()

    # -- for the server ---------------------------------------------------------------------

    def propose(self, command: bytes, *, reserved: bool = False) -> asyncio.Future[ReplyT]:
        """Propose a command; see Driver.propose."""
        return self._driver.propose(command, reserved=reserved)

    def change(self, change: Change, command: bytes) -> asyncio.Future[ReplyT]:
        """Change the members; `command` records it. Raises ProposalFailed or ChangeRefused."""
        return self._driver.propose(command, change=change)

    def read_barrier(self) -> asyncio.Future[None]:
        """Wait until a local read is linearizable; see Driver.read_barrier."""
        return self._driver.read_barrier()

    @property
    def status(self) -> Status:
        """Where this member stands."""
        engine = self._engine
        state = "StateCandidate" if engine.is_candidate else "StateFollower"
        return Status(
            term=engine.term,
            vote=engine.vote,
            leader=engine.leader,
            is_leader=engine.is_leader,
            state="StateLeader" if engine.is_leader else state,
            commit_index=engine.commit_index,
            applied_index=self._driver.applied_index,
        )

    @property
    def peers(self) -> tuple[batch.Peer, ...]:
        """The members, by the newest configuration in the log."""
        return self._membership.peers

    @property
    def progress(self) -> dict[int, tuple[int, int, str]]:
        """As a leader, of each other member: match index, next index, state as etcd calls it."""
        return self._engine.leading.progress

    def connected_since(self, member: int) -> float | None:
        """The loop's time since when a member can be reached; None if it cannot."""
        if member == self.identity.member_id:
            return self._started_s
        return self._transport.connected_since(member)

    @property
    def leader_changes(self) -> int:
        """How many leaders this member has seen come."""
        return self._driver.leader_changes

    @property
    def leader_since_ns(self) -> int:
        """When the last one came, by the wall clock."""
        return self._driver.leader_since_ns

    @property
    def term(self) -> int:
        return self._engine.term

    @property
    def applied_index(self) -> int:
        return self._driver.applied_index

    @property
    def cluster_time_ns(self) -> int:
        """Cluster time as this member knows it, to show TTLs by."""
        return self._cluster_clock.reading()

    @property
    def driver(self) -> Driver[ReplyT]:
        """For the metrics of proposals and syncs."""
        return self._driver

    @property
    def journal(self) -> Journal:
        """For the metrics of the journal."""
        return self._journal


@dataclass(frozen=True, slots=True)
class Status:
    """A member's view of the agreement; `leader` and `vote` are 0 for none.

    `state` is StateFollower, StateCandidate or StateLeader.
    """

    term: int
    vote: int
    leader: int
    is_leader: bool
    state: str
    commit_index: int
    applied_index: int
