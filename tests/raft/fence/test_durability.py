"""What a crash leaves, and what may be promised before that is known."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from raft.batch import NO_OP, Peer
from raft.journal import Entry, Identity, Journal, JournalCorrupt, Recovered
from raft.log import Log
from raft.membership import Membership
from raft.messages import Append, Appended
from raft.records import ENTRY_DATA_MAX_BYTES
from tests.raft.fence.parliament import CLUSTER_ID, SEGMENT_BYTES, WAL, Parliament, entry
from tests.raft.simulated_disk import PowerLoss, SimulatedDisk

if TYPE_CHECKING:
    from raft.disk import Disk

A, B, C = 1, 2, 3
ME = Identity(CLUSTER_ID, A)


def open_journal(disk: Disk, first: tuple[Entry, ...] = ()) -> tuple[Journal, Recovered]:
    """Open a journal of small segments."""
    return Journal.open(disk, WAL, identity=ME, first=first, segment_bytes=SEGMENT_BYTES)


def a_disk() -> SimulatedDisk:
    """An empty disk."""
    disk = SimulatedDisk()
    disk.mkdir(WAL)
    return disk


def a_log(disk: SimulatedDisk, upto: int) -> tuple[Log, Journal]:
    """A log of so many entries, all of them durable."""
    first = (entry(b"", (A,)), 1, 1)
    journal, recovered = open_journal(disk, (first,))
    log = Log(journal, recovered, Membership(0, ()), 0)
    for index in range(2, upto + 1):
        log.add(entry(b"k%d" % index), index, 1)
    sync(log, journal)
    return log, journal


def sync(log: Log, journal: Journal) -> None:
    """Write what is buffered."""
    covered = log.begin_sync()
    journal.sync()
    log.synced(covered)


# -- acknowledgements ---------------------------------------------------------------------------


def test_an_acknowledgement_leaves_only_when_its_entries_are_on_disk() -> None:
    """Goal: a leader and one follower of three are a majority only if a crash of both keeps the
    entry. Method: the follower has received it, not synced, and loses power; the two others then
    elect one that never had it.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"k1")
    parliament.deliver(A, B)
    parliament.sync(A)
    parliament.deliver(B, A)
    assert parliament.turn(A) == [], "committed on one disk of three"
    parliament.crash(B)
    parliament.crash(A)
    parliament.restart(B)
    parliament.heal()
    parliament.elect(C, B)
    assert b"k1" not in parliament[B].commands

    parliament.propose(C, b"k2")
    parliament.deliver(C, B)
    parliament.sync(C)
    parliament.sync(B)
    parliament.deliver(B, C)
    assert parliament.turn(C) == [b"k2"]


def test_an_answer_to_what_is_there_already_waits_for_the_disk_as_well() -> None:
    """Goal: a copy of an append is not acknowledged earlier than the append. Method: twice the same
    append, then a sync.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"k1")
    parliament.double(A, B)
    parliament.deliver(A, B)
    assert parliament.take(B, A, Appended) == []
    parliament.sync(B)
    assert [answer.index for answer in parliament.take(B, A, Appended)] == [3, 3]


# -- crashes ------------------------------------------------------------------------------------


def test_a_copy_of_what_is_there_writes_nothing() -> None:
    """R06b, D2b. Goal: an identical batch that is sent again is not written again, so no crash can
    take what was acknowledged. Method: the same hundred entries twice, then a power loss.
    """
    parliament = Parliament(A, B)
    parliament.elect(A)
    for number in range(98):
        parliament.propose(A, b"k%d" % number)
    parliament.run()
    log = parliament[A].log.entries
    before = parliament[B].terms
    assert len(before) == 100
    parliament.tell(A, B, Append(2, 10, 2, 0, list(log[10:])))
    assert not parliament[B].journal.pending
    parliament.crash(B, random.Random(1))
    parliament.restart(B)
    assert parliament[B].terms == before


@pytest.mark.parametrize("seed", range(12))
def test_a_crash_while_a_tail_is_replaced_leaves_the_old_one_or_the_new_one(seed: int) -> None:
    """R06b, D2b. Goal: where entries are replaced, those before stay, and behind them is what was
    or a beginning of what is to be, never a mixture. Method: lose power before the sync.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    for number in range(6):
        parliament.propose(A, b"old%d" % number + bytes(400))
    parliament.deliver(A, B)
    parliament.sync(B)
    parliament.turn(B)
    new = [(entry(b"new%d" % index + bytes(400)), index, 7) for index in range(4, 9)]
    parliament.tell(C, B, Append(7, 3, 2, 0, new))
    parliament.crash(B, random.Random(seed))
    parliament.restart(B)
    terms = parliament[B].terms
    assert terms[:3] == [(1, 1), (2, 2), (3, 2)]
    behind = [term for _index, term in terms[3:]]
    assert behind == [2] * 5 or behind == [7] * len(behind)


