"""When the transfer of a snapshot is begun, when it ends, and what it leaves on both sides."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from raft.batch import Standing, encode_standing
from raft.messages import Appended, SnapshotBegin
from raft.snapshots import SnapshotMeta
from tests.raft.fence.assembly import PART_BYTES, Gate, assembled, settle, until
from tests.raft.fence.latecomer import (
    SMALL,
    A,
    B,
    C,
    cut_off_with_ghosts,
    left_behind,
    reconnect,
)
from tests.raft.fence.parliament import peer
from tests.raft.member import SNAP, within

if TYPE_CHECKING:
    from collections.abc import Iterable


# -- beginning ----------------------------------------------------------------------------------


async def test_a_leader_of_the_past_that_sends_a_snapshot_is_told_so() -> None:
    """L7. Goal: a snapshot of a past term is not taken, and its sender learns at once that its time
    is over. Method: a follower is offered one in the name of an earlier term.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.hold((B, C))
        term, index = house[B].node.term, house[B].commit_index
        standing = encode_standing(Standing((peer(A), peer(B), peer(C)), 0))
        house.tell(C, B, SnapshotBegin(term - 1, 5, index + 9, term - 1, standing, 1))
        await settle()
        assert house.take(B, C, Appended) == [Appended(term, 0, ok=False)]
        assert house[B].node.driver.receiver._task is None
        assert house[B].node.status.leader == A
        assert house[B].files == []
        house.flow()


async def test_a_snapshot_that_does_not_reach_the_log_is_not_sent() -> None:
    """Goal: when the newest snapshot ends before the log begins, one is taken that does not, and it
    is that one which is sent. Method: keep two, lose the newer one's file.
    """
    async with assembled(A, B, C, snapshots_max=5, **SMALL) as house:
        await left_behind(house)
        newest, *older = house[A].node._snapshots.list()
        assert older
        house[A].disk.unlink(f"{SNAP}/{newest}")
        await within(house[A].propose(b"last"))
        house.hold((A, B))
        reconnect(house)
        await until(lambda: "SnapshotBegin" in house.kinds(A, B), "A sends")
        begins = [m.index for m in house.on_the_way(A, B) if isinstance(m, SnapshotBegin)]
        assert begins == [house[A].node.applied_index]
        house.flow()
        await until(lambda: house[B].has(b"last"), "B has it")


# -- what arrives -------------------------------------------------------------------------------


async def test_the_receivers_state_machine_is_given_the_chunks_of_the_senders() -> None:
    """Goal: parts are the transport's matter: what is thawed is cut as it was frozen, however it
    travelled. Method: chunks that are larger than a part, as large, smaller, and empty.
    """
    async with assembled(A, B, C, **SMALL) as house:
        thawed: list[bytes] = []
        thaw = house[B].machine.thaw

        def watch(chunks: Iterable[bytes]) -> list[bytes]:
            thawed.extend(chunks)
            return thaw(thawed)

        house[B].machine.thaw = watch  # type: ignore[method-assign]
        house[A].machine.chunk_bytes = PART_BYTES * 3 // 2
        await left_behind(house)
        frozen = list(house[A].machine.freeze())
        assert len(frozen) > 2
        assert len(frozen[0]) > PART_BYTES
        reconnect(house)
        await until(lambda: house[B].has(b"k19"), "B has it")
        assert thawed == frozen


async def test_a_longer_log_that_goes_on_differently_is_void() -> None:
    """S3. Goal: a log that holds another entry where the snapshot ends has nothing the leader has
    behind it: it goes, however long it is. Method: a member with many entries that nobody else has
    is sent a snapshot of fewer.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await cut_off_with_ghosts(house, 40)
        assert house[B].node._log.last_index > house[A].node._log.last_index
        reconnect(house)
        await until(lambda: house[B].has(b"k19"), "B has it")
        assert house[B].node._log.last_index == house[A].node._log.last_index
        house[A].pass_time(101)
        await within(house[A].propose(b"last"))
        await house.same()
        assert not house[A].has(b"ghost")


async def test_what_waited_to_be_applied_is_in_the_snapshot() -> None:
    """Goal: what a snapshot holds is not applied once more behind it. Method: a member knows an
    entry to be committed and may not apply it, for its disk is held up; then a snapshot that covers
    it is installed.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house[B].go_slow()
        await house.same()
        gate = Gate(house[B])
        await within(house[A].propose(b"k1"))
        await until(lambda: house[B].commit_index == house[A].commit_index, "B knows")
        await settle()
        assert not house[B].has(b"k1")
        index, term = house[A].commit_index, house[A].node.term
        house.disconnect(A, B)
        house.disconnect(B, C)
        for text in (b"k2", b"k3"):
            await within(house[A].propose(text))
        standing = encode_standing(Standing((peer(A), peer(B), peer(C)), 0))
        state = list(house[A].machine.commands)
        meta = SnapshotMeta(index + 2, term, standing, len(state))
        assert house[B].node.driver.install(meta, list(state))
        gate.open()
        await within(house[B].node.driver.flush())
        await settle()
        assert house[B].machine.commands == state
        house.heal()
        house[A].pass_time(101)
        await within(house[A].propose(b"last"))
        await house.same()


# -- ending -------------------------------------------------------------------------------------


async def test_a_transfer_ends_when_the_receiver_has_it() -> None:
    """Goal: who has the snapshot is sent entries again; its transfer is over, and the log need not
    stay for it any longer. Method: a whole transfer, then commands and snapshots of the leader.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        reconnect(house)
        sender = house[A].node.driver.sender
        await until(lambda: house[B].has(b"k19"), "B has it")
        await until(lambda: sender.needed_from is None, "the transfer is over")
        house[A].pass_time(101)
        await within(house[A].propose(b"last"))
        await house.same()
        assert sender._number == 1


@pytest.mark.parametrize("operation", ["rename", "sync_dir"])
async def test_a_receiver_that_fails_with_all_of_it_says_so(operation: str) -> None:
    """Goal: when all parts have come and the file cannot be finished, no further part makes the
    sender learn that the transfer has come to nothing: it is told, and tries again. Method: the
    disk of the receiver fails at the last steps; then it works.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)

        def fail(what: str, path: str) -> None:
            if path.startswith(SNAP) and what == operation:
                raise OSError(errno.EIO, "simulated I/O error")

        house[B].disk.before = fail
        reconnect(house)
        await until(lambda: house[A].node.driver.sender._number >= 2, "A tries again")
        assert not house[B].has(b"k19")
        house[B].disk.before = lambda _operation, _path: None
        await until(lambda: house[B].has(b"k19"), "it works")
