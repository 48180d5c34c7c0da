"""Snapshot files: whole or absent, checked before use, and never silently an older one."""

import errno
import os
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft.disk import RealDisk
from raft.journal import Identity
from raft.snapshots import SnapshotCorrupt, SnapshotMeta, SnapshotStore
from tests.raft.simulated_disk import PowerLoss, SimulatedDisk

ME = Identity(0xCDF818194E3A8C32, 0x8E9E05C52164694D)
DIRECTORY = "/snap"


def store_on(disk: SimulatedDisk) -> SnapshotStore:
    return SnapshotStore(disk, DIRECTORY, identity=ME)


def meta(index: int, term: int = 2) -> SnapshotMeta:
    return SnapshotMeta(index, term, b"config %d" % index, index * 10)


def save(store: SnapshotStore, index: int, chunks: list[bytes], term: int = 2) -> str:
    writer = store.begin(meta(index, term))
    for chunk in chunks:
        writer.write(chunk)
    return writer.commit()


def load(
    store: SnapshotStore, covers: int | None = None
) -> tuple[SnapshotMeta, list[bytes]] | None:
    newest = store.newest(covers=covers)
    return (newest[0], list(newest[1])) if newest else None


@given(st.lists(st.binary(max_size=3000), max_size=6), st.binary(max_size=50))
def test_round_trip(chunks: list[bytes], config: bytes) -> None:
    """Goal: meta and chunks come back after a power loss. Method: arbitrary ones, commit, crash."""
    disk = SimulatedDisk()
    about = SnapshotMeta(77, 3, config, 1 << 40)
    writer = store_on(disk).begin(about)
    for chunk in chunks:
        writer.write(chunk)
    assert writer.commit() == f"{DIRECTORY}/{3:016x}-{77:016x}.snapshot"
    disk.crash()
    assert load(store_on(disk)) == (about, chunks)


def test_on_a_real_file_system(tmp_path: os.PathLike[str]) -> None:
    """Goal: real files work, with private modes. Method: 12 MiB in chunks, twice read back."""
    directory = os.path.join(tmp_path, "snap")
    store = SnapshotStore(RealDisk(), directory, identity=ME)
    chunks = [os.urandom(1 << 20) for _ in range(12)]
    path = save(store, 5, chunks)
    assert load(store) == load(store) == (meta(5), chunks)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(directory).st_mode & 0o777 == 0o700


def test_an_empty_directory_has_none() -> None:
    """Goal: no snapshot is not an error. Method: ask a fresh store."""
    store = store_on(SimulatedDisk())
    assert store.newest() is None
    assert store.list() == []


def test_newest_goes_by_index() -> None:
    """Goal: the newest is the one that covers most. Method: several terms and indexes."""
    store = store_on(SimulatedDisk())
    for index, term in ((10, 2), (300, 4), (20, 3)):
        save(store, index, [b"%d" % index], term)
    assert [name[17:33] for name in store.list()] == [f"{i:016x}" for i in (300, 20, 10)]
    assert load(store) == (meta(300, 4), [b"300"])


def test_purge_keeps_the_newest() -> None:
    """Goal: old files go, files being written stay. Method: purge 0, 2; with an open writer."""
    disk = SimulatedDisk()
    store = store_on(disk)
    for index in range(1, 6):
        save(store, index, [])
    writer = store.begin(meta(9))
    store.purge(0)
    assert len(store.list()) == 5
    store.purge(2)
    assert [name[17:33] for name in store.list()] == [f"{i:016x}" for i in (5, 4)]
    writer.commit()
    disk.crash()
    store = store_on(disk)
    assert [name[17:33] for name in store.list()] == [f"{i:016x}" for i in (9, 5, 4)]


def test_a_reader_survives_purge() -> None:
    """Goal: a snapshot that is being sent can be purged. Method: purge between two chunks."""
    store = store_on(SimulatedDisk())
    save(store, 1, [b"a", b"b"])
    newest = store.newest()
    assert newest is not None
    save(store, 2, [])
    store.purge(1)
    assert list(newest[1]) == [b"a", b"b"]


