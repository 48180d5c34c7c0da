"""Snapshots on their way: all of it, checked and durable, or nothing."""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import time
from typing import TYPE_CHECKING
from unittest import mock

import msgspec
import pytest
from crc32c import crc32c

from raft.batch import Standing, encode_standing
from raft.messages import Append, Appended, Commit, SnapshotBegin, SnapshotPart, SnapshotTaken
from raft.snapshots import SnapshotMeta
from tests.raft.fence.assembly import PART_BYTES, Assembly, Gate, assembled, settle, until
from tests.raft.fence.latecomer import (
    SMALL,
    A,
    B,
    C,
    compacted,
    cut_off_with_ghosts,
    left_behind,
    reconnect,
)
from tests.raft.fence.parliament import entry, peer
from tests.raft.member import SNAP, WAL, within

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.messages import Message

Parcels = list["Message"]


async def transfer(house: Assembly) -> Parcels:
    """Take a whole transfer from A to B off their link, pretending that B takes its parts."""
    house.hold((A, B))
    reconnect(house)
    parcels: Parcels = []
    while True:
        await until(lambda: house.on_the_way(A, B), "A sends")
        for message in house.deliver_all_but(A, B, (SnapshotBegin, SnapshotPart)):
            parcels.append(message)
            if isinstance(message, SnapshotPart):
                house.tell(B, A, SnapshotTaken(message.term, message.transfer, message.number))
                if message.last:
                    return parcels


def gives_up(house: Assembly) -> bool:
    """Whether B has told A that it gives a transfer up."""
    return any(isinstance(m, SnapshotTaken) and m.number < 0 for m in house.on_the_way(B, A))


def intact(house: Assembly) -> None:
    """B has nothing of a snapshot and has acknowledged none."""
    assert house[B].files == []
    assert house[B].machine.commands == [b"founded"]
    assert house[A].node.progress[B][0] <= house[B].node._log.last_index


# -- what a part may do --------------------------------------------------------------------------


async def test_a_part_of_a_snapshot_commits_nothing() -> None:
    """R03, S3. Goal: a member with a divergent tail that is being sent a snapshot commits nothing,
    applies nothing and tells its client nothing before all of it is there; then its tail is gone.
    Method: an old leader with three writes that nobody else has; stop after each part.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await house.elect(B)
        await house.same()
        house.hold_all(B)
        ghosts = [house[B].propose(b"ghost%d" % number) for number in range(3)]
        await until(lambda: house[B].node._log.last_index > house[A].node._log.last_index, "B has")
        before = house[B].node.status
        await house.elect(A, C)
        for number in range(20):
            await within(house[A].propose(b"k%d" % number))
        await compacted(house)
        house.disconnect(A, B)
        house.disconnect(C, B)
        house.held.clear()
        house.hold((A, B))
        reconnect(house)
        parts = 0
        while not house[B].has(b"k19"):
            await until(lambda: house.on_the_way(A, B) or house[B].has(b"k19"), "A sends")
            for message in house.deliver(A, B, 1):
                if isinstance(message, SnapshotPart):
                    parts += 1
                    await settle()
                    if not message.last:
                        assert house[B].commit_index == before.commit_index
                        assert house[B].node.applied_index == before.applied_index
        assert parts > 2
        assert not any(ghost.done() and not ghost.exception() for ghost in ghosts)
        assert house[B].node._log.last_index == house[B].node.applied_index
        house.flow()
        house[A].pass_time(101)
        house.connect(B, C)
        await house.same()
        assert not any(command.startswith(b"ghost") for command in house[A].machine.commands)


def without(number: int) -> Callable[[Parcels], Parcels]:
    return lambda parcels: [p for p in parcels if getattr(p, "number", None) != number]


def changed(at: int, **fields: object) -> Callable[[Parcels], Parcels]:
    return lambda parcels: [
        msgspec.structs.replace(p, **fields) if getattr(p, "number", None) == at else p
        for p in parcels
    ]


def twice(number: int) -> Callable[[Parcels], Parcels]:
    return lambda parcels: [
        p for p in parcels for _ in range(1 + (getattr(p, "number", None) == number))
    ]


def with_an_open_end(parcels: Parcels) -> Parcels:
    """The last chunk is not closed, and the checksum is right."""
    parts = [p for p in parcels if isinstance(p, SnapshotPart)]
    return changed(parts[-2].number, ends_chunk=False, data=b"x")(
        changed(
            parts[-1].number,
            crc=crc32c(b"".join(p.data for p in parts[:-2]) + b"x"),
        )(parcels)
    )


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(changed(1, data=b"\x00" * PART_BYTES), id="other data"),
        pytest.param(without(1), id="a part is missing"),
        pytest.param(without(0), id="the first part is missing"),
        pytest.param(twice(1), id="a part comes twice"),
        pytest.param(changed(1, number=3), id="a wrong number"),
        pytest.param(with_an_open_end, id="an open end"),
        pytest.param(
            lambda parcels: [*parcels[:-1], replace_crc(parcels[-1])], id="wrong checksum"
        ),
    ],
)
async def test_a_damaged_transfer_leaves_nothing_and_is_not_acknowledged(
    damage: Callable[[Parcels], Parcels],
) -> None:
    """R04, S4. Goal: a transfer that is not exactly what was sent is given up: no file, no
    acknowledgement, no change of state; the sender is told, and its next try works. Method: damage
    one in each way.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        parcels = await transfer(house)
        assert len(parcels) > 4
        house.hold((B, A))
        for message in damage(parcels):
            house.tell(A, B, message)
            await settle()
        await until(lambda: gives_up(house), "B gives it up")
        await until(lambda: house[B].node._driver.receiver._task is None, "B has ended it")
        intact(house)
        assert not house.take(B, A, Appended)
        house.flow()
        await until(lambda: house[B].has(b"k19"), "the next try works")


