"""What every member's journal holds, as it was told and as it would survive a loss of power.

Laws that are watched, at each call of a journal:

* "log matching": two entries of one index and term have the same data and the same term before
  them, on all members and for ever (by induction this is Raft's Log Matching).
* "the term never goes back" and "one vote in a term", in the order of what is written to a disk.
* "recovery": what a start finds is what was durable, plus a prefix of what was under way.
* "a leader only appends": within its term it replaces none of its entries.

A journal is watched from its `open` on; `watched()` sees to that for journals on a `Mount`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from raft import batch
from raft.journal import Journal
from raft.snapshots import SnapshotStore
from tests.simulation.disk import Mount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from raft.journal import Chunk, Entry, Recovered
    from raft.snapshots import SnapshotMeta
    from tests.simulation.violation import Accuse

# ("entry", data, index, term), ("state", term, vote) or ("mark", index, term)
Operation = tuple[Any, ...]


class View:
    """A log with its hard state and snapshot mark, in memory."""

    def __init__(self) -> None:
        self.first = 1
        self.terms: list[int] = []
        self.datas: list[bytes] = []
        self.term = 0
        self.vote: str | None = None
        self.mark: tuple[int, int] | None = None

    @property
    def last(self) -> int:
        """The index of the last entry, or of what the mark stands for."""
        return self.first + len(self.terms) - 1

    def term_at(self, index: int) -> int | None:
        """The term of an entry, None if it is not known."""
        position = index - self.first
        if 0 <= position < len(self.terms):
            return self.terms[position]
        if self.mark is not None and index == self.mark[0]:
            return self.mark[1]
        return 0 if index == 0 else None

    def data(self, index: int) -> bytes | None:
        position = index - self.first
        return self.datas[position] if 0 <= position < len(self.datas) else None

    def apply(self, operation: Operation) -> None:
        """Take what was written."""
        if operation[0] == "entry":
            _kind, data, index, term = operation
            position = index - self.first
            if position < 0:  # behind a mark nobody goes back
                self.first, position = index, 0
            del self.terms[position:], self.datas[position:]
            self.terms.append(term)
            self.datas.append(data)
        elif operation[0] == "state":
            _kind, self.term, self.vote = operation
        else:
            _kind, index, term = operation
            held = self.term_at(index) == term or (index < self.first and bool(self.terms))
            self.mark = (index, term)
            if not held:
                self.first = index + 1
                self.terms.clear()
                self.datas.clear()

    def outline(self) -> tuple[object, ...]:
        """What tells it from other states on the way."""
        last_term = self.term_at(self.last)
        return (self.last, last_term, self.term, self.vote, self.mark)

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry is there, or is covered by the snapshot."""
        return self.term_at(index) == term or (self.mark is not None and index <= self.mark[0])

    def copy(self) -> View:
        """Return another one like it."""
        view = View()
        view.first, view.terms, view.datas = self.first, self.terms[:], self.datas[:]
        view.term, view.vote, view.mark = self.term, self.vote, self.mark
        return view