def test_leftovers_are_removed_at_open_and_by_purge() -> None:
    """Goal: crashed writers leave nothing. Method: kill one; put another file there by hand."""
    disk = SimulatedDisk()
    writer = store_on(disk).begin(meta(3))
    writer.write(b"x" * 5000)
    disk.kill()
    store = store_on(disk)
    assert disk.listdir(DIRECTORY) == []
    disk.open(f"{DIRECTORY}/{1:016x}-{1:016x}.snapshot.tmp", create=True)
    store.purge(5)
    assert disk.listdir(DIRECTORY) == []


def test_abort_removes_the_file() -> None:
    """Goal: an aborted snapshot is gone, and its name is free. Method: abort twice, begin again."""
    disk = SimulatedDisk()
    store = store_on(disk)
    writer = store.begin(meta(3))
    with pytest.raises(RuntimeError, match="being written"):
        store.begin(meta(3))
    writer.abort()
    writer.abort()
    assert disk.listdir(DIRECTORY) == []
    with pytest.raises(RuntimeError, match="finished"):
        writer.write(b"")
    save(store, 3, [b"again"])
    assert load(store) == (meta(3), [b"again"])


@pytest.mark.parametrize("room", range(0, 1600, 160))
def test_a_full_disk(room: int) -> None:
    """Goal: ENOSPC anywhere leaves the older snapshot and no rubbish. Method: vary the room."""
    disk = SimulatedDisk()
    store = store_on(disk)
    save(store, 1, [b"old"])
    disk.capacity_bytes = disk.capacity_bytes - disk.free_bytes("/") + room
    with pytest.raises(OSError, match="space") as failure:
        save(store, 2, [b"x" * 500] * 3)
    assert failure.value.errno == errno.ENOSPC
    assert load(store) == (meta(1), [b"old"])
    assert len(disk.listdir(DIRECTORY)) == 1


def test_an_io_error_on_commit() -> None:
    """Goal: a snapshot whose fsync failed does not exist. Method: EIO in commit, then a crash."""
    disk = SimulatedDisk()
    store = store_on(disk)
    save(store, 1, [b"old"])
    disk.fail_sync_after(0)
    with pytest.raises(OSError, match="simulated"):
        save(store, 2, [b"new"])
    assert load(store) == (meta(1), [b"old"])
    disk.crash()
    assert load(store_on(disk)) == (meta(1), [b"old"])


def test_every_flipped_bit_and_every_truncation_is_noticed() -> None:
    """Goal: nothing but the very file is used. Method: flip each bit, cut at each byte, append."""
    disk = SimulatedDisk()
    store = store_on(disk)
    path = save(store, 1, [b"abc", bytes(300), b""])
    whole = disk.content(path)
    for bit in range(len(whole) * 8):
        disk.flip(path, bit)
        with pytest.raises(SnapshotCorrupt, match=f"^{path}: offset"):
            store.newest()
        disk.overwrite(path, whole)
    for size in range(len(whole)):
        disk.overwrite(path, whole[:size])
        with pytest.raises(SnapshotCorrupt, match=f"^{path}: offset"):
            store.newest()
    for more in (b"\0", whole, whole[-29:]):
        disk.overwrite(path, whole + more)
        with pytest.raises(SnapshotCorrupt, match=f"^{path}: offset"):
            store.newest()


def swap(content: bytes, sizes: list[int]) -> bytes:
    """Exchange the two chunk records of those sizes at the end of a file, before the trailer."""
    trailer = len(content) - 8 - 17
    second = trailer - sizes[1]
    first = second - sizes[0]
    return content[:first] + content[second:trailer] + content[first:second] + content[trailer:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: swap(whole, [12, 12]),
        lambda whole: whole[: -25 - 12] + whole[-25:],
    ],
    ids=["swapped", "dropped"],
)
def test_whole_records_out_of_place_are_noticed(damage: Callable[[bytes], bytes]) -> None:
    """Goal: intact records in the wrong order or number are refused. Method: swap, drop one."""
    disk = SimulatedDisk()
    store = store_on(disk)
    path = save(store, 1, [b"abc", b"def"])
    disk.overwrite(path, damage(disk.content(path)))
    with pytest.raises(SnapshotCorrupt):
        store.newest()