def replace_crc(message: Message) -> Message:
    """Another checksum."""
    assert isinstance(message, SnapshotPart)
    return msgspec.structs.replace(message, crc=message.crc ^ 1)


async def test_parts_of_something_else_are_not_mixed_in() -> None:
    """S4. Goal: parts count for the transfer they belong to, from the member it came from. Method:
    parts of another transfer and of another member between those of the right one; a part when
    nothing has begun.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        parcels = await transfer(house)
        parts = [p for p in parcels if isinstance(p, SnapshotPart)]
        house.hold((B, A))
        house.take(B, A, SnapshotTaken)
        house.tell(A, B, parts[0])
        [answer] = house.take(B, A, SnapshotTaken)
        assert (answer.number, answer.transfer) == (-1, parts[0].transfer)
        stray = msgspec.structs.replace(parts[0], transfer=parts[0].transfer + 1)
        for message in parcels:
            house.tell(A, B, message)
            house.tell(A, B, stray)
            house[B].node._driver.receiver.received(C, parts[0])
            await settle()
        await until(lambda: house[B].has(b"k19"), "the right one is installed")
        house.flow()
        house.connect(B, C)
        house[A].pass_time(101)
        await house.same()


async def test_a_transfer_of_an_earlier_term_is_not_continued_by_one_of_a_later_term() -> None:
    """S4. Goal: a leader that was restarted numbers its transfers from one again: what it sends as
    a leader of a later term is another transfer, with another index. Method: the beginning of a
    transfer; in a later term a whole one of a newer state with the same number, at once.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        parcels = await transfer(house)
        [old] = [p for p in parcels if isinstance(p, SnapshotBegin)]
        house.hold((B, A))
        house.tell(A, B, old)
        await until(lambda: house[B].node._driver.receiver._task is not None, "it has begun")
        await settle()
        newer = [*house[A].machine.commands, b"newer1", b"newer2"]
        data = msgspec.msgpack.encode(newer)
        term = old.term + 1
        index = old.index + 10
        house.tell(A, B, msgspec.structs.replace(old, term=term, index=index, commands=len(newer)))
        house.tell(A, B, SnapshotPart(term, old.transfer, 0, data, ends_chunk=True))
        house.tell(
            A, B, SnapshotPart(term, old.transfer, 1, b"", False, last=True, crc=crc32c(data))
        )
        receiver = house[B].node._driver.receiver
        assert receiver is not None
        await until(lambda: receiver._task is None, "it has ended")
        if house[B].node.applied_index == old.index:
            assert not house[B].has(b"newer1"), "the newer state stands for the older index"
        elif house[B].node.applied_index == index:
            assert house[B].has(b"newer1")
        else:
            assert house[B].machine.commands == [b"founded"]
        house[B].machine.commands = [b"founded"]  # made up above: not what the others have


