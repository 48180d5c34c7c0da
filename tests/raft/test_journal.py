"""The journal, case by case: what is written is recovered, and what is damaged is refused."""

import errno
import os
import random
import threading

import pytest

from raft.disk import RealDisk
from raft.journal import Identity, IdentityMismatch, Journal, JournalCorrupt, Recovered
from raft.records import HEADER_BYTES
from tests.raft.simulated_disk import PowerLoss, SimulatedDisk

ME = Identity(0xCDF818194E3A8C32, 0x8E9E05C52164694D)
VOTE = "8e9e05c52164694d"
DIRECTORY = "/wal"
SMALL = 8192


def begin(disk: SimulatedDisk, segment_bytes: int = SMALL) -> tuple[Journal, Recovered]:
    return Journal.open(disk, DIRECTORY, identity=ME, segment_bytes=segment_bytes)


def fill(journal: Journal, first: int, last: int, size: int = 300, term: int = 1) -> None:
    """Append and sync entries one by one."""
    for index in range(first, last + 1):
        journal.append(
            (f"{index}.{term}.".encode().ljust(size, b"x"), index, term), commit=index - 1
        )
        journal.sync()


def indexes(recovered: Recovered) -> list[int]:
    return [index for _, index, _ in recovered.entries]


def names(disk: SimulatedDisk) -> list[str]:
    return disk.listdir(DIRECTORY)


def test_fresh_directory() -> None:
    """Goal: an empty directory becomes an empty log. Method: open, look, open without identity."""
    disk = SimulatedDisk()
    journal, found = begin(disk)
    assert found == Recovered(0, None, [], 0, None, ME, None)
    assert names(disk) == [f"{1:016x}.log"]
    assert (journal.segments, journal.size_bytes, journal.pending) == (1, SMALL, False)
    disk.crash()
    _, again = Journal.open(disk, DIRECTORY, identity=None)
    assert again.identity == ME


def test_no_journal_and_no_identity() -> None:
    """Goal: nothing is invented. Method: open an empty directory with identity None."""
    with pytest.raises(JournalCorrupt, match="the log is gone; the member refuses to start"):
        Journal.open(SimulatedDisk(), DIRECTORY, identity=None)


