"""Snapshots under load, snapshots that fail, and a log that is made short only as far as it may."""

import asyncio
import errno
import json
import logging
import random
import time
from unittest import mock

import pytest

from kvstore.commands import Set, Sync
from raft.clock import READING_AHEAD_MAX_NS
from raft.journal import Journal
from raft.writing import SLOW_SYNC_NS
from tests.raft.member import (
    DEADLINE_S,
    ME,
    WAL,
    HandClock,
    HookedDisk,
    Member,
    power_loss,
    running,
    small_segments,
    until,
)

SECOND_NS = 1_000_000_000
CLIENTS = 16
SMALL = 8192


async def test_a_snapshot_finishes_on_a_slow_disk_under_load() -> None:
    """Goal: steady writes on a slow disk do not keep a snapshot from being finished. Method: each
    sync takes 3 ms, 16 clients in two groups, one of which proposes while the other's write is in
    the thread, so that there is always something to write; the snapshot advances twice."""
    disk = HookedDisk()

    def slow(operation: str, _path: str) -> None:
        if operation == "sync":
            time.sleep(0.003)

    async with running(disk, snapshot_count=500) as member:
        disk.before = slow

        async def client(number: int) -> None:
            while True:
                await member.propose(Set(b"/k%d" % number, b"v"))

        saved: list[int] = []
        member.node.compactor.on_saved = lambda _took_s: saved.append(
            member.node.compactor.last_index
        )
        await member.go_slow(Set(b"/k", b"v"))
        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS // 2)]
        try:
            await until(lambda: member.node.driver.writing.is_under_way, "a write in the thread")
            clients += [
                asyncio.create_task(client(number)) for number in range(len(clients), CLIENTS)
            ]
            await until(lambda: len(saved) >= 2, "two snapshots")
            assert not any(task.done() for task in clients)
            assert member.node.driver.writing.average_ns > SLOW_SYNC_NS
        finally:
            for task in clients:
                task.cancel()
            await asyncio.wait(clients)
        assert 0 < saved[0] < saved[1]
        assert member.fatal == []


def _lock(member: Member) -> dict[str, object]:
    store, now_ns = member.machine.store, member.node.cluster_time_ns
    body = store.get(b"/lock", now_ns, recursive=False, in_order=False).body
    node = json.loads(body)["node"]
    assert isinstance(node, dict)
    return node


async def _snapshot_at_the_end(member: Member) -> None:
    """See to it that the newest snapshot covers everything in the log."""
    compactor = member.node.compactor
    async with asyncio.timeout(DEADLINE_S):
        while compactor.last_index < member.node.applied_index:
            await until(lambda: compactor._task is None, "no snapshot is being taken")
            await member.propose(Sync())
            await until(lambda: compactor._task is None, "no snapshot is being taken")


async def _pass_time(member: Member, clock: HandClock, seconds: int) -> None:
    """Let time pass as it does while keys have TTLs, a stamp at a time."""
    for _ in range(seconds):
        clock.now_ns += SECOND_NS
        await member.propose(Sync())