async def test_a_transfer_of_a_past_term_ends() -> None:
    """Goal: whoever learns of a later term gives up what a leader before has sent, and takes no
    more of it. Method: begin one, hear of a later term, send the rest.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        parcels = await transfer(house)
        house.hold((B, A))
        receiver = house[B].node._driver.receiver
        for message in parcels[:2]:
            house.tell(A, B, message)
        await settle()
        assert receiver._task is not None
        house.tell(A, B, Appended(parcels[0].term + 1, 0, ok=False))
        house[B].node._engine._core.step_down(parcels[0].term + 1)
        for message in parcels[2:]:
            house.tell(A, B, message)
        await until(lambda: receiver._task is None, "it ends")
        intact(house)


async def test_another_transfer_ends_the_one_before() -> None:
    """Goal: one transfer at a time; the second one has to be begun again, and a copy of the first
    one's beginning changes nothing. Method: begin, begin again, begin another.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        parcels = await transfer(house)
        house.hold((B, A))
        house.take(B, A, SnapshotTaken)
        receiver = house[B].node._driver.receiver
        for message in (parcels[0], parcels[1], parcels[0]):
            house.tell(A, B, message)
        await until(lambda: house.take(B, A, SnapshotTaken), "the part is taken")
        assert receiver._task is not None
        other = msgspec.structs.replace(parcels[0], transfer=99)
        house.tell(A, B, other)
        await until(lambda: receiver._task is None, "it ends")
        assert {m.number for m in house.take(B, A, SnapshotTaken)} == {-1}
        intact(house)
        for message in parcels:
            house.tell(A, B, message)
            await settle()
        await until(lambda: house[B].has(b"k19"), "a new one goes through")
        house.flow()


async def test_a_chunk_is_bounded() -> None:
    """S4. Goal: a sender cannot fill the receiver's memory with a chunk that never ends. Method: a
    small bound.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        parcels = await transfer(house)
        house.hold((B, A))
        house.take(B, A, SnapshotTaken)
        with mock.patch("raft.installs.CHUNK_MAX_BYTES", PART_BYTES):
            house.tell(A, B, parcels[0])
            for number in range(3):
                part = SnapshotPart(parcels[0].term, parcels[0].transfer, number, b"x" * 40, False)
                house.tell(A, B, part)
            await until(lambda: house[B].node._driver.receiver._task is None, "it ends")
        assert [m.number for m in house.take(B, A, SnapshotTaken)] == [0, -1]
        intact(house)


# -- flow ---------------------------------------------------------------------------------------


async def test_parts_are_sent_a_few_ahead_of_the_answers() -> None:
    """Goal: a receiver that takes nothing is sent sixteen parts, and more as it takes them; a
    sender that does not wait is not listened to for ever. Method: count.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house, text=b"x" * 200)
        house.hold((A, B))
        reconnect(house)
        parts: list[SnapshotPart] = []

        def count() -> int:
            parts.extend(
                message
                for message in house.deliver_all_but(A, B, (SnapshotBegin, SnapshotPart))
                if isinstance(message, SnapshotPart)
            )
            return len(parts)

        await until(lambda: count() >= 16, "A sends")
        await settle()
        assert count() == 16
        assert max(len(part.data) for part in parts) <= PART_BYTES
        house.tell(B, A, SnapshotTaken(parts[0].term, parts[0].transfer + 1, 12))
        await settle()
        house.tell(B, A, SnapshotTaken(parts[0].term - 1, parts[0].transfer, 12))
        await settle()
        assert count() == 16, "an answer to another transfer"
        house.tell(B, A, SnapshotTaken(parts[0].term, parts[0].transfer, 4))
        await until(lambda: count() >= 21, "A sends more")
        await settle()
        assert count() == 21
        house.disconnect(A, B)
        await until(lambda: not house[A].node._driver.sender._transfers, "A has ended it")
        house.flow()
        reconnect(house)
        await until(lambda: house[B].has(b"k19" + b"x" * 200), "a new one goes through")