def test_nothing_is_handed_out_before_all_is_checked() -> None:
    """Goal: a bad last chunk is found before the first is used. Method: flip the last byte."""
    disk = SimulatedDisk()
    store = store_on(disk)
    path = save(store, 1, [b"first", b"last"])
    disk.flip(path, len(disk.content(path)) * 8 - 1)
    with pytest.raises(SnapshotCorrupt):
        store.newest()


def test_a_corrupt_newest_is_not_silently_skipped() -> None:
    """Goal: an older snapshot is used only if the log reaches back to it, and that is said.

    Method: corrupt the newest of three (and then the second); ask with several first entries.
    """
    disk = SimulatedDisk()
    store = store_on(disk)
    paths = {index: save(store, index, [b"%d" % index]) for index in (10, 20, 30)}
    disk.flip(paths[30], 400)
    for covers in (None, 22, 31):
        with pytest.raises(SnapshotCorrupt, match=paths[30]):
            store.newest(covers=covers)
        assert store.skipped is None
    for covers in (1, 21):
        assert load(store, covers) == (meta(20), [b"20"])
        assert store.skipped is not None
        assert paths[30] in store.skipped
        assert paths[20] in store.skipped
    disk.flip(paths[20], 400)
    with pytest.raises(SnapshotCorrupt, match=paths[30]):
        store.newest(covers=12)
    assert load(store, 11) == (meta(10), [b"10"])
    disk.flip(paths[10], 400)
    with pytest.raises(SnapshotCorrupt, match=paths[30]):
        store.newest(covers=1)


def test_another_identity_or_name_is_refused() -> None:
    """Goal: a foreign or renamed snapshot is not used. Method: another member; another name."""
    disk = SimulatedDisk()
    path = save(store_on(disk), 1, [])
    with pytest.raises(SnapshotCorrupt, match="not of this one"):
        SnapshotStore(disk, DIRECTORY, identity=Identity(1, 2)).newest()
    disk.rename(path, f"{DIRECTORY}/{2:016x}-{5:016x}.snapshot")
    with pytest.raises(SnapshotCorrupt, match="header says index 1"):
        store_on(disk).newest()


def test_a_real_etcd_snapshot_is_refused() -> None:
    """Goal: real etcd's snapshots are not ignored. Method: put a .snap file there."""
    disk = SimulatedDisk()
    store = store_on(disk)
    disk.open(f"{DIRECTORY}/0000000000000002-0000000000000001.snap", create=True)
    with pytest.raises(SnapshotCorrupt, match="another etcd implementation"):
        store.newest()


@settings(max_examples=int(os.environ.get("PYETCD_CRASH_EXAMPLES", "200")), deadline=None)
@given(st.integers(0, 1 << 32))
def test_crashes_leave_the_old_or_the_new(seed: int) -> None:
    """Goal: whatever crashes come, what was committed stays readable, and the newest is whole.

    Method: save and purge at random; lose power at random operations, keeping random sectors and
    directory changes; open after each crash and compare with what was saved.
    """
    chance = random.Random(seed)
    disk = SimulatedDisk()
    saved: dict[int, list[bytes]] = {}
    committed = index = 0
    while index < 8:
        store = store_on(disk)
        disk.lose_power_after(chance.randrange(30))
        try:
            while True:
                index += 1
                saved[index] = [chance.randbytes(chance.choice((0, 9, 2000))) for _ in range(3)]
                save(store, index, saved[index])
                committed = index
                store.purge(chance.choice((1, 2)))
        except PowerLoss:
            if chance.random() < 0.2:
                disk.kill()
            else:
                disk.crash(chance)
        found = load(store_on(disk))
        if found is None:
            assert not committed
        else:
            assert found[0].index >= committed
            assert found == (meta(found[0].index), saved[found[0].index])
            committed = found[0].index
