"""The driver, on disks that are slow, full or stuck: every proposal gets the answer it must."""

import asyncio
import errno
import threading
import time
from collections.abc import Iterator
from unittest import mock

import pytest

from kvstore import Machine, Reply
from kvstore.commands import Set
from kvstore.event import Event
from kvstore.store import EXPIRED_AT_ONCE_MAX
from raft import ProposalFailed
from raft.errors import NO_SPACE, STOPPED, STOPPED_UNKNOWN
from raft.spare import Spare, SpareFile
from tests.raft.member import (
    DEADLINE_S,
    SEGMENT_BYTES,
    HandClock,
    HookedDisk,
    Member,
    running,
    small_segments,
    until,
    within,
)

SECOND_NS = 1_000_000_000
KEYS = 5000


class Gate:
    """A hook that holds up one kind of operation until it is opened."""

    def __init__(self, operation: str, ending: str) -> None:
        self._wanted = operation, ending
        self.reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, operation: str, path: str) -> None:
        """Be asked by the disk."""
        if operation == self._wanted[0] and path.endswith(self._wanted[1]):
            self.reached.set()
            assert self._opened.wait(DEADLINE_S), "nobody opened the gate"

    def open(self) -> None:
        """Let everything pass from now on."""
        self._opened.set()


def cause(future: asyncio.Future[Reply]) -> str:
    """Why a proposal failed; "" if it did not."""
    error = future.exception()
    assert error is None or isinstance(error, ProposalFailed)
    return str(error) if error else ""


@pytest.fixture
def made_in_write() -> Iterator[list[int]]:
    """Sizes of the files that a write had to make or to enlarge, but for a journal's first."""
    made: list[int] = []
    take = SpareFile.take

    def watched(self: SpareFile, size_bytes: int) -> Spare:
        if self._made and self.size_bytes < size_bytes:
            made.append(size_bytes)
        return take(self, size_bytes)

    with mock.patch.object(SpareFile, "take", watched):
        yield made


@pytest.mark.parametrize("marked", [False, True], ids=["entries only", "and a mark buffered"])
async def test_stop_while_a_write_is_in_the_thread(marked: bool) -> None:
    """Goal: stop() waits for the write that is under way; what it wrote is answered (or said to be
    of unknown outcome), what was never proposed is said to be so, nothing is fatal, and what was
    written is there afterwards. Method: hold the write at its sync, propose more, stop, let it go,
    lose power, open again."""
    disk = HookedDisk()

    def slow(operation: str, _path: str) -> None:
        if operation == "sync":
            time.sleep(0.003)

    async with running(disk) as member:
        disk.before = slow
        await member.go_slow(Set(b"/warm", b"v"))
        disk.before = gate = Gate("sync", "")
        written = [member.propose(Set(b"/written%d" % i, b"v")) for i in range(3)]
        await until(gate.reached.is_set, "a write in the thread")
        waiting = [member.propose(Set(b"/waiting%d" % i, b"v")) for i in range(3)]
        if marked:
            member.node.journal.mark_snapshot(1, 1)
        stopping = asyncio.create_task(member.node.stop())
        await until(lambda: member.node.driver._stopped, "the driver stops")
        late = member.propose(Set(b"/late", b"v"))
        assert not any(future.done() for future in (*written, *waiting, stopping))
        gate.open()
        await within(stopping)
        assert [cause(future) for future in (*waiting, late)] == [STOPPED] * 4
        assert all(cause(future) in ("", STOPPED_UNKNOWN) for future in written)
        answered = [future.result().status for future in written if not cause(future)]
        assert set(answered) <= {201}
        assert marked or len(answered) == len(written)
        assert member.fatal == []
    disk.before = lambda _operation, _path: None
    disk.crash()
    async with running(disk) as member:
        assert all(member.has(b"/written%d" % i) for i in range(3))
        assert not any(member.has(b"/waiting%d" % i) for i in range(3))
        assert not member.has(b"/late")


async def test_a_write_that_fails_in_the_thread_leaves_nobody_waiting() -> None:
    """Goal: who waits for the disk when a write in the thread fails is told so, and stop() comes
    back. Method: a snapshot's mark and its flush (it once waited for ever); the sync fails."""
    disk = HookedDisk()

    def slow(operation: str, _path: str) -> None:
        if operation == "sync":
            time.sleep(0.003)

    def fail(operation: str, _path: str) -> None:
        if operation == "sync":
            raise OSError(errno.EIO, "no")

    async with running(disk) as member:
        disk.before = slow
        await member.go_slow(Set(b"/warm", b"v"))
        disk.before = fail
        member.node.journal.mark_snapshot(1, 1)
        flushed = member.node.driver.flush()
        await until(lambda: member.fatal, "the failure is fatal")
        await until(flushed.cancelled, "the flush is told of it")
        await within(member.node.stop())


async def test_what_is_held_back_goes_on_with_the_commit() -> None:
    """Goal: what waits because much is not committed yet waits for that and for nothing else.
    Method: a small bound, several entries at once, and no tick any more."""
    with mock.patch("raft.appender.UNCOMMITTED_BYTES_MAX", 1000):
        async with running(HookedDisk()) as member:
            ticker = member.node.driver._ticker
            assert ticker is not None
            ticker.cancel()
            value = b"x" * (600 << 10)
            replies = [member.propose(Set(b"/k%d" % number, value)) for number in range(6)]
            await until(lambda: all(reply.done() for reply in replies), "all are answered")
            assert [reply.result().status for reply in replies] == [201] * 6


async def prepared(member: Member) -> None:
    """Fill the segment in use beyond its half; its successor is then made."""
    journal = member.node.journal
    number = 0
    while journal.room_bytes[0] > SEGMENT_BYTES // 2 - 1000:
        number += 1
        await member.propose(Set(b"/fill", b"%d" % number + b"x" * 1000))
    await until(lambda: journal.room_bytes[1], "a spare")