async def test_a_transfer_ends_with_its_connection_and_is_begun_again() -> None:
    """Goal: what was on a connection that broke is lost; another transfer begins on the next one.
    Method: break it in the middle.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house, text=b"x" * 200)
        house.hold((A, B))
        reconnect(house)
        await until(lambda: "SnapshotPart" in house.kinds(A, B), "A sends")
        house.deliver(A, B)
        first = house[A].node._driver.sender._number
        house.disconnect(A, B)
        await until(lambda: not house[A].node._driver.sender._transfers, "A has ended it")
        house.flow()
        reconnect(house)
        await until(lambda: house[B].has(b"k19" + b"x" * 200), "the next one goes through")
        assert house[A].node._driver.sender._number > first


async def test_a_receiver_does_not_wait_for_what_was_lost() -> None:
    """Goal: what was on its way when a connection broke does not come any more: the receiver gives
    the transfer up, too, and not one from another member. Method: begin one, lose connections.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        parcels = await transfer(house)
        receiver = house[B].node._driver.receiver
        house.connect(B, C)
        for message in parcels[:2]:
            house.tell(A, B, message)
        house.disconnect(B, C)
        await settle()
        assert receiver._task is not None
        house.disconnect(A, B)
        await until(lambda: receiver._task is None, "it is given up")
        assert house[B].files == []


async def test_a_transfer_ends_with_a_connection_that_is_back_at_once() -> None:
    """Goal: as above when the next connection is there in the same turn and something is to be
    sent: what was on its way is lost all the same, and nobody waits for an answer to it. Method:
    all parts are on their way; break and mend at once.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        house.hold((A, B))
        reconnect(house)
        await until(
            lambda: any(isinstance(m, SnapshotPart) and m.last for m in house.on_the_way(A, B)),
            "A has sent it all",
        )
        house[A].propose(b"load")
        house.disconnect(A, B)
        house.held.clear()
        house.connect(A, B)
        await until(lambda: house[B].has(b"k19"), "the next one goes through", 2)


async def test_who_is_within_the_trailing_window_is_sent_no_snapshot() -> None:
    """L9. Goal: behind a snapshot the newest commands stay in the log, and a member that lacks no
    more than these goes on from them. Method: one that lacks one command, and a snapshot.
    """
    async with assembled(A, B, C, snapshot_count=5, trailing_commands=3) as house:
        await house.elect(A)
        for number in range(10):
            await within(house[A].propose(b"k%d" % number))
        await house.same()
        house.partition({A, C}, {B})
        await within(house[A].propose(b"missed"))
        compactor, log = house[A].node.compactor, house[A].node._log
        await until(lambda: compactor._task is None, "no snapshot is under way")
        await within(house[A].node._take_snapshot())
        assert compactor.last_index == house[A].node.applied_index
        assert log.commands_up_to(log.last_index) - log.commands_up_to(log.first_index) == 3
        reconnect(house)
        await house.same()
        assert house[A].node._driver.sender._number == 0


async def test_what_a_receiver_will_need_next_is_not_compacted() -> None:
    """Goal: while a snapshot is sent, the log stays from its index on, so that the receiver can go
    on from there. Method: many more commands and snapshots of the leader during a transfer.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        house.hold((A, B))
        reconnect(house)
        await until(lambda: "SnapshotBegin" in house.kinds(A, B), "A sends")
        [begin] = [m for m in house.on_the_way(A, B) if isinstance(m, SnapshotBegin)]
        before = house[A].node.compactor.last_index
        for number in range(20):
            await within(house[A].propose(b"more%d" % number))
        await until(lambda: house[A].node.compactor.last_index > before, "A takes another")
        await until(lambda: house[A].node.compactor._task is None, "A has taken it")
        assert house[A].node._log.first_index <= begin.index
        house.flow()
        await until(lambda: house[B].has(b"k19"), "B has it")
        assert house[A].node._driver.sender._number == 1
        house[A].pass_time(101)
        await until(lambda: house[B].has(b"more19"), "B goes on")
        assert house[A].node._driver.sender._number == 1