def test_round_trip_on_a_real_file_system(tmp_path: os.PathLike[str]) -> None:
    """Goal: everything comes back, through real files. Method: write, roll, reopen; see modes."""
    directory = os.path.join(tmp_path, "wal")
    journal, _ = Journal.open(RealDisk(), directory, identity=ME, segment_bytes=SMALL)
    entries = [(os.urandom(index * 40), index, 1 + index // 30) for index in range(1, 100)]
    journal.save_state(5, VOTE)
    for entry in entries:
        journal.append(entry, commit=entry[1] // 2)
    assert journal.pending
    journal.sync()
    assert not journal.pending
    assert journal.segments > 10
    journal.close()
    _, found = Journal.open(RealDisk(), directory, identity=ME)
    assert found == Recovered(5, VOTE, entries, 49, None, ME, None)
    assert os.stat(directory).st_mode & 0o777 == 0o700
    for name in os.listdir(directory):
        assert os.stat(os.path.join(directory, name)).st_mode & 0o777 == 0o600


def test_one_write_and_one_sync_per_batch() -> None:
    """Goal: a batch costs one pwrite and one fdatasync. Method: count them for 1 and 20 records."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    for count in (1, 20):
        before = disk.writes, disk.syncs
        for _ in range(count):
            journal.append((b"x", journal._outline.next or 1, 1), commit=0)
        journal.sync()
        assert (disk.writes - before[0], disk.syncs - before[1]) == (1, 1)
    before = disk.writes, disk.syncs
    journal.sync()
    assert (disk.writes, disk.syncs) == before


def test_an_entry_at_a_lower_index_replaces_the_suffix() -> None:
    """Goal: the later record wins. Method: append 1-10, then 4-6 in a new term, reopen."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 10)
    fill(journal, 4, 6, term=2)
    disk.crash()
    _, found = begin(disk)
    assert [(index, term) for _, index, term in found.entries] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 2),
        (6, 2),
    ]
    assert found.entries[3][0].startswith(b"4.2.")


def test_live_misuse_is_refused() -> None:
    """Goal: a contradiction never reaches the disk. Method: gaps, falling terms, changed votes."""
    journal, _ = begin(SimulatedDisk())
    fill(journal, 1, 3, term=5)
    for entry in ((b"", 5, 5), (b"", 4, 4)):
        with pytest.raises(ValueError, match="entry"):
            journal.append(entry, commit=0)
    journal.save_state(6, VOTE)
    for term, vote in ((5, VOTE), (6, None), (6, "other")):
        with pytest.raises(ValueError, match="the"):
            journal.save_state(term, vote)
    journal.mark_snapshot(2, 5)
    with pytest.raises(ValueError, match="mark"):
        journal.mark_snapshot(1, 5)


def test_marks_keep_or_void_the_log() -> None:
    """Goal: an own snapshot keeps the log, a foreign one voids it. Method: each, then reopen."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 9)
    journal.mark_snapshot(5, 1)
    journal.sync()
    disk.crash()
    journal, found = begin(disk)
    assert (indexes(found), found.snapshot) == (list(range(1, 10)), (5, 1))
    journal.mark_snapshot(8, 2)  # entry 8 has term 1 here: the log diverged
    fill(journal, 9, 10, term=2)
    disk.crash()
    journal, found = begin(disk)
    assert (indexes(found), found.snapshot) == ([9, 10], (8, 2))
    journal.mark_snapshot(1000, 3)
    with pytest.raises(ValueError, match="1002"):
        journal.append((b"", 1002, 3), commit=0)
    fill(journal, 1001, 1001, term=3)
    disk.crash()
    _, found = begin(disk)
    assert (indexes(found), found.snapshot) == ([1001], (1000, 3))


def test_compaction_removes_whole_covered_segments() -> None:
    """Goal: only segments whose entries are all covered go, and nothing else is lost.

    Method: fill many segments, mark, compact, crash, reopen; again without a mark.
    """
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    journal.save_state(3, VOTE)
    fill(journal, 1, 200)
    many = journal.segments
    journal.compact(100)
    assert journal.segments == many  # no mark: nothing stands for the beginning
    journal.mark_snapshot(120, 1)
    journal.compact(100)
    assert journal.segments == many  # the mark is not durable yet
    journal.sync()
    journal.compact(100)
    assert journal.segments < many
    disk.crash()
    journal, found = begin(disk)
    assert (found.term, found.vote, found.snapshot, found.commit) == (3, VOTE, (120, 1), 199)
    assert 60 < indexes(found)[0] <= 100
    assert indexes(found) == list(range(indexes(found)[0], 201))
    journal.compact(10_000)  # never beyond the mark
    disk.crash()
    _, found = begin(disk)
    assert 100 < indexes(found)[0] <= 121
    assert indexes(found)[-1] == 200


def test_compaction_never_removes_the_last_segment() -> None:
    """Goal: there is always a log. Method: mark far ahead, compact all, reopen."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 50)
    journal.mark_snapshot(500, 4)
    journal.sync()
    journal.compact(501)
    assert journal.segments == 1
    disk.crash()
    _, found = begin(disk)
    assert (found.entries, found.snapshot) == ([], (500, 4))


@pytest.mark.parametrize("size", [SMALL - 600, SMALL, 100_000, 1 << 20])
def test_a_record_larger_than_a_segment(size: int) -> None:
    """Goal: a large record gets a segment of its own size. Method: small, large, small, reopen."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    datas = [b"first", os.urandom(size), b"last", bytes(size)]
    for index, data in enumerate(datas, 1):
        journal.append((data, index, 1), commit=0)
        journal.sync()
    disk.crash()
    _, found = begin(disk)
    assert [data for data, _, _ in found.entries] == datas


def test_sixteen_mebibytes_in_one_entry(tmp_path: os.PathLike[str]) -> None:
    """Goal: the largest snapshot-free proposal fits. Method: 16 MiB, on the real disk."""
    journal, _ = Journal.open(RealDisk(), str(tmp_path), identity=ME, segment_bytes=SMALL)
    data = random.Random(1).randbytes(16 << 20)
    journal.append((data, 1, 1), commit=0)
    journal.sync()
    journal.close()
    _, found = Journal.open(RealDisk(), str(tmp_path), identity=ME)
    assert found.entries == [(data, 1, 1)]


def test_prepared_segments_are_used() -> None:
    """Goal: the roll takes the prepared file. Method: prepare when asked; count the files."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    assert not journal.needs_preparing
    fill(journal, 1, 15)
    assert journal.needs_preparing
    journal.prepare()
    journal.prepare()
    assert not journal.needs_preparing
    assert journal.size_bytes == 2 * SMALL
    assert len(names(disk)) == 2
    fill(journal, 16, 30)
    assert names(disk) == [f"{1:016x}.log", f"{2:016x}.log"]
    journal.prepare()
    disk.kill()
    _, found = begin(disk)
    assert indexes(found) == list(range(1, 31))
    assert len(names(disk)) == 2  # the unused spare is gone


def test_prepare_while_the_last_spare_gets_its_name() -> None:
    """Goal: a new spare never takes the file of one that is about to be renamed.

    Method: let the rename of a roll run `prepare` first, as another thread could; then roll again.
    """
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    journal.prepare()
    rename = disk.rename

    def prepare_and_rename(old: str, new: str) -> None:
        journal.prepare()
        rename(old, new)

    disk.rename = prepare_and_rename  # type: ignore[method-assign]
    fill(journal, 1, 60)
    disk.crash()
    assert indexes(begin(disk)[1]) == list(range(1, 61))


def test_prepare_races_append(tmp_path: os.PathLike[str]) -> None:
    """Goal: prepare in a thread never disturbs append, write or compact.

    Method: one thread prepares all the time, one compacts, while 600 entries roll segments.
    """
    journal, _ = Journal.open(RealDisk(), str(tmp_path), identity=ME, segment_bytes=SMALL)
    done = threading.Event()
    failures: list[BaseException] = []

    def repeat(call: str, *arguments: int) -> None:
        try:
            while not done.is_set():
                getattr(journal, call)(*arguments)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=repeat, args=("prepare",)),
        threading.Thread(target=repeat, args=("compact", 1 << 60)),
    ]
    for thread in threads:
        thread.start()
    for index in range(1, 601):
        journal.append((b"x" * 400, index, 1), commit=0)
        if index % 10 == 0:
            journal.mark_snapshot(index - 5, 1)
            journal.sync()
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    journal.close()
    _, found = Journal.open(RealDisk(), str(tmp_path), identity=ME)
    assert indexes(found)[-1] == 600
    assert found.snapshot == (595, 1)