@pytest.mark.parametrize("rebooted", [False, True], ids=["process restarted", "machine rebooted"])
async def test_time_goes_on_behind_a_snapshot(rebooted: bool) -> None:
    """Goal: cluster time goes on from the snapshot's stamp if the log holds nothing behind it: a
    TTL never grows, and runs out when it should. Method: a key with a TTL after 30 days, a
    snapshot at the very end, power loss; the clock of the next life goes on or begins anew."""
    disk, clock = HookedDisk(), HandClock()
    async with running(disk, clock=clock, snapshot_count=1) as member:
        clock.now_ns += 30 * 86400 * SECOND_NS
        async with asyncio.timeout(DEADLINE_S):
            await member.propose(Set(b"/lock", b"v", ttl=60))
            await _pass_time(member, clock, 20)
        await _snapshot_at_the_end(member)
        before_ns, index = member.machine.store.now_ns, member.node.applied_index
        before, digest = _lock(member), member.machine.digest()
        assert before["ttl"] == 40
        await power_loss(member, disk, random.Random(1))
    clock = HandClock(5) if rebooted else clock
    again = Member(disk, clock=clock, snapshot_count=1)
    # Nothing of the log is applied yet, nor will be: this is the snapshot alone.
    assert (again.node._base, again.node._log.last_index) == (index, index)
    assert again.machine.digest() == digest
    assert again.node.cluster_time_ns == before_ns
    again.node.start()
    try:
        assert _lock(again) == before
        async with asyncio.timeout(DEADLINE_S):
            await again.node.read_barrier()
            clock.now_ns += 39 * SECOND_NS
            assert again.node.cluster_time_ns == before_ns + READING_AHEAD_MAX_NS
            await again.propose(Sync())
            await _pass_time(again, clock, 38)
            assert again.machine.store.now_ns == before_ns + 39 * SECOND_NS
            assert _lock(again)["ttl"] == 1
            await _pass_time(again, clock, 2)
        assert not again.has(b"/lock")
        assert again.fatal == []
    finally:
        await again.node.stop()


def _long_journal(disk: HookedDisk) -> tuple[Journal, int]:
    """A journal of several segments, all but the last covered by a snapshot."""
    journal, _ = Journal.open(disk, WAL, identity=ME, segment_bytes=SMALL)
    last = 100
    for index in range(1, last + 1):
        journal.append((b"%d" % index + b"x" * 400, index, 1), commit=index - 1)
        journal.sync()
    journal.mark_snapshot(last, 1)
    journal.sync()
    return journal, last


def _opened(disk: HookedDisk) -> tuple[Journal, list[int]]:
    journal, found = Journal.open(disk, WAL, identity=None, segment_bytes=SMALL)
    return journal, [index for _data, index, _term in found.entries]


@pytest.mark.parametrize("operation", ["unlink", "sync_dir"])
@pytest.mark.parametrize("good", range(3))
@pytest.mark.parametrize("restart", ["none", "process", "power"])
def test_a_removal_that_fails(operation: str, good: int, restart: str) -> None:
    """Goal: a removal that fails in the middle of a compaction leaves a journal without a gap, and
    the next compaction removes the rest. Method: the n-th unlink or sync of the directory fails
    once; then on in the same process, or after a restart."""
    disk = HookedDisk()
    journal, last = _long_journal(disk)
    segments = journal.segments
    assert segments > 4
    left = good

    def fail(what: str, _path: str) -> None:
        nonlocal left
        if what == operation:
            left -= 1
            if left == -1:
                raise OSError(errno.ENOSPC, "no space left on device")

    disk.before = fail
    with pytest.raises(OSError, match="no space left"):
        journal.compact(last)
    disk.before = lambda _operation, _path: None
    assert journal.segments == segments - good
    if restart != "none":
        if restart == "process":
            disk.kill()
        else:
            disk.crash(random.Random(good))
        journal, indexes = _opened(disk)
        assert indexes == list(range(indexes[0], last + 1))
        assert 1 < indexes[0] < last or good == 0
    journal.compact(last)
    assert journal.segments == 1
    assert [name for name in disk.listdir(WAL) if name.endswith(".log")] == [f"{segments:016x}.log"]
    journal.append((b"next", last + 1, 1), commit=last)
    journal.sync()
    disk.crash()
    journal, indexes = _opened(disk)
    assert indexes == list(range(indexes[0], last + 2))
    journal.close()