async def test_who_has_all_that_a_snapshot_covers_says_so_at_once() -> None:
    """Goal: a snapshot that is not needed is acknowledged as far as it reaches, when that is on
    disk, and not received. Method: offer one of the past.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].propose(b"k1"))
        await house.same()
        house.hold((B, A))
        standing = encode_standing(Standing((peer(A),), 0))
        index = house[B].commit_index
        house.tell(A, B, SnapshotBegin(house[A].node.term, 5, index, 2, standing, 1))
        await until(lambda: house.on_the_way(B, A), "B answers")
        [answer] = house.take(B, A, Appended)
        assert (answer.ok, answer.index) == (True, index)
        assert house[B].files == []
        house.tell(A, B, SnapshotBegin(house[A].node.term - 1, 5, index + 9, 2, standing, 1))
        await settle()
        assert house[B].node._driver.receiver._task is None
        house.flow()


# -- what is installed ---------------------------------------------------------------------------


async def test_an_install_keeps_the_log_that_goes_on_from_it() -> None:
    """Goal: a snapshot of what the log holds already replaces the state and not the log. Method: a
    member that has entries and does not know them to be committed is sent the snapshot of them.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        base = house[B].node.applied_index
        entries = [(entry(b"k%d" % n), base + n, 2) for n in range(1, 7)]
        house.hold((B, A))
        house.tell(A, B, Append(2, base, 2, base, entries))
        await settle()
        meta = SnapshotMeta(
            base + 3, 2, encode_standing(Standing((peer(A), peer(B), peer(C)), 0)), 4
        )
        state = [b"founded", b"k1", b"k2", b"k3"]
        assert house[B].node.driver.install(meta, state)
        assert house[B].node._log.last_index == base + 6
        assert (house[B].node.applied_index, house[B].commit_index) == (base + 3, base + 3)
        assert not house[B].node.driver.install(meta, state), "again"
        house.tell(A, B, Append(2, base + 6, 2, base + 6, []))
        await until(lambda: house[B].node.applied_index == base + 6, "it goes on")
        assert house[B].machine.commands == [b"founded", *(b"k%d" % n for n in range(1, 7))]
        house.disconnect(A, B)  # what it would acknowledge was made up above


async def test_an_install_never_goes_back() -> None:
    """Goal: a snapshot that took so long that the log has overtaken it changes nothing. Method:
    install one below what is applied, and one at it.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        for number in range(5):
            await within(house[A].propose(b"k%d" % number))
        await house.same()
        applied = house[B].node.applied_index
        standing = encode_standing(Standing((peer(A), peer(B), peer(C)), 0))
        for index in (applied - 1, applied):
            meta = SnapshotMeta(index, 2, standing, 1)
            assert not house[B].node.driver.install(meta, [b"old"])
        assert house[B].node.applied_index == applied
        assert not house[B].has(b"old")
        assert not house[B].node.journal.pending


async def test_an_install_is_acknowledged_when_its_mark_is_on_disk() -> None:
    """Goal: file, mark, acknowledgement, in this order. Method: hold up the journal of the receiver
    when it is to write the mark.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        await house[B].go_slow() if house[B].node.status.is_leader else None
        house[B].node.driver.writing.average_ns = 1e15
        house[B].node.driver.writing.is_slow = True
        gate = Gate(house[B], "sync", WAL)
        reconnect(house)
        await until(lambda: house[B].has(b"k19"), "it is installed")
        await until(lambda: gate.came, "the mark is written")
        await settle()
        assert [name for name in house[B].files if name.endswith(".snapshot")]
        assert house[A].node.progress[B][0] < house[B].node.applied_index
        gate.open()
        await until(
            lambda: house[A].node.progress[B][0] >= house[B].node.applied_index, "acknowledged"
        )


