"""What the records of a journal add up to, without the data: the same rules live and in replay.

Laws:
* Entries are contiguous. An entry at or below the last one replaces the suffix from its index on.
* Terms of entries never fall along the log.
* The term never falls; within a term the vote is given once and never taken back.
* Snapshot marks never go back. A mark beyond the log, or at an entry of another term, means that
  a snapshot from elsewhere replaced the log: the entries are void, the next one follows the mark.

It does not: know what is durable, or hold entries.
"""

from bisect import bisect_right


class OutlineError(ValueError):
    """A record that contradicts the ones before it."""


class Outline:
    """The shape of the log: its bounds, the terms along it, hard state, commit, snapshot mark."""

    __slots__ = ("_starts", "_terms", "commit", "first", "mark", "next", "term", "vote")

    def __init__(self) -> None:
        self.first = 0  # index of the first entry; `next` if there is none
        self.next = 0  # index of the entry that would continue the log; 0: any may begin it
        self.commit = 0
        self.term = 0
        self.vote: str | None = None
        self.mark: tuple[int, int] | None = None
        self._starts: list[int] = []  # where along the log a term begins, ...
        self._terms: list[int] = []  # ... and which

    def __len__(self) -> int:
        """Return the number of entries."""
        return self.next - self.first

    def begin_at(self, index: int) -> None:
        """Let an empty log begin at an index: what came before is gone."""
        self.first = self.next = index

    def term_at(self, index: int) -> int:
        """Return the term of an entry that is in the log."""
        return self._terms[bisect_right(self._starts, index) - 1]

    def entry(self, index: int, term: int) -> None:
        """Take an entry: the next one, or one that replaces a suffix."""
        terms = self._terms
        if index == self.next and terms and terms[-1] == term:
            self.next = index + 1
            return
        if not self.next:
            self.first = index
        elif index > self.next:
            raise OutlineError(f"entry {index} where {self.next} is due")
        if index < 1:
            raise OutlineError(f"entry {index}: indexes begin at 1")
        if index > self.first and term < self.term_at(index - 1):
            raise OutlineError(f"entry {index} has term {term}, the one before a higher one")
        while self._starts and self._starts[-1] >= index:
            self._starts.pop()
            terms.pop()
        self.first = min(self.first, index)
        if not terms or terms[-1] != term:
            self._starts.append(index)
            terms.append(term)
        self.next = index + 1

    def state(self, term: int, vote: str | None) -> None:
        """Take a hard state."""
        if term < self.term:
            raise OutlineError(f"the term goes back from {self.term} to {term}")
        if term == self.term and self.vote is not None and vote != self.vote:
            raise OutlineError(f"in term {term} the vote goes from {self.vote} to {vote}")
        self.term, self.vote = term, vote

    def snapshot(self, index: int, term: int) -> bool:
        """Take a snapshot mark; tell whether it made the entries void."""
        if self.mark is not None:
            if (index, term) == self.mark:
                return False
            if index <= self.mark[0] or term < self.mark[1]:
                raise OutlineError(f"the snapshot mark goes back from {self.mark} to {index, term}")
        self.mark = (index, term)
        if index < self.next and (index < self.first or self.term_at(index) == term):
            return False
        self._starts.clear()
        self._terms.clear()
        self.begin_at(index + 1)
        return True