def test_a_crash_in_a_compaction_takes_nothing_that_stays() -> None:
    """R06, D2. Goal: wherever a compaction is cut short, what should stay is there. Method: lose
    power at each of its operations in turn.
    """
    operations = 0
    while True:
        disk = a_disk()
        log, journal = a_log(disk, 5)
        for index in range(6, 400):
            log.add(entry(bytes(1000)), index, 1)
            if index % 10 == 0:
                sync(log, journal)
        journal.mark_snapshot(300, 1)
        sync(log, journal)
        assert journal.segments > 4
        disk.lose_power_after(operations)
        try:
            journal.compact(301)
            return
        except PowerLoss:
            disk.crash(random.Random(operations))
        _journal, recovered = open_journal(disk)
        assert recovered.entries[0][1] <= 301
        assert recovered.entries[-1][1] == 399
        operations += 1


def test_nothing_in_the_log_is_counted_in_32_bits() -> None:
    """R08, D4. Goal: a log that has grown for years goes on: offsets begin anew with each segment,
    indexes and terms are 64 bits wide, and one entry cannot be too large for a file. Method: go on
    behind a snapshot with a huge index and term; offer an entry that is over the bound.
    """
    disk = a_disk()
    _log, journal = a_log(disk, 3)
    index, term = 1 << 40, 1 << 33
    journal.mark_snapshot(index, term)
    journal.append((entry(b"k"), index + 1, term), commit=index)
    journal.save_state(term, f"{(1 << 64) - 1:x}")
    journal.sync()
    _journal, recovered = open_journal(disk)
    assert [(e[1], e[2]) for e in recovered.entries] == [(index + 1, term)]
    assert (recovered.term, recovered.vote) == (term, "f" * 16)
    assert recovered.snapshot == (index, term)

    class Huge(bytes):
        def __len__(self) -> int:
            return ENTRY_DATA_MAX_BYTES + 1

    with pytest.raises(ValueError, match="bytes"):
        journal.append((Huge(), index + 2, term), commit=0)


def test_a_flipped_bit_is_not_accepted() -> None:
    """R09, D5. Goal: a member does not vote or serve on a log that was damaged. Method: flip a bit
    of an acknowledged entry at rest and start.
    """
    parliament = Parliament(A, B)
    parliament.elect(A)
    parliament.propose(A, b"B" * 64)
    parliament.run()
    disk = parliament[B].disk
    parliament.crash(B)
    [name] = [name for name in disk.listdir(WAL) if name.endswith(".log")]
    offset = disk.content(f"{WAL}/{name}").index(b"B" * 64)
    disk.flip(f"{WAL}/{name}", 8 * offset)
    with pytest.raises(JournalCorrupt):
        parliament.restart(B)


# -- what is committed ---------------------------------------------------------------------------