async def test_a_restart_behind_an_install_loses_nothing() -> None:
    """Goal: what came behind a snapshot from elsewhere is there after a restart, from the first
    entry on, and is not taken for committed before it is. Method: install, follow, restart; once
    with entries that are known to be committed, once with one that is not.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        reconnect(house)
        await until(lambda: house[B].has(b"k19"), "B has the snapshot")
        await until(lambda: house.knows(A, B), "A knows")
        base = house[B].node._log.first_index
        house.hold((A, B))
        await within(house[A].propose(b"first"))
        await until(lambda: "Append" in house.kinds(A, B), "A sends it")
        house.take(A, B, Commit)
        house.deliver(A, B)
        await until(lambda: house[B].node._log.durable == base + 1, "B has it")
        await house.crash(B)
        house.restart(B)
        assert house[B].node._log.last_index == base + 1
        assert house[B].commit_index == base
        assert house[B].node.applied_index == base
        house.held.clear()
        house.heal()
        house[A].pass_time(101)
        await house.same()

        await within(house[A].propose(b"second"))
        await house.same()
        await house.crash(B)
        house.restart(B)
        house.heal()
        house[A].pass_time(101)
        await house.same()
        assert house[B].machine.commands[-2:] == [b"first", b"second"]


async def install_cut_short(divergent: bool, operations: int) -> bool:
    """Cut an install short after so many operations of the disk; tell whether there were more."""
    async with assembled(A, B, C, **SMALL) as house:
        await (cut_off_with_ghosts if divergent else left_behind)(house)
        member = house[B]
        member.disk.lose_power_after(operations)
        reconnect(house)
        ended = lambda: member.fatal or member.has(b"k19") or member.disk.dead  # noqa: E731
        await until(ended, "it ends somehow")
        await settle()
        died = member.disk.dead or bool(member.fatal)
        await house.crash(B, random.Random(operations))
        await house[A].ticked()
        house.restart(B)
        commands = member.machine.commands
        assert commands == [b"founded"] or commands[-1] == b"k19"
        assert b"ghost" not in commands
        house.heal()
        house[A].pass_time(101)
        await until(lambda: member.has(b"k19"), "it catches up")
        await within(house[A].propose(b"last"))
        house[A].pass_time(101)
        await house.same()
        return died


@pytest.mark.parametrize("divergent", [False, True])
async def test_a_crash_anywhere_in_an_install_leaves_the_old_or_the_new_state(
    divergent: bool,
) -> None:
    """Goal: wherever an install is cut short, between the file and the mark as elsewhere, the
    member starts again, with its old state or with the new one, and catches up. Method: lose power
    at each operation of the receiver's disk in turn.
    """
    operations = 0
    while await install_cut_short(divergent, operations):
        operations += 1
    assert operations > 5


async def test_a_full_disk_is_no_end_of_the_receiver() -> None:
    """Goal: a receiver without room for the snapshot gives the transfer up, leaves nothing and goes
    on; a later try works. Method: no room for files of snapshots for a while.
    """
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)

        def full(operation: str, path: str) -> None:
            if path.startswith(SNAP) and operation == "pwrite":
                raise OSError(errno.ENOSPC, "no room")

        house[B].disk.before = full
        reconnect(house)
        await until(lambda: house[A].node._driver.sender._number >= 2, "A tries again")
        intact(house)
        house[B].disk.before = lambda _operation, _path: None
        await until(lambda: house[B].has(b"k19"), "it works")


async def test_who_cannot_write_a_snapshot_is_tried_less_and_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Goal: a member whose disk stays full has it written full a few times a minute and not all the
    time, and both logs say so once; when it comes back it is tried at once. Method: look at the
    leader's pause at each try.
    """
    caplog.set_level(logging.INFO, "raft")
    async with assembled(A, B, C, **SMALL) as house:
        await left_behind(house)
        sender = house[A].node.driver.sender
        assert sender is not None
        tries: list[tuple[float, tuple[float, float]]] = []

        def full(operation: str, path: str) -> None:
            if path.startswith(SNAP) and operation == "pwrite":
                tries.append((time.monotonic(), sender._pauses.get(B, (0.0, 0.0))))
                raise OSError(errno.ENOSPC, "No space left on device")

        house[B].disk.before = full
        with (
            mock.patch("raft.installs._RETRY_S", 0.01),
            mock.patch("raft.installs._PAUSE_MAX_S", 0.05),
        ):
            reconnect(house)
            await until(lambda: len(tries) >= 6, "A tries again")
            assert [pause for _at, (pause, _due) in tries][:6] == [
                0,
                0.02,
                0.04,
                0.05,
                0.05,
                0.05,
            ]
            assert all(at >= due for at, (_pause, due) in tries)
            told = [record.getMessage() for record in caplog.records]
            assert told.count("could not receive a snapshot: no space left on device") == 1
            assert len([line for line in told if "cannot write the snapshot" in line]) == 1
            assert not any("stopped sending" in line for line in told)
        await until(lambda: B in sender._pauses, "the last try has failed")
        house.disconnect(A, B)
        assert B not in sender._pauses
        house[B].disk.before = lambda _operation, _path: None
        reconnect(house)
        await until(lambda: house[B].has(b"k19"), "it works")