def test_chunks_are_written_in_order_and_once() -> None:
    """Goal: the driver cannot reorder writes. Method: hand them in wrongly; then rightly."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    journal.append((b"a", 1, 1), commit=0)
    first = journal.take()
    journal.append((b"b", 2, 1), commit=0)
    second = journal.take()
    with pytest.raises(RuntimeError):
        journal.write(second)
    journal.write(first)
    with pytest.raises(RuntimeError):
        journal.write(first)
    journal.write(second)
    disk.crash()
    assert indexes(begin(disk)[1]) == [1, 2]


def test_another_identity_is_refused() -> None:
    """Goal: a foreign data directory does not start. Method: open with another member's id."""
    disk = SimulatedDisk()
    begin(disk)
    for other in (Identity(ME.cluster_id, 1), Identity(1, ME.member_id)):
        with pytest.raises(IdentityMismatch, match="not of member"):
            Journal.open(disk, DIRECTORY, identity=other)


def test_a_real_etcd_log_is_refused() -> None:
    """Goal: real etcd's data is not mistaken for an empty log. Method: put a .wal file there."""
    disk = SimulatedDisk()
    disk.mkdir(DIRECTORY)
    disk.open(f"{DIRECTORY}/0000000000000000-0000000000000000.wal", create=True)
    with pytest.raises(JournalCorrupt, match="another etcd implementation"):
        begin(disk)


