"""The log as PySyncObj sees it: a list in memory over the journal on disk.

Laws:

* What PySyncObj adds or votes is in the journal's buffer when the call returns, and on disk after
  the driver's next sync; nothing here waits for a disk.
* The list begins with the *base*, the last entry that compaction has thrown away in spirit: it is
  there for its index and term.
* The commit index is volatile, as in Raft. Each journal record carries it as a lower bound, so a
  restart knows what it may apply before anyone else answers.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from pysyncobj.journal import Journal as PySyncObjJournal

from raft import batch

if TYPE_CHECKING:
    from raft.journal import Entry, Journal, Recovered


class Log(PySyncObjJournal):  # type: ignore[misc]  # PySyncObj has no types
    """PySyncObj's Journal interface, on ours."""

    def __init__(self, journal: Journal, recovered: Recovered, commands_before: int) -> None:
        """`commands_before`: how many commands were applied before the first recovered entry."""
        self._journal = journal
        self._term = recovered.term
        self._vote = recovered.vote
        self._commit = min(recovered.commit, recovered.entries[-1][1])
        self.entries: list[Entry] = []
        # Commands in the log up to and including each entry, and the bytes the entries hold.
        self._totals: list[int] = []
        self._total = commands_before
        self.size_bytes = 0
        # Bytes of all batches ever added here, for the driver to see what the engine has taken.
        self.added_bytes = 0
        for entry in recovered.entries:
            self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        self._total += batch.count(entry[0])
        self.entries.append(entry)
        self._totals.append(self._total)
        self.size_bytes += len(entry[0])

    # -- our side ---------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        return self.entries[0][1]

    @property
    def last_index(self) -> int:
        return self.entries[-1][1]

    def term_at(self, index: int) -> int:
        return self.entries[index - self.first_index][2]

    def commands_up_to(self, index: int) -> int:
        """Return how many commands the log has ever held up to `index`."""
        return self._totals[index - self.first_index]

    def window_start(self, index: int, *, commands: int, size_bytes: int) -> int:
        """Return where a trailing window that ends at `index` begins.

        It holds at least the last `commands` commands, unless these are more than `size_bytes`.
        """
        end = index - self.first_index
        position = bisect_left(self._totals, self._totals[end] - commands)
        kept_bytes = 0
        for newest in range(end, position, -1):
            kept_bytes += len(self.entries[newest][0])
            if kept_bytes > size_bytes:
                return self.entries[newest][1]
        return self.entries[position][1]

    def compact(self, base: int) -> None:
        """Drop the entries before `base` from memory."""
        drop = base - self.first_index
        if drop > 0:
            self.size_bytes -= sum(len(entry[0]) for entry in self.entries[:drop])
            del self.entries[:drop]
            del self._totals[:drop]

    # -- PySyncObj's side -------------------------------------------------------------------

    def add(self, command: bytes, idx: int, term: int) -> None:
        entry = (command, idx, term)
        self._journal.append(entry, commit=self._commit)
        if command[0] == batch.KIND:
            self.added_bytes += len(command)
        self._remember(entry)

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        # The journal needs no record of this: the next entry at a lower index truncates it.
        self.size_bytes -= sum(len(entry[0]) for entry in self.entries[entryFrom:])
        del self.entries[entryFrom:]
        del self._totals[entryFrom:]
        self._total = self._totals[-1]

    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self.entries[item]

    def __len__(self) -> int:
        return len(self.entries)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        self._commit = raftCommitIndex

    def getRaftCommitIndex(self) -> int:
        return self._commit

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        self._term, self._vote = term, votedForNodeId
        self._journal.save_state(term, votedForNodeId)

    def getCurrentTerm(self) -> int:
        return self._term

    def getVotedForNodeId(self) -> str | None:
        return self._vote