# -- one's own snapshots -------------------------------------------------------------------------


async def snapshot_cut_short(operations: int) -> bool:
    """Cut a lone member short after so many operations; tell whether there were more."""
    async with assembled(A, snapshot_count=10, trailing_commands=3) as house:
        member = house[A]
        acknowledged: list[bytes] = []

        async def write(number: int) -> None:
            reply = member.propose(b"k%d" % number)
            await until(lambda: reply.done() or member.fatal, "it ends")
            if not member.fatal:
                acknowledged.append(b"k%d" % number)

        for number in range(8):
            await write(number)
        member.disk.lose_power_after(operations)
        for number in range(8, 16):
            if not member.fatal:
                await write(number)
        await until(lambda: member.fatal or member.node.compactor._task is None, "it ends")
        died = member.disk.dead
        await house.crash(A, random.Random(operations))
        house.restart(A)
        await within(member.read())
        assert member.machine.commands[1 : len(acknowledged) + 1] == acknowledged
        return died


async def test_a_crash_anywhere_in_a_snapshot_of_ones_own_loses_nothing() -> None:
    """R05, D1. Goal: file, mark, compaction: wherever that is cut short, a restart has everything
    that was acknowledged. Method: lose power at each operation of a lone member's disk in turn,
    from shortly before a snapshot is due.
    """
    operations = 0
    while await snapshot_cut_short(operations):
        operations += 1
    assert operations > 10


async def test_what_a_snapshot_makes_superfluous_goes_when_its_mark_is_on_disk() -> None:
    """D1. Goal: file, mark, compaction, one after the other and without waiting for the next
    snapshot. Method: a log of several segments; count those after one snapshot.
    """
    async with assembled(A, snapshot_count=1000, trailing_commands=0) as house:
        for _ in range(20):
            await within(house[A].propose(bytes(16 << 10)))
        journal = house[A].node.journal
        assert journal.segments > 3
        await within(house[A].node._take_snapshot())
        assert journal.segments <= 2


async def test_a_snapshot_that_was_overtaken_by_an_install_is_not_marked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Goal: a mark never goes back: a snapshot of one's own that is finished after a newer one was
    installed is given up. Method: hold up the file of one's own while the other comes.
    """
    async with assembled(A, B, C, snapshot_count=1000, trailing_commands=0) as house:
        await house.elect(A)
        await within(house[A].propose(b"k"))
        await house.same()
        gate = Gate(house[B], "rename", SNAP)
        own = asyncio.ensure_future(house[B].node._take_snapshot())
        await until(lambda: gate.came, "its own is nearly there")
        index = house[B].node.applied_index
        standing = encode_standing(Standing((peer(A), peer(B), peer(C)), 0))
        meta = SnapshotMeta(index + 10, 2, standing, 12)
        state = [*house[B].machine.commands, *(b"k" for _ in range(10))]
        assert house[B].node.driver.install(meta, state)
        house[B].node.compactor.installed(meta)
        gate.open()
        await within(own)
        await settle()
        assert house[B].node.compactor.last_index == index + 10
        assert house[B].node.journal._outline.mark == (index + 10, 2)
        assert not house[B].fatal
        assert not [record for record in caplog.records if record.levelname == "ERROR"]
        house[B].machine.commands = list(house[A].machine.commands)  # made up above
