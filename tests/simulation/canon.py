"""The one history that all members apply, and a second state machine that is fed with it.

Laws that are watched, as each entry is applied:

* "state machine safety": what is applied at an index is the same on all members, for ever.
* "applied is durable": a member applies only what is on its own disk.
* "commands as agreed": the state machine is given exactly the batches of the log, in order.
* "equal digests": members that stand at the same index are equal (looked at now and then).
* "cluster time": stamps never go back.
* "a key lives as long as its TTL", "expires once", "expires when due": in cluster time, by an
  account of TTLs kept here and not by the store's.
* "at most once": no command is in the history more often than it was asked for.

The second state machine also has watchers that miss nothing: what they are told is what others have
to be told (`listen`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from kvstore import Event, Machine, Reply
from kvstore.commands import (
    CompareAndSwap,
    Create,
    CreateInOrder,
    Set,
    Sync,
    Update,
    decode,
    encode,
)
from kvstore.history import History
from raft import batch
from tests.simulation.loop import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.simulation.journals import JournalWatch
    from tests.simulation.violation import Accuse

# Digests are compared at every so many-th index, and whenever a snapshot is taken or installed.
DIGEST_EVERY = 40
# What one SYNC may expire, in worlds where everything is small.
EXPIRED_AT_ONCE_MAX = 2

_SYNC = encode(Sync())
_WRITES = (Set, Create, CreateInOrder, Update, CompareAndSwap)


class Canon:
    """What was applied, by whomever first."""

    def __init__(self, accuse: Accuse) -> None:
        self.accuse = accuse
        self.entries: list[tuple[int, bytes]] = []  # (term, data) from index 1 on
        # The highest term that somebody leads, and what it was when each entry was first applied.
        self.led_term = 0
        self.committed_by: list[int] = []
        self.configurations: list[tuple[int, frozenset[int]]] = []
        # By command: each time it was applied, as the so many-th of all, in which entry, the reply.
        self.replies: dict[bytes, list[tuple[int, int, Reply]]] = defaultdict(list)
        self.commands = 0
        self.asked: Counter[bytes] = Counter()
        self.reference = Machine()
        # All events there ever were.
        self.events: list[Event] = []
        keep = self.reference.store.history.append

        def keep_all(event: Event) -> None:
            self.events.append(event)
            keep(event)

        self.reference.store.history.append = keep_all  # type: ignore[method-assign]
        self._digests: dict[int, tuple[str, int]] = {}
        # Up to each index, the last one that changed the state machine.
        self._changed_at: list[int] = [0]
        self._deadlines: dict[bytes, int] = {}
        self._stamp_ns = 0
        self.counts: Counter[str] = Counter()

    @property
    def last(self) -> int:
        return len(self.entries)

    def configuration_at(self, index: int) -> tuple[int, frozenset[int]]:
        """The newest configuration at or below an index, and where it is."""
        for at, members in reversed(self.configurations):
            if at <= index:
                return at, members
        return 0, frozenset()

    def listen(self, path: bytes, *, recursive: bool) -> list[Event]:
        """Return a list that will hold what a watcher of a path is told from now on."""
        told: list[Event] = []
        self.reference.store.watch(path, told.append, since=0, recursive=recursive, stream=True)
        return told

    def past(self, path: bytes, *, recursive: bool, since: int, index: int) -> list[Event]:
        """Return what a scan of a history finds from `since` on, in one that goes up to `index`."""
        history = History()
        for event in self.events[max(since, 1) - 1 : index]:
            history.append(event)
        return list(history.scan(path, recursive=recursive, since=since, index=index))

    def applied(self, member: int, index: int, term: int, data: bytes) -> None:
        """A member applies an entry."""
        if index > self.last + 1:
            self.accuse(
                "state machine safety",
                f"member {member} applies entry {index}, but nobody has applied {self.last + 1}",
            )
        if index == self.last + 1:
            self._extend(index, term, data)
        elif self.entries[index - 1] != (term, data):
            known_term, known = self.entries[index - 1]
            self.accuse(
                "state machine safety",
                f"at index {index} member {member} applies {data[:80]!r} of term {term}, where "
                f"another one has applied {known[:80]!r} of term {known_term}",
            )

    def check_digest(self, member: int, index: int, machine: Machine) -> None:
        """Compare a member that stands at an index with all others that did."""
        if index > self.last:
            detail = f"member {member} has a snapshot up to {index}, which nobody has applied"
            self.accuse("state machine safety", detail)
        index = self._changed_at[index]
        known = self._digests.get(index)
        digest = machine.digest()
        if known is None:
            self._digests[index] = (digest, member)
        elif known[0] != digest:
            self.accuse("equal digests", f"at index {index} members {known[1]} and {member} differ")

    # -- the history goes on ----------------------------------------------------------------

    def _extend(self, index: int, term: int, data: bytes) -> None:
        self.entries.append((term, data))
        self.committed_by.append(self.led_term)
        entry = batch.decode(data)
        if entry is None:
            self._changed_at.append(self._changed_at[-1])
            return
        self._changed_at.append(index)
        if entry.peers is not None:
            self.configurations.append((index, frozenset(peer.id for peer in entry.peers)))
        if entry.stamp_ns < self._stamp_ns:
            detail = f"entry {index} has stamp {entry.stamp_ns} after {self._stamp_ns}"
            self.accuse("cluster time", detail)
        self._stamp_ns = entry.stamp_ns
        seen = len(self.events)
        for number, command in enumerate(entry.commands):
            # One by one, to know which event is whose; the clock is the batch's all the same.
            (reply,) = self.reference.apply(entry.stamp_ns, entry.wall_ns, [command])
            self._account(index, command, reply, self.events[seen:])
            seen = len(self.events)
            self.commands += 1
            if command != _SYNC and number < len(entry.ids) and entry.ids[number] != (0, 0):
                self.replies[command].append((self.commands, index, reply))
                if len(self.replies[command]) > self.asked[command]:
                    detail = f"{command!r} was asked for {self.asked[command]} times"
                    self.accuse("at most once", f"{detail}, and is applied again at {index}")

    def _account(self, index: int, data: bytes, reply: Reply, events: list[Event]) -> None:
        """Keep the account of TTLs."""
        command = decode(data)
        if isinstance(command, Sync):
            for event in events:
                self._expired(index, event)
            if len(events) == EXPIRED_AT_ONCE_MAX:
                return  # the next one goes on
            overdue = [key for key, at in self._deadlines.items() if at <= self._stamp_ns]
            if overdue:
                detail = f"{overdue} outlive the SYNC at index {index}"
                self.accuse("expires when due", detail)
            return
        if not reply.ok:
            return
        for event in events:
            self._forget(event)
        if isinstance(command, _WRITES) and command.ttl is not None:
            key = events[-1].key if events else command.key
            self._deadlines[key] = self._stamp_ns + command.ttl * NS_PER_S

    def _forget(self, event: Event) -> None:
        """What was there is gone, and so is all below it if it was a directory."""
        self._deadlines.pop(event.key, None)
        if event.removed_dir:
            for key in [key for key in self._deadlines if key.startswith(event.key + b"/")]:
                del self._deadlines[key]

    def _expired(self, index: int, event: Event) -> None:
        if event.action != b"expire":
            self.accuse("expires once", f"a SYNC at index {index} does {event.body!r}")
        deadline_ns = self._deadlines.get(event.key)
        self._forget(event)
        if deadline_ns is None:
            self.accuse("expires once", f"{event.key!r} has no TTL and expires at index {index}")
        elif deadline_ns > self._stamp_ns:
            early_ns = deadline_ns - self._stamp_ns
            detail = f"{event.key!r} expires at index {index}, {early_ns} ns too early"
            self.accuse("a key lives as long as its TTL", detail)


class WatchedMachine(Machine):
    """A member's state machine: the real one, under observation."""

    def __init__(
        self,
        canon: Canon,
        watch: JournalWatch,
        *,
        spend: Callable[[int], None] = lambda _time_ns: None,
    ) -> None:
        """`spend` lets time pass."""
        super().__init__()
        self._canon = canon
        self._watch = watch
        # Whether the member has started, so that what it adopts was sent by a leader.
        self.started = False
        self._spend = spend
        # How long each batch takes.
        self.slow_ns = 0
        # Up to which entry of the log the state machine stands.
        self.position = 0

    def apply(self, stamp_ns: int, wall_ns: int, commands: Sequence[bytes]) -> list[Reply]:
        """Apply, after a look at which entry this must be."""
        while True:
            entry = self._next()
            if entry is not None:
                break
        if (entry.stamp_ns, entry.wall_ns, list(entry.commands)) != (
            stamp_ns,
            wall_ns,
            list(commands),
        ):
            self._canon.accuse(
                "commands as agreed",
                f"member {self._watch.member} applies {list(commands)!r} at {self.position}, where "
                f"its log has {entry.commands!r}",
            )
        self._spend(self.slow_ns)
        replies = super().apply(stamp_ns, wall_ns, commands)
        if self.position % DIGEST_EVERY == 0:
            self._canon.check_digest(self._watch.member, self.position, self)
        return replies

    def _next(self) -> batch.Batch | None:
        """Go on to the next entry of the log; None if it is nothing for the state machine."""
        watch = self._watch
        told = watch.told
        index = self.position + 1
        data, term = told.data(index), told.term_at(index)
        if data is None or term is None:
            self._canon.accuse(
                "commands as agreed",
                f"member {watch.member} applies entry {index}, which its log (to {told.last}) "
                "does not have",
            )
        assert data is not None
        assert term is not None
        if not watch.durable.holds(index, term):
            detail = f"member {watch.member} applies entry {index} before it is on its disk"
            self._canon.accuse("applied is durable", detail)
        self.position = index
        self._canon.applied(watch.member, index, term, data)
        return batch.decode(data)

    def stands_at(self, index: int) -> None:
        """Learn up to where the member says to have applied its log."""
        while self.position < index:
            if self._next() is not None:
                self._canon.accuse(
                    "commands as agreed",
                    f"member {self._watch.member} has skipped entry {self.position}",
                )

    def freeze(self):  # type: ignore[no-untyped-def]
        """Freeze, and remember what that looked like."""
        self._canon.counts["snapshots"] += 1
        self._canon.check_digest(self._watch.member, self.position, self)
        return super().freeze()

    def adopt(self, store) -> None:  # type: ignore[no-untyped-def]
        """Go on with a state from elsewhere."""
        self._canon.counts["installs" if self.started else "restores"] += 1
        super().adopt(store)
        self.position = self._watch.snapshot_index
        self._canon.check_digest(self._watch.member, self.position, self)