async def test_a_removal_that_fails_below_a_member() -> None:
    """Goal: a member whose old segment cannot be removed once goes on, removes it with the next
    snapshot, and can be started again at any time. Method: small segments, one failing unlink."""
    disk = HookedDisk()
    failures = 0

    def fail(operation: str, path: str) -> None:
        nonlocal failures
        if operation == "unlink" and path.endswith(".log") and not failures:
            failures = 1
            raise OSError(errno.EIO, "simulated I/O error")

    def oldest() -> str:
        return next(name for name in disk.listdir(WAL) if name.endswith(".log"))

    with (
        small_segments(),
        mock.patch("raft.compaction._RETRY_S", 0.0),
    ):
        async with running(disk, snapshot_count=20, trailing_commands=5) as member:
            disk.before = fail
            first, number = oldest(), 0
            async with asyncio.timeout(DEADLINE_S):
                while not failures or oldest() == first:
                    number += 1
                    await member.propose(Set(b"/k%d" % number, b"x" * 4000))
            assert failures == 1
            assert member.fatal == []
            digest = member.machine.digest()
            await power_loss(member, disk, None)
        async with running(disk, snapshot_count=20, trailing_commands=5) as member:
            assert member.machine.digest() == digest
            assert all(member.has(b"/k%d" % i) for i in range(1, number + 1))


async def test_a_full_disk_is_relieved_of_its_log() -> None:
    """Goal: a disk that is full of the log gets room by a snapshot, and keeps little of the log;
    where the log is small, none is taken. Method: a disk that counts as full, before and after
    there is much in the log."""
    disk = HookedDisk()
    with (
        mock.patch("raft.compaction.RELIEF_BYTES_MAX", 10_000),
        mock.patch("raft.space._CHECK_S", 0.01),
        small_segments(),
    ):
        async with running(disk) as member:
            compactor, driver = member.node.compactor, member.node.driver
            with mock.patch("raft.space.FREE_BYTES_MIN", 1 << 62):
                await until(lambda: driver.disk_full, "it is full")
                with mock.patch.object(compactor, "relieve", wraps=compactor.relieve) as relieve:
                    await until(lambda: relieve.call_count >= 3, "it is looked at")
                assert compactor.last_index == 0
            await until(lambda: not driver.disk_full, "it has room")
            for number in range(100):
                await member.propose(Set(b"/k", b"%d" % number + b"x" * 1000))
            before = member.node.journal.size_bytes
            with mock.patch("raft.space.FREE_BYTES_MIN", 1 << 62):
                await until(lambda: compactor.last_index and compactor._task is None, "a snapshot")
            assert member.node._log.size_bytes <= 10_000 + 1_100  # and its base
            assert member.node.journal.size_bytes < before - 50_000
            await until(lambda: not driver.disk_full, "it has room")
            assert (await member.propose(Set(b"/after", b"v"))).status == 201


@pytest.mark.parametrize("operation", ["create", "pwrite", "sync", "rename", "sync_dir"])
async def test_a_snapshot_that_cannot_be_written(
    operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Goal: a snapshot that cannot be written is told to the log and nobody else: writes go on,
    nothing of the log is dropped, and it is tried again. Method: each step of writing one fails
    with EIO; then it works; then power loss."""
    disk = HookedDisk()

    def fail(what: str, path: str) -> None:
        if what == operation and path.startswith("/snap"):
            raise OSError(errno.EIO, "simulated I/O error")

    def complaints() -> int:
        return sum(
            record.levelno == logging.ERROR and "could not save a snapshot" in record.message
            for record in caplog.records
        )

    with mock.patch("raft.compaction._RETRY_S", 0.0):
        async with running(disk, snapshot_count=10) as member:
            disk.before = fail
            number = 0
            async with asyncio.timeout(DEADLINE_S):
                while complaints() < 2:
                    number += 1
                    assert (await member.propose(Set(b"/k%d" % number, b"v"))).status == 201
            assert "simulated i/o error" in caplog.text
            assert member.node.compactor.last_index == 0
            assert member.node._log.first_index == 1
            assert member.fatal == []
            disk.before = lambda _operation, _path: None
            async with asyncio.timeout(DEADLINE_S):
                while not member.node.compactor.last_index:
                    number += 1
                    assert (await member.propose(Set(b"/k%d" % number, b"v"))).status == 201
            digest = member.machine.digest()
            await power_loss(member, disk, random.Random(1))
        async with running(disk, snapshot_count=10) as member:
            assert member.machine.digest() == digest
