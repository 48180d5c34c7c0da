"""The journal under random histories: what was synced survives, nothing is invented."""

import dataclasses
import os
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raft.journal import Chunk, Entry, Identity, Journal, Recovered
from tests.raft.simulated_disk import PowerLoss, SimulatedDisk

ME = Identity(7, 9)
DIRECTORY = "/wal"
SEGMENT_BYTES = 4096
EXAMPLES = int(os.environ.get("PYETCD_CRASH_EXAMPLES", "300"))


@dataclasses.dataclass(frozen=True)
class State:
    """What a journal should recover to."""

    term: int = 0
    vote: str | None = None
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    snapshot: tuple[int, int] | None = None

    @property
    def next(self) -> int:
        if self.entries:
            return self.entries[-1][1] + 1
        return self.snapshot[0] + 1 if self.snapshot else 1

    def agrees(self, found: Recovered, compacted: int) -> bool:
        """Tell whether the journal recovered this, give or take entries that may be gone."""
        first = found.entries[0][1] if found.entries else self.next
        wanted = [entry for entry in self.entries if entry[1] >= first]
        gone = self.entries and self.entries[0][1] < first
        return (
            (self.term, self.vote, self.commit, self.snapshot)
            == (found.term, found.vote, found.commit, found.snapshot)
            and wanted == found.entries
            and (not gone or first <= compacted)
        )


class History:
    """A journal driven at random, and every state it went through since the last sync."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.disk = SimulatedDisk()
        self.states = [State()]  # the first one is durable
        self.compacted = 0
        self.taken: list[tuple[Chunk, int]] = []  # and how many states it makes durable
        self.journal: Journal
        self.reopen()

    def reopen(self) -> None:
        self.taken = []
        while True:
            if self.chance.random() < 0.3:
                self.disk.lose_power_after(self.chance.randrange(8))
            try:
                self.journal, found = Journal.open(
                    self.disk, DIRECTORY, identity=ME, segment_bytes=SEGMENT_BYTES
                )
            except PowerLoss:
                self.disk.crash(self.chance)
                continue
            break
        self.disk.calm()
        agreeing = [state for state in self.states if state.agrees(found, self.compacted)]
        assert agreeing, (found, self.states)
        # What was compacted away must not be expected later.
        self.states = [dataclasses.replace(agreeing[-1], entries=tuple(found.entries))]

    def data(self) -> bytes:
        size = self.chance.choice((0, 5, 30, 300, 470, 490, 1000, 2500, 6000))
        kind = self.chance.randrange(4)
        if kind == 0:
            return bytes(size)
        if kind == 1:
            return bytes(size // 2) + b"\1" + bytes(size // 2)
        if kind == 2:
            return bytes([self.chance.randrange(256)]) * size
        return self.chance.randbytes(size)

    def append(self) -> None:
        for _ in range(self.chance.choice((1, 1, 2, 5, 12))):
            state = self.states[-1]
            index = state.next
            if state.entries and self.chance.random() < 0.15:
                lowest = max(state.entries[0][1], state.commit + 1)
                index = self.chance.randint(min(lowest, index), index)
            kept = tuple(entry for entry in state.entries if entry[1] < index)
            before = kept[-1][2] if kept else (state.snapshot or (0, 0))[1]
            entry = (self.data(), index, max(before, state.term))
            commit = max(state.commit, index - self.chance.choice((1, 1, 5)))
            self.journal.append(entry, commit=commit)
            self.states.append(dataclasses.replace(state, entries=(*kept, entry), commit=commit))

    def save_state(self) -> None:
        state = self.states[-1]
        vote = self.chance.choice((None, "a", "8e9e05c52164694d"))
        term = state.term + 1 if state.vote else state.term + self.chance.randrange(2)
        self.journal.save_state(term, vote)
        self.states.append(dataclasses.replace(state, term=term, vote=vote))

    def mark(self) -> None:
        state = self.states[-1]
        terms = {index: term for _, index, term in state.entries}
        old_index, old_term = state.snapshot or (0, 0)
        if self.chance.random() < 0.2:  # a snapshot from elsewhere
            index, term = max(state.next, old_index + 1) + 3, max(state.term, old_term)
        else:
            candidates = [index for index in terms if index > old_index]
            if not candidates:
                return
            index = self.chance.choice(candidates)
            term = terms[index]
        self.journal.mark_snapshot(index, term)
        entries = state.entries if terms.get(index) == term else ()
        self.states.append(dataclasses.replace(state, snapshot=(index, term), entries=entries))

    def take(self) -> None:
        self.taken.append((self.journal.take(), len(self.states) - 1))

    def write(self) -> None:
        while self.taken:
            chunk, count = self.taken[0]
            self.journal.write(chunk)
            self.taken.pop(0)
            self.states = self.states[count:]
            self.taken = [(later, number - count) for later, number in self.taken]

    def sync(self) -> None:
        self.take()
        self.write()

    def compact(self) -> None:
        mark = self.states[-1].snapshot
        if mark is not None:
            self.compacted = max(self.compacted, mark[0] + 1)
            self.journal.compact(self.chance.randint(max(0, mark[0] - 5), mark[0] + 1))

    def prepare(self) -> None:
        self.journal.prepare()

    def crash(self) -> None:
        self.disk.crash(self.chance if self.chance.random() < 0.9 else None)
        self.reopen()

    def kill(self) -> None:
        self.disk.kill()
        self.reopen()

    def step(self) -> None:
        call = self.chance.choices(
            (
                self.append,
                self.save_state,
                self.mark,
                self.take,
                self.write,
                self.sync,
                self.compact,
                self.prepare,
                self.crash,
                self.kill,
            ),
            (12, 4, 3, 3, 3, 6, 2, 2, 2, 1),
        )[0]
        if self.chance.random() < 0.05:
            self.disk.lose_power_after(self.chance.randrange(6))
        if self.chance.random() < 0.02:
            self.disk.fail_sync_after(0)
        try:
            call()
        except (PowerLoss, OSError):
            if self.chance.random() < 0.3:
                self.kill()
            else:
                self.crash()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 120))
@example(0, 120)
def test_synced_records_survive_and_nothing_is_invented(seed: int, steps: int) -> None:
    """Goal: after any history of writes, crashes, kills and failed syncs, `open` recovers a state
    the journal went through at or after its last sync, and never calls the journal corrupt.

    Method: a model keeps every state since the last sync; crashes keep random sectors of unsynced
    writes and random directory changes, also in the middle of an operation and of `open` itself.
    """
    history = History(random.Random(seed))
    for _ in range(steps):
        history.step()
    history.crash()


@pytest.mark.parametrize("seed", range(40))
def test_long_histories(seed: int) -> None:
    """Goal and method: as above, with histories long enough for many segments and compactions."""
    history = History(random.Random(seed))
    for _ in range(400):
        history.step()
    history.crash()
    assert history.compacted or history.states