def test_a_torn_end_is_cut_off_and_reported() -> None:
    """Goal: the repair says what it did, once. Method: lose one sector of a 2 KiB record."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 3)
    end = journal._offset
    journal.append((b"y" * 2000, 4, 1), commit=0)
    chunk = journal.take()
    journal.write(chunk)
    path = f"{DIRECTORY}/{1:016x}.log"
    content = bytearray(disk.content(path))
    content[2048:2560] = bytes(512)
    disk.overwrite(path, bytes(content))
    disk.kill()
    _, found = begin(disk)
    assert indexes(found) == [1, 2, 3]
    assert found.repaired is not None
    assert path in found.repaired
    assert f"offset {end}" in found.repaired
    disk.crash()
    assert begin(disk)[1].repaired is None
    assert not any(disk.content(path)[end:])


@pytest.mark.parametrize("cut", [1, 15, 320, 330, 700, 1000, 3000])
def test_a_short_last_file_is_repaired(cut: int) -> None:
    """Goal: a file that ends inside a record is torn. Method: shorten it; append; reopen."""
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 10)
    path = f"{DIRECTORY}/{1:016x}.log"
    disk.overwrite(path, disk.content(path)[: journal._offset - cut])
    disk.kill()
    journal, found = begin(disk)
    assert found.repaired is not None
    kept = len(found.entries)
    assert kept == 10 - -(-cut // 352)
    assert len(disk.content(path)) == SMALL
    fill(journal, kept + 1, 40)
    disk.crash()
    assert indexes(begin(disk)[1]) == list(range(1, 41))


def test_a_failed_sync_stops_the_journal() -> None:
    """Goal: after EIO nothing more is written, and what was durable stays.

    Method: fail the sync of entry 4; then lose power. The page cache showed 4 as clean.
    """
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 3)
    disk.fail_sync_after(0)
    with pytest.raises(OSError, match="simulated"):
        fill(journal, 4, 4)
    with pytest.raises(RuntimeError):
        journal.sync()
    disk.crash()
    assert indexes(begin(disk)[1]) == [1, 2, 3]


def test_open_writes_the_last_batch_again() -> None:
    """Goal: what a failed fdatasync left only in the page cache is made durable before use.

    Method: fail the sync of entry 4, end the process, open (sees 4), lose power, open: still 4.
    """
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 3)
    disk.fail_sync_after(0)
    with pytest.raises(OSError, match="simulated"):
        fill(journal, 4, 4)
    disk.kill()
    assert indexes(begin(disk)[1]) == [1, 2, 3, 4]
    disk.crash()
    assert indexes(begin(disk)[1]) == [1, 2, 3, 4]


def test_a_full_disk_while_preparing() -> None:
    """Goal: ENOSPC in prepare harms nothing. Method: fill the disk, prepare, free it, prepare."""
    disk = SimulatedDisk(capacity_bytes=SMALL + 100)
    journal, _ = begin(disk)
    fill(journal, 1, 15)
    with pytest.raises(OSError, match="space") as failure:
        journal.prepare()
    assert failure.value.errno == errno.ENOSPC
    assert names(disk) == [f"{1:016x}.log"]
    fill(journal, 16, 18)
    assert journal.needs_preparing
    disk.capacity_bytes *= 3
    journal.prepare()
    fill(journal, 19, 30)
    disk.crash()
    assert indexes(begin(disk)[1]) == list(range(1, 31))


def test_a_full_disk_while_appending() -> None:
    """Goal: ENOSPC at a roll propagates and what was durable stays. Method: no room to roll."""
    disk = SimulatedDisk(capacity_bytes=SMALL + 100)
    journal, _ = begin(disk)
    with pytest.raises(OSError, match="space"):
        fill(journal, 1, 100)
    last = journal._outline.next - 1
    disk.kill()
    _, found = begin(disk)
    assert indexes(found) == list(range(1, last))
    assert names(disk) == [f"{1:016x}.log"]


def test_a_fresh_start_on_a_full_disk() -> None:
    """Goal: no half-made journal is left. Method: no room for the first segment; then some."""
    disk = SimulatedDisk(capacity_bytes=100)
    with pytest.raises(OSError, match="space"):
        begin(disk)
    assert names(disk) == []
    disk.capacity_bytes = 1 << 20
    begin(disk)


def build(disk: SimulatedDisk) -> Recovered:
    """Make a journal of several segments with all kinds of records, synced and at rest."""
    journal, _ = begin(disk, 4096)
    journal.save_state(1, VOTE)
    fill(journal, 1, 12, size=500)
    journal.mark_snapshot(3, 1)
    fill(journal, 10, 16, size=700, term=2)
    journal.save_state(4, None)
    journal.append((bytes(900), 17, 2), commit=11)
    journal.sync()
    disk.crash()
    return Journal.open(disk, DIRECTORY, identity=ME)[1]


def test_every_flipped_bit_is_noticed_or_irrelevant() -> None:
    """Goal: no single flipped bit changes what is recovered.

    Method: flip one bit of each byte of each segment (which one rotates). Opening must refuse, or
    (zeros behind the end of the log only) report a repair and recover exactly the same.
    """
    disk = SimulatedDisk()
    sound = build(disk)
    files = {name: disk.content(f"{DIRECTORY}/{name}") for name in names(disk)}
    refused = repaired = 0
    for name, content in files.items():
        path = f"{DIRECTORY}/{name}"
        for at in range(len(content)):
            disk.flip(path, at * 8 + (at * 5 + at // 8) % 8)
            try:
                found = Journal.open(disk, DIRECTORY, identity=ME)[1]
            except JournalCorrupt:
                refused += 1
            else:
                repaired += 1
                assert found.repaired
                assert not content[at]
                assert (found.entries, found.term, found.vote) == (
                    sound.entries,
                    sound.term,
                    sound.vote,
                )
            disk.overwrite(path, content)
    assert refused > repaired
    assert repaired < 4096


@pytest.mark.parametrize("victim", [1, 2, 3])
def test_a_missing_segment_is_noticed(victim: int) -> None:
    """Goal: lost files are not skipped. Method: remove the first or a middle segment."""
    disk = SimulatedDisk()
    build(disk)
    assert len(names(disk)) > 3
    disk.unlink(f"{DIRECTORY}/{victim:016x}.log")
    with pytest.raises(JournalCorrupt, match="missing"):
        begin(disk)


def test_lost_sectors_of_a_full_segment_are_noticed() -> None:
    """Goal: records that vanish from a segment's end at rest are not taken for its clean end.

    Method: zero every tail of a segment that has a successor.
    """
    disk = SimulatedDisk()
    build(disk)
    path = f"{DIRECTORY}/{2:016x}.log"
    content = disk.content(path)
    for start in range(HEADER_BYTES, len(content.rstrip(b"\0")), 16):
        disk.overwrite(path, content[:start] + bytes(len(content) - start))
        with pytest.raises(JournalCorrupt):
            begin(disk)


def test_lost_sectors_before_a_later_write_are_noticed() -> None:
    """Goal: a synced record that vanished from the last segment is not repaired away.

    Method: entries synced one by one; zero any sector but those of the last write.
    """
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 12)
    last_batch = journal._offset - 400
    path = f"{DIRECTORY}/{1:016x}.log"
    content = disk.content(path)
    for start in range(0, last_batch - 512, 512):
        disk.overwrite(path, content[:start] + bytes(512) + content[start + 512 :])
        with pytest.raises(JournalCorrupt, match=r"offset \d+: .*; the member refuses"):
            begin(disk)


def test_lost_states_of_a_full_segment_are_noticed() -> None:
    """Goal: the end of a full segment is checked even where no entry is missing.

    Method: fill a segment's end with hard states only, then zero the last of them.
    """
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    end = 0
    for term in range(1, 1000):
        if journal._sequence == 1:
            end = journal._offset
        journal.save_state(term, None)
        journal.sync()
    path = f"{DIRECTORY}/{1:016x}.log"
    content = disk.content(path)
    disk.overwrite(path, content[: end - 48] + bytes(len(content) - end + 48))
    with pytest.raises(JournalCorrupt, match="segment before ended at"):
        begin(disk)


def test_lost_sectors_of_a_first_write_are_noticed() -> None:
    """Goal: what was synced before a segment got its name is never taken for torn.

    Method: roll with one large record; zero any sector that it touches.
    """
    disk = SimulatedDisk()
    journal, _ = begin(disk)
    fill(journal, 1, 15)
    fill(journal, 16, 16, size=SMALL - 2000)
    path = f"{DIRECTORY}/{2:016x}.log"
    content = disk.content(path)
    for start in range(0, journal._offset, 512):
        disk.overwrite(path, content[:start] + bytes(512) + content[start + 512 :])
        with pytest.raises(JournalCorrupt, match=r"offset \d+"):
            begin(disk)


def test_power_loss_at_every_step_of_a_roll() -> None:
    """Goal: no step of rolling or compacting leaves a state that cannot be opened.

    Method: lose power at the n-th disk operation for all n; entries synced before must be there.
    """
    for operations in range(40):
        disk = SimulatedDisk()
        journal, _ = begin(disk, 4096)
        synced = 0
        disk.lose_power_after(operations)
        try:
            for index in range(1, 25):
                fill(journal, index, index, size=600)
                synced = index
                if index % 6 == 0:
                    journal.mark_snapshot(index - 2, 1)
                    journal.sync()
                    journal.compact(index - 2)
        except PowerLoss:
            pass
        disk.crash(random.Random(operations))
        _, found = begin(disk, 4096)
        assert (indexes(found) or [0])[-1] in (synced, synced + 1)