async def test_commands_wait_for_room(made_in_write: list[int]) -> None:
    """Goal: what fits neither into the segment in use nor into the prepared one is not handed to
    the engine before a file is prepared, and no write ever makes a file. Method: a segment half
    full and a spare; the making of the next file is held up; commands that leave a gap at the
    segment's end (each a third of a segment), then the gate is opened."""
    disk = HookedDisk()
    with small_segments():
        async with running(disk) as member:
            await prepared(member)
            disk.before = gate = Gate("create", ".spare")
            value = b"x" * (SEGMENT_BYTES * 5 // 16)
            futures = [member.propose(Set(b"/big%d" % i, value)) for i in range(10)]
            driver = member.node.driver
            await until(lambda: driver.wants_room and gate.reached.is_set(), "no room")
            await until(
                lambda: len(driver._proposals._waiting) == driver.pending, "what fits is answered"
            )
            done = [future.done() for future in futures]
            # One behind the first half, or none; then two or three in the whole spare.
            assert 2 <= sum(done) <= 4
            assert done == sorted(done, reverse=True)
            before = member.node.applied_index
            await asyncio.gather(*(member.node.read_barrier() for _ in range(20)))
            assert member.node.applied_index == before
            gate.open()
            async with asyncio.timeout(DEADLINE_S):
                replies = await asyncio.gather(*futures)
            assert [reply.status for reply in replies] == [201] * len(futures)
            assert made_in_write == []
            assert member.fatal == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("large", [False, True], ids=["small commands", "large commands"])
async def test_no_space_for_the_next_file(
    number: int, large: bool, made_in_write: list[int]
) -> None:
    """Goal: a disk on which no file can be made refuses writes, those in the queue included, says
    why, serves reads, is not fatal, and takes writes again by itself. Method: the making of spares
    fails; write until refused, more at once than fits; then it works again; then power loss."""
    disk = HookedDisk()

    def refuse(operation: str, path: str) -> None:
        if operation == "create" and path.endswith(".spare"):
            raise OSError(number, "no")

    value = b"x" * (SEGMENT_BYTES * 2 // 3 if large else 500)
    with small_segments(), mock.patch("raft.space._CHECK_S", 0.01):
        async with running(disk) as member:
            disk.before = refuse
            futures = [member.propose(Set(b"/k%d" % i, value)) for i in range(100)]
            await until(lambda: all(future.done() for future in futures), "an answer to each")
            causes = [cause(future) for future in futures]
            assert set(causes) == {"", NO_SPACE}
            assert causes == sorted(causes)  # who came first is served first
            assert member.node.driver.disk_full
            assert cause(member.propose(Set(b"/refused", b"v"))) == NO_SPACE
            await within(member.node.read_barrier())
            disk.before = lambda _operation, _path: None
            await until(lambda: not member.node.driver.disk_full, "writes are taken again")
            async with asyncio.timeout(DEADLINE_S):
                assert (await member.propose(Set(b"/after", value))).status == 201
            assert member.fatal == []
            assert made_in_write == []
        disk.crash()
        async with running(disk) as member:
            assert member.has(b"/after")
            assert not member.has(b"/refused")
            assert [member.has(b"/k%d" % i) for i in range(100)] == [not c for c in causes]


class Watched:
    """Notes what each command of a machine removes, and every event."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.events: list[Event] = []
        self.removed: list[int] = []
        self._store_apply = machine.store.apply
        self._append = machine.store.history.append
        machine.store.apply = self.apply  # type: ignore[method-assign,assignment]
        machine.store.history.append = self.append  # type: ignore[method-assign]

    def append(self, event: Event) -> None:
        """Note an event."""
        self.events.append(event)
        self._append(event)

    def apply(self, *command: object) -> Reply:
        """Apply a command and note how many nodes ran out in it."""
        before = self.machine.store.stats.expire_count
        reply = self._store_apply(*command)  # type: ignore[arg-type]
        removed = self.machine.store.stats.expire_count - before
        if removed:
            self.removed.append(removed)
        return reply


async def test_many_keys_run_out_at_once() -> None:
    """Goal: keys that run out together go in several Sync commands, so that nobody is held up for
    long; all of them go, each with an index of its own, and a restart comes to the same. Method:
    5,000 keys with one TTL, a clock that is moved past it, the driver's own ticks."""
    disk, clock = HookedDisk(), HandClock()
    async with running(disk, clock=clock) as member:
        ttl = [member.propose(Set(b"/d/%d" % i, b"v", ttl=1)) for i in range(KEYS)]
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*ttl)
        assert member.machine.store.tree.deadlines.count == KEYS
        index = member.machine.store.index
        watched = Watched(member.machine)
        clock.now_ns += SECOND_NS
        await until(lambda: not member.machine.store.tree.deadlines.count, "all have run out")
        assert len(watched.removed) >= -(-KEYS // EXPIRED_AT_ONCE_MAX) > 1
        assert max(watched.removed) <= EXPIRED_AT_ONCE_MAX
        assert sum(watched.removed) == KEYS == len(watched.events)
        assert {event.action for event in watched.events} == {b"expire"}
        assert len({event.key for event in watched.events}) == KEYS
        expected = list(range(index + 1, index + 1 + KEYS))
        assert [event.index for event in watched.events] == expected
        assert not any(member.has(b"/d/%d" % i) for i in range(KEYS))
        assert not member.machine.is_behind()
        assert member.machine.tick_command() is None
        digest = member.machine.digest()
        assert member.fatal == []
    disk.crash()
    async with running(disk, clock=clock) as member:
        assert member.machine.digest() == digest