class JournalWatch:
    """The journal of one member, through all its lives."""

    def __init__(self, journals: Journals, member: int) -> None:
        self.member = member
        self.told = View()
        self.durable = View()
        # For whom it voted in which term, as far as that is durable.
        self.votes: dict[int, str | None] = {}
        # Somebody has meddled with its disk, so that a start may be refused; or it was refused, and
        # nothing that was there counts any more.
        self.damaged = False
        # Up to where the snapshot goes that was read last, or marked in the journal.
        self.snapshot_index = 0
        self.lost = False
        # Whether what is durable counts although the disk was lost once; what was durable then.
        self.counts_anew = False
        self.had = View()
        self._journals = journals
        # What is not durable yet: by the chunk it was taken with, then what is only buffered.
        self._taken: list[tuple[int, list[Operation]]] = []
        self._buffered: list[Operation] = []

    def opened(self, journal: Journal, recovered: Recovered) -> None:
        """A start has found this, and made it durable."""
        found = View()
        if recovered.snapshot is not None:
            found.mark = recovered.snapshot
            found.first = recovered.snapshot[0] + 1
        if recovered.entries:
            found.first = recovered.entries[0][1]
            found.terms = [term for _data, _index, term in recovered.entries]
            found.datas = [data for data, _index, _term in recovered.entries]
        found.term, found.vote = recovered.term, recovered.vote
        self._check_recovery(found)
        self.told, self.durable = found, found.copy()
        self.votes[found.term] = found.vote
        self._taken, self._buffered = [], []
        for data, index, term in recovered.entries:
            self._journals.entry(self, data, index, term, recovered=True)
        for name in ("append", "save_state", "mark_snapshot", "take", "write"):
            self._wrap(journal, name)

    def wiped(self, *, counts: bool) -> None:
        """Nothing of it is left; whether what comes now `counts`, as far as it is there."""
        self.counts_anew = counts
        self.had = self.durable
        self.told, self.durable = View(), View()
        self.votes = {}
        self.snapshot_index = 0
        self.damaged = self.lost = True
        self._taken, self._buffered = [], []

    def snapshot_read(self, meta: SnapshotMeta) -> None:
        """The member reads a snapshot: to go on from it, or to send it."""
        self.snapshot_index = meta.index

    def _check_recovery(self, found: View) -> None:
        view = self.durable.copy()
        if not view.terms and view.mark is None and found.last <= 1:
            return  # a first start, maybe repeated
        states = [view.outline()]
        for operation in [*(o for _n, chunk in self._taken for o in chunk), *self._buffered]:
            view.apply(operation)
            states.append(view.outline())
        if found.outline() not in states:
            self._journals.accuse(
                "recovery",
                f"member {self.member} found {found.outline()} on its disk, which is none of the "
                f"states it may have been in: {states[0]} to {states[-1]} ({len(states)})",
            )

    def _wrap(self, journal: Any, name: str) -> None:
        original, notice = getattr(journal, name), getattr(self, f"_{name}")

        def watched(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            notice(result, *args)
            return result

        setattr(journal, name, watched)

    def _append(self, _result: None, entry: Entry) -> None:
        data, index, term = entry
        self._journals.entry(self, data, index, term)
        self._note(("entry", data, index, term))

    def _save_state(self, _result: None, term: int, vote: str | None) -> None:
        told = self.told
        if term < told.term:
            detail = f"member {self.member} writes term {term} after {told.term}"
            self._journals.accuse("the term never goes back", detail)
        if term == told.term and told.vote is not None and vote != told.vote:
            detail = f"member {self.member} in term {term}: {told.vote}, then {vote}"
            self._journals.accuse("one vote in a term", detail)
        self._note(("state", term, vote))

    def _mark_snapshot(self, _result: None, index: int, term: int) -> None:
        self.snapshot_index = index
        self._note(("mark", index, term))

    def _note(self, operation: Operation) -> None:
        self.told.apply(operation)
        self._buffered.append(operation)

    def _take(self, chunk: Chunk) -> None:
        self._taken.append((chunk.number, self._buffered))
        self._buffered = []

    def _write(self, _result: None, chunk: Chunk) -> None:
        while self._taken and self._taken[0][0] <= chunk.number:
            for operation in self._taken.pop(0)[1]:
                self.durable.apply(operation)
                if operation[0] == "state":
                    self.votes[operation[1]] = operation[2]


class Journals:
    """The journals of all members."""

    def __init__(self, accuse: Accuse) -> None:
        self.accuse = accuse
        self.members: dict[int, JournalWatch] = {}
        # By (index, term): data, the term before, and the configuration it may hold.
        self._entries: dict[tuple[int, int], tuple[bytes, int | None]] = {}
        self.truncations = 0
        self.configurations: dict[tuple[int, int], frozenset[int]] = {}
        # Told of each entry when it is first seen; no batch: an entry of the engine's own.
        self.on_created: Callable[[JournalWatch, batch.Batch | None, int, int], None]
        self.on_created = lambda _watch, _batch, _index, _term: None

    def of(self, member: int) -> JournalWatch:
        """Return a member's journal."""
        watch = self.members.get(member)
        if watch is None:
            watch = self.members[member] = JournalWatch(self, member)
        return watch

    def entry(
        self, watch: JournalWatch, data: bytes, index: int, term: int, *, recovered: bool = False
    ) -> None:
        """A member has this entry."""
        before = watch.told.term_at(index - 1)
        known = self._entries.get((index, term))
        if known is None:
            self._entries[index, term] = (data, before)
            self._created(watch, data, index, term)
        elif known[0] != data or (None not in (known[1], before) and known[1] != before):
            self.accuse(
                "log matching",
                f"entry {index} of term {term} on member {watch.member} differs from another "
                f"member's (the terms before: {known[1]}, {before})",
            )
        replaced = watch.told.term_at(index)
        self.truncations += not recovered and index <= watch.told.last
        if not recovered and replaced == term:
            detail = f"member {watch.member} writes entry {index} of term {term} again"
            self.accuse("a leader only appends", detail)

    def _created(self, watch: JournalWatch, data: bytes, index: int, term: int) -> None:
        found = batch.decode(data)
        if found is not None and found.peers is not None:
            self.configurations[index, term] = frozenset(peer.id for peer in found.peers)
        self.on_created(watch, found, index, term)

    def durable_on(self, index: int, term: int) -> set[int]:
        """The members on whose disk an entry is, or was when they lost it."""
        return {
            member
            for member, watch in self.members.items()
            if watch.had.holds(index, term)
            or ((not watch.lost or watch.counts_anew) and watch.durable.holds(index, term))
        }


@contextmanager
def watched() -> Iterator[None]:
    """Watch all journals that are opened on a Mount of a simulated world."""
    opening = Journal.open.__func__  # type: ignore[attr-defined]

    def open_watched(cls: type[Journal], disk: Any, *args: Any, **kwargs: Any) -> Any:
        journal, recovered = opening(cls, disk, *args, **kwargs)
        if isinstance(disk, Mount):
            disk.on_opened(journal, recovered)
        return journal, recovered

    reading = SnapshotStore.newest

    def newest_watched(self: SnapshotStore, *args: Any, **kwargs: Any) -> Any:
        found = reading(self, *args, **kwargs)
        if isinstance(self.disk, Mount) and found is not None:
            self.disk.on_snapshot_read(found[0])
        return found

    with (
        mock.patch.object(Journal, "open", classmethod(open_watched)),
        mock.patch.object(SnapshotStore, "newest", newest_watched),
    ):
        yield
