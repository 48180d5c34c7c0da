"""The log as PySyncObj sees it: a list in memory over the journal on disk.

Laws:

* What PySyncObj adds or votes is in the journal's buffer when the call returns, and on disk after
  the driver's next sync; nothing here waits for a disk.
* The list begins with the *base*, the last entry that compaction has thrown away in spirit: it is
  there for its index and term.
* The commit index is volatile, as in Raft. Each journal record carries it as a lower bound, so a
  restart knows what it may apply before anyone else answers; `save_commit` is for quiet times.
* `durable` is the index up to which the entries *as they are now* are on disk: replacing an entry
  takes it back.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from crc32c import crc32c
from pysyncobj.journal import Journal as PySyncObjJournal

from raft import batch
from raft.messages import APPEND_BYTES_MAX

if TYPE_CHECKING:
    from raft.journal import Entry, Journal, Recovered
    from raft.membership import Membership

_NONE: Final = 1 << 63

# Where every log begins: with the initial configuration, which no leader is needed for.
FIRST_INDEX: Final = 1


class Log(PySyncObjJournal):  # type: ignore[misc]  # PySyncObj has no types
    """PySyncObj's Journal interface, on ours."""

    def __init__(
        self, journal: Journal, recovered: Recovered, membership: Membership, commands_before: int
    ) -> None:
        """`commands_before`: how many commands were applied before the first recovered entry.

        A log without the entry that its snapshot ends with (the snapshot came from elsewhere, or
        there is nothing yet) gets a base of its own.
        """
        self._journal = journal
        self.membership = membership
        self._term = recovered.term
        self._vote = int(recovered.vote, 16) if recovered.vote else None
        entries, (index, term) = recovered.entries, recovered.snapshot or (0, 0)
        if not entries or entries[0][1] == index + 1 > 1:
            entries = [(batch.NO_OP, index, term), *entries]
        self._commit = max(entries[0][1], min(recovered.commit, entries[-1][1]))
        self.entries: list[Entry] = []
        # Commands in the log up to and including each entry, and the bytes of all entries that ever
        # were in it.
        self._totals: list[int] = []
        self._total = commands_before
        self._ends: list[int] = []
        self._end = 0
        # Index, term and checksum of the entry that was asked for last.
        self._checked = (0, 0, 0)
        for entry in entries:
            self._remember(entry)
            self._notice(entry)
        membership.committed(self._commit)
        self.durable = self.last_index
        # The lowest index added since the journal was last asked to write, _NONE for none.
        self._fresh = _NONE

    def _remember(self, entry: Entry) -> None:
        self._total += batch.count(entry[0])
        self.entries.append(entry)
        self._totals.append(self._total)
        self._end += len(entry[0])
        self._ends.append(self._end)

    def _notice(self, entry: Entry) -> None:
        """Learn of a configuration; the first entry of a log is always one."""
        data, index, _term = entry
        if index > self.membership.index and (
            data[0] == batch.CONFIGURATION_KIND or index == FIRST_INDEX
        ):
            found = batch.decode(data)
            if found is not None and found.peers is not None:
                self.membership.append(index, found.peers)

    # -- our side ---------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        return self.entries[0][1]

    @property
    def last_index(self) -> int:
        return self.entries[-1][1]

    @property
    def is_founders(self) -> bool:
        """Whether it holds what a founder begins with, and nothing else."""
        return self.last_index == FIRST_INDEX

    @property
    def last_term(self) -> int:
        return self.entries[-1][2]

    @property
    def size_bytes(self) -> int:
        """The bytes its entries hold."""
        return self._end - self._ends[0] + len(self.entries[0][0])

    @property
    def uncommitted_bytes(self) -> int:
        """The bytes of the entries behind the commit index."""
        return self._end - self._ends[self._commit - self.first_index]

    def term_at(self, index: int) -> int:
        return self.entries[index - self.first_index][2]

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry is there with this term."""
        return self.first_index <= index <= self.last_index and self.term_at(index) == term

    def check(self, index: int) -> int:
        """The CRC-32C of an entry's data; 0 for what is not held any more."""
        if not self.first_index < index <= self.last_index:
            return 0
        data, _index, term = self.entries[index - self.first_index]
        if self._checked[:2] != (index, term):
            self._checked = index, term, crc32c(data)
        return self._checked[2]

    def differs(self, index: int, data: bytes) -> bool:
        """Whether an entry that is held has other data."""
        return index > self.first_index and self.entries[index - self.first_index][0] != data

    def agreement_hint(self, index: int, term: int) -> int:
        """The highest index not above `index` whose entry may be in a log that has `term` there."""
        index = min(index, self.last_index)
        while index > self.first_index and self.term_at(index) > term:
            index -= 1
        return index

    def commands_up_to(self, index: int) -> int:
        """Return how many commands the log has ever held up to `index`."""
        return self._totals[index - self.first_index]

    def window_start(self, index: int, *, commands: int, size_bytes: int) -> int:
        """Return where a trailing window that ends at `index` begins.

        It holds at least the last `commands` commands, unless these are more than `size_bytes`.
        """
        end = index - self.first_index
        by_commands = bisect_left(self._totals, self._totals[end] - commands)
        by_size = bisect_left(self._ends, self._ends[end] - size_bytes)
        return self.entries[max(by_commands, by_size)][1]

    def compact(self, base: int) -> None:
        """Drop the entries before `base` from memory."""
        drop = base - self.first_index
        if drop > 0:
            del self.entries[:drop]
            del self._totals[:drop]
            del self._ends[:drop]
            self.membership.compact(base)

    def truncate(self, index: int) -> None:
        """Drop the entries from `index` on.

        The journal needs no record of this: the next entry at a lower index truncates it.
        """
        position = index - self.first_index
        del self.entries[position:]
        del self._totals[position:]
        del self._ends[position:]
        self._total, self._end = self._totals[-1], self._ends[-1]
        self.durable = min(self.durable, index - 1)
        self.membership.truncate(index)

    def replace(self, index: int, term: int, *, commands: int) -> None:
        """Begin anew behind a snapshot from elsewhere, which covers all up to `index`."""
        self.entries = [(batch.NO_OP, index, term)]
        self._totals = [commands]
        self._total = commands
        self._end = len(batch.NO_OP)
        self._ends = [self._end]
        self.durable = index
        self._fresh = _NONE

    def save_commit(self) -> None:
        """Buffer how far the log is committed, if what is on disk does not say so yet."""
        if self._commit > self._journal.commit:
            self._save_state()

    def begin_sync(self) -> int:
        """The journal's buffer is about to be written: return what `synced` wants to be told."""
        self._fresh = _NONE
        return self.last_index

    def synced(self, covered: int) -> None:
        """What was in the buffer at `begin_sync` is on disk."""
        self.durable = max(self.durable, min(covered, self._fresh - 1, self.last_index))

    # -- PySyncObj's side -------------------------------------------------------------------

    def add(self, command: bytes, idx: int, term: int) -> None:
        entry = (command, idx, term)
        self._journal.append(entry, commit=self._commit)
        self._fresh = min(self._fresh, idx)
        self._remember(entry)
        if command[0] == batch.CONFIGURATION_KIND:
            self._notice(entry)

    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        if isinstance(item, int):
            return self.entries[item]
        if item.stop is not None:
            return self.entries[item]
        # PySyncObj asks for "all from here on" to fill one message: give what fits into one.
        size_bytes = 0
        end: int = item.start
        while end < len(self.entries):
            size_bytes += len(self.entries[end][0])
            if size_bytes > APPEND_BYTES_MAX and end > item.start:
                break
            end += 1
        return self.entries[item.start : end]

    def __len__(self) -> int:
        return len(self.entries)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        self._commit = raftCommitIndex
        if self.membership.committed(raftCommitIndex):
            # Members may go for good because of it: that must not be forgotten.
            self._save_state()

    def getRaftCommitIndex(self) -> int:
        return self._commit

    def setCurrentTerm(self, term: int, votedForNodeId: int | None) -> None:
        self._term, self._vote = term, votedForNodeId
        self._save_state()

    def _save_state(self) -> None:
        vote = None if self._vote is None else f"{self._vote:x}"
        self._journal.save_state(self._term, vote, commit=self._commit)

    def getCurrentTerm(self) -> int:
        return self._term

    def getVotedForNodeId(self) -> int | None:
        return self._vote