def test_the_commit_index_is_never_beyond_the_log() -> None:
    """R21, D7. Goal: a commit index known from before a crash that took a part of the log commits
    nothing that comes there later. Method: recover a log that ends before it; let the member be
    elected, cut it off and propose.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    for number in range(4):
        parliament.propose(A, b"k%d" % number)
    parliament.run(A, B)
    parliament.crash(A)
    seat = parliament[A]
    journal, recovered = seat.open()
    seat.begin(journal, replace(recovered, commit=30))
    parliament.up.add(A)
    assert seat.log.getRaftCommitIndex() == seat.engine.commit_index == 6
    parliament.heal()
    parliament.elect(A, B)
    parliament.partition({A}, {B, C})
    for number in range(30):
        parliament.propose(A, b"solo%d" % number)
    parliament.sync(A)
    assert parliament.turn(A) == []
    assert seat.engine.commit_index == 7


def test_a_restart_knows_what_was_committed() -> None:
    """Goal: a member that comes back alone applies what it had applied, as far as a later record
    says so, and nothing beyond. Method: restart without anybody to ask.
    """
    parliament = Parliament(A, B)
    parliament.elect(A)
    parliament.propose(A, b"k1")
    parliament.run()
    parliament.propose(A, b"k2")
    for member in (A, B):
        parliament.sync(member)
    parliament.drop(B, A)
    parliament.crash(A)
    parliament.restart(A)
    parliament.turn(A)
    assert parliament[A].applied_commands == [b"k1"]
    assert parliament[A].commands == [b"k1", b"k2"]


# -- the log over the journal --------------------------------------------------------------------


def test_replacing_entries_takes_back_that_they_are_durable() -> None:
    """Goal: `durable` speaks of the entries as they are now, also when a write of the old ones is
    under way. Method: truncate and replace before, during and after a write.
    """
    log, journal = a_log(a_disk(), 6)
    assert log.durable == 6
    log.truncate(5)
    assert log.durable == 4
    log.add(entry(b"other"), 5, 2)
    assert log.durable == 4
    log.add(entry(b"more"), 6, 2)
    covered = log.begin_sync()
    chunk = journal.take()
    log.truncate(6)
    log.add(entry(b"yet other"), 6, 3)
    log.add(entry(b"and more"), 7, 3)
    journal.write(chunk)
    log.synced(covered)
    assert log.durable == 5
    sync(log, journal)
    assert log.durable == 7


def test_what_is_added_during_a_write_is_not_durable_with_it() -> None:
    """Goal: a write covers what was there when it began. Method: add during a write."""
    log, journal = a_log(a_disk(), 3)
    log.add(entry(b"k"), 4, 1)
    covered = log.begin_sync()
    chunk = journal.take()
    log.add(entry(b"k"), 5, 1)
    journal.write(chunk)
    log.synced(covered)
    assert log.durable == 4


@pytest.mark.parametrize("added", ["before", "after"])
def test_a_write_of_an_old_log_says_nothing_of_one_behind_a_snapshot(added: str) -> None:
    """Goal: as above, when a snapshot has replaced the log meanwhile. Method: replace during a
    write, and add before or after its end.
    """
    log, journal = a_log(a_disk(), 3)
    for index in range(4, 60):
        log.add(entry(b"dead"), index, 1)
    covered = log.begin_sync()
    chunk = journal.take()
    journal.mark_snapshot(20, 2)
    log.replace(20, 2, commands=20)
    assert (log.first_index, log.last_index, log.last_term, log.durable) == (20, 20, 2, 20)
    if added == "before":
        log.add(entry(b"k"), 21, 2)
    journal.write(chunk)
    log.synced(covered)
    if added == "after":
        log.add(entry(b"k"), 21, 2)
    assert log.durable == 20


def test_the_log_counts_commands_through_everything() -> None:
    """Goal: the number of commands up to an index, by which snapshots are taken and windows kept,
    survives truncation, compaction and replacement. Method: count.
    """
    log, journal = a_log(a_disk(), 6)
    assert [log.commands_up_to(index) for index in range(1, 7)] == [1, 2, 3, 4, 5, 6]
    log.truncate(5)
    log.add(NO_OP, 5, 2)
    log.add(entry(b"k"), 6, 2)
    assert [log.commands_up_to(index) for index in range(1, 7)] == [1, 2, 3, 4, 4, 5]
    size_bytes = log.size_bytes
    log.compact(3)
    assert (log.first_index, log.commands_up_to(6)) == (3, 5)
    assert log.size_bytes == sum(len(data) for data, _index, _term in log.entries) < size_bytes
    assert log.window_start(6, commands=2, size_bytes=1 << 20) == 3
    assert log.window_start(6, commands=100, size_bytes=1 << 20) == 3
    assert log.window_start(6, commands=100, size_bytes=len(entry(b"k")) + 1) == 4
    journal.mark_snapshot(50, 9)
    log.replace(50, 9, commands=44)
    log.add(entry(b"k"), 51, 9)
    assert log.commands_up_to(51) == 45


def test_a_log_begins_with_what_is_there() -> None:
    """Goal: without entries a log has a base to go on from: the snapshot, or nothing. Method:
    recover both.
    """
    for snapshot, base in (((70, 3), (70, 3)), (None, (0, 0))):
        recovered = Recovered(3, None, [], 0, snapshot, ME, None)
        log = Log(open_journal(a_disk())[0], recovered, Membership(0, (Peer(A, ()),)), 9)
        assert (log.first_index, log.last_term) == base
        assert log.getRaftCommitIndex() == base[0]
