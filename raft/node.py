"""A member of the log: recovers what is on disk, then agrees, applies, saves. The package's door.

Laws:

* Everything that was ever acknowledged is applied before anything is served: a restart applies the
  snapshot and the log up to the last commit index known to be a lower bound, without asking anyone.
* The newest configuration entry says who the members are; the first entry of a new log is one,
  made of the initial cluster and byte-identical on each member.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from raft import batch, pin
from raft.clock import Clock, ClusterClock, SystemClock
from raft.compaction import Compactor
from raft.disk import Disk, RealDisk
from raft.driver import Driver
from raft.engine import Engine, Timing
from raft.errors import Refused
from raft.journal import Entry, Identity, Journal
from raft.log import Log
from raft.snapshots import SnapshotMeta, SnapshotStore
from raft.space import Space
from raft.transport import Alone
from raft.unsafe_disk import UnsafeDisk

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from raft.machine import StateMachine

ReplyT = TypeVar("ReplyT")

# The initial configuration has the term etcd gives it, so the first leader has term 2.
_FIRST_INDEX: Final = 1
_FIRST_TERM: Final = 1

_logger = logging.getLogger("raft")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Where a member keeps its data and how it keeps time."""

    journal_directory: str
    snapshot_directory: str
    snapshot_count: int = 100_000
    snapshots_max: int = 5
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
        return batch.encode(first), _FIRST_INDEX, _FIRST_TERM


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
    ) -> None:
        """Recover what is on disk, or begin a new log with `bootstrap` under `identity`.

        Raises Refused, JournalCorrupt, SnapshotCorrupt or OSError if that cannot be done.
        """
        pin.check()
        self._disk = disk or (RealDisk() if config.fsync else UnsafeDisk())
        self._clock = clock or SystemClock()
        self._config = config
        self._on_fatal = on_fatal
        self._machine = machine
        self._journal, recovered = Journal.open(
            self._disk,
            config.journal_directory,
            identity=identity,
            first=(bootstrap.entry(),) if bootstrap else (),
        )
        if recovered.repaired:
            _logger.warning("%s", recovered.repaired)
        self.identity = recovered.identity
        self._snapshots = SnapshotStore(
            self._disk, config.snapshot_directory, identity=self.identity
        )
        entries = recovered.entries
        if not entries:
            raise Refused(f"the log in {config.journal_directory} is empty")
        self._snapshot = self._restore(entries)
        before = self._snapshot.commands if self._snapshot else 0
        before -= sum(batch.count(data) for data, index, _term in entries if index <= self._base)
        self._log = Log(self._journal, recovered, before)
        self._cluster_clock = ClusterClock(self._clock)
        if self._standing is not None:
            self._cluster_clock.saw(self._standing.stamp_ns)
        self._space = Space(self._disk, config.journal_directory, self._journal, on_fatal=on_fatal)

    @property
    def _standing(self) -> batch.Standing | None:
        return batch.decode_standing(self._snapshot.config) if self._snapshot else None

    @property
    def _base(self) -> int:
        """The index up to which the state machine stands before the log is applied."""
        return self._snapshot.index if self._snapshot else 0

    def _restore(self, entries: list[Entry]) -> SnapshotMeta | None:
        first, last = entries[0][1], entries[-1][1]
        newest = self._snapshots.newest(covers=first)
        if newest is None:
            if first != _FIRST_INDEX:
                raise Refused(
                    f"the log in {self._config.journal_directory} begins at index {first} and no "
                    f"snapshot in {self._config.snapshot_directory} covers what came before; "
                    "restore the snapshot files, or remove this member and add it anew"
                )
            return None
        meta, chunks = newest
        if self._snapshots.skipped:
            _logger.warning("%s", self._snapshots.skipped)
        if not first <= meta.index <= last:
            raise Refused(
                f"the newest snapshot in {self._config.snapshot_directory} ends at index "
                f"{meta.index}, which the log in {self._config.journal_directory} (indexes {first} "
                f"to {last}) does not hold; the two do not belong together"
            )
        self._machine.restore(chunks)
        return meta

    # -- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Join the agreement; must be called on the event loop."""
        peers = self._standing.peers if self._standing else None
        for data, index, _term in self._log.entries:
            entry = batch.decode(data)
            if entry is not None and entry.peers is not None and index > self._base:
                peers = entry.peers
        if peers is None:
            raise Refused(f"the log in {self._config.journal_directory} names no members")
        self._engine = Engine(
            f"{self.identity.member_id:x}",
            [f"{peer.id:x}" for peer in peers],
            log=self._log,
            applied=max(self._base, _FIRST_INDEX),
            timing=self._config.timing,
            clock=self._clock,
            transport=Alone(),
        )
        self._driver: Driver[ReplyT] = Driver(
            self._engine,
            self._log,
            self._journal,
            self._machine,
            clock=self._clock,
            cluster_clock=self._cluster_clock,
            origin=secrets.randbits(63),
            request_timeout_ms=self._config.request_timeout_ms,
            applied=self._base,
            on_applied=self._applied,
            on_no_room=self._space.prepare,
            on_fatal=self._on_fatal,
        )
        self._driver.peers = peers
        self.compactor = Compactor(
            self._log,
            self._journal,
            self._snapshots,
            snapshot_count=self._config.snapshot_count,
            snapshots_max=self._config.snapshots_max,
            last_index=self._base,
            last_commands=self._snapshot.commands if self._snapshot else 0,
            freeze=self._machine.freeze,
            flush=self._driver.flush,
        )
        if not self._base:
            # PySyncObj takes the first entry of a log for applied; so it is, by definition.
            self._driver.apply_entry(_FIRST_INDEX, self._log.entries[0][0])
        self._driver.start()
        self._space.start(self._driver)

    async def stop(self) -> None:
        """Leave; what was acknowledged is on disk already."""
        await self._driver.stop()
        await self.compactor.stop()
        await self._space.stop()
        self._journal.close()

    def _applied(self) -> None:
        self.compactor.applied(self._driver.applied_index, self._encode_standing)
        self._space.used()

    def _encode_standing(self) -> bytes:
        peers = self._driver.peers
        assert peers is not None
        return batch.encode_standing(batch.Standing(peers, self._driver.applied_stamp_ns))

    # -- for the server ---------------------------------------------------------------------

    def propose(self, command: bytes, *, reserved: bool = False) -> asyncio.Future[ReplyT]:
        """Propose a command; see Driver.propose."""
        return self._driver.propose(command, reserved=reserved)

    def read_barrier(self) -> asyncio.Future[None]:
        """Wait until a local read is linearizable; see Driver.read_barrier."""
        return self._driver.read_barrier()

    @property
    def status(self) -> Status:
        """Where this member stands."""
        leader = self._engine.leader
        return Status(
            term=self._engine.term,
            vote=int(self._engine.vote or "0", 16),
            leader=int(leader, 16) if leader else 0,
            is_leader=self._engine.is_leader,
            commit_index=self._engine.commit_index,
            applied_index=self._driver.applied_index,
        )

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
    """A member's view of the agreement; `leader` and `vote` are 0 for none."""

    term: int
    vote: int
    leader: int
    is_leader: bool
    commit_index: int
    applied_index: int
