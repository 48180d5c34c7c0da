"""In which order things happen: append, send, sync, promise, commit, apply, reply."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from raft import ProposalFailed
from raft.batch import COMMANDS_MAX, decode
from raft.errors import MOST_NO_SPACE
from raft.messages import Append, Appended, AskVote, Beat, Commit, Vote
from tests.raft.fence.assembly import POISON, Delegate, Gate, assembled, quiet, settle, until, why
from tests.raft.fence.parliament import ELECTION_MS, HEARTBEAT_MS
from tests.raft.member import DEADLINE_S, WAL, within

if TYPE_CHECKING:
    from raft.journal import Chunk
    from raft.messages import Message

A, B, C = 1, 2, 3


async def test_a_leader_does_not_count_itself_before_its_own_disk_has_the_entry() -> None:
    """S12, D3. Goal: while the leader's sync is pending, it and one follower of three are no
    majority: nothing is committed, nobody applies, and the follower's client is told nothing, for
    the leader and that follower may lose it. Method: hold up the leader's disk, propose at the
    follower; then both lose power, and the third leads.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house[A].go_slow()
        await house.same()
        gate = Gate(house[A])
        house.hold((A, C))
        commit = house[A].commit_index
        reply = house[B].propose(b"k1")
        await until(lambda: gate.came, "the leader writes")
        await until(lambda: house[A].node.progress[B][0] > commit, "the follower has it")
        await settle()
        house[A].pass_time(HEARTBEAT_MS)
        await until(lambda: "Beat" in house.kinds(A, C), "the leader ticks")
        await settle()
        assert house[A].commit_index == house[B].commit_index == commit
        assert not reply.done()
        assert not house[B].has(b"k1")

        gate.open()
        await house.crash(A)
        await house.crash(B)
        house.restart(A)
        house.held.clear()
        house.heal()
        await house.elect(C, A)
        assert not house[C].has(b"k1")


async def test_a_leader_commits_when_its_own_disk_has_the_entry() -> None:
    """Goal: the same to a good end: with the sync done, all of it happens. Method: as above."""
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house[A].go_slow()
        gate = Gate(house[A])
        reply = house[B].propose(b"k1")
        await until(lambda: gate.came, "the leader writes")
        gate.open()
        await within(reply)
        await house.same()


async def test_a_write_releases_only_what_it_covers() -> None:
    """Goal: acknowledgements of what came while a write was under way wait for the next write.
    Method: hold up a follower's disk at two writes, look at what it says after each.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house[B].go_slow()
        await house.same()
        gate = Gate(house[B])
        house.hold((B, A))
        house[A].propose(b"k1")
        await until(lambda: gate.came == 1, "the follower writes")
        first = house[A].node._log.last_index
        house[A].propose(b"k2")
        await until(lambda: house[B].node._log.last_index == first + 1, "the follower has both")
        assert house.take(B, A, Appended) == []
        gate.let_one_through()
        await until(lambda: gate.came == 2, "the follower writes again")
        await settle()
        assert {answer.index for answer in house.take(B, A, Appended)} == {first}
        gate.open()
        await until(lambda: "Appended" in house.kinds(B, A), "the follower has written")
        assert {answer.index for answer in house.take(B, A, Appended)} == {first + 1}
        house.flow()


@pytest.mark.parametrize("slow", [False, True])
async def test_nothing_is_promised_before_it_is_on_disk(slow: bool) -> None:
    """Goal: neither acknowledgement nor vote nor a candidate's question leaves before what it is
    about is on disk, whether that is written on the event loop or in a thread. Method: watch what
    is sent and what is written through an election and two proposals.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        if slow:
            for member in (A, B, C):
                await house[member].go_slow()
        await house.same()
        promises = [watch_promises(delegate) for delegate in house.up]
        await within(house[B].propose(b"k1"))
        await house.elect(C)
        await within(house[A].propose(b"k2"))
        assert set().union(*promises) == {"Appended", "AskVote", "Vote"}


def watch_promises(delegate: Delegate) -> set[str]:
    """Fail when a member promises what is not on its disk; return what it promises."""
    made: set[str] = set()
    log, journal, transport = delegate.node._log, delegate.node.journal, delegate.transport
    term_on_disk = journal._outline.term
    write, send = journal.write, transport.send

    def watched_write(chunk: Chunk) -> None:
        nonlocal term_on_disk
        term = journal._outline.term
        write(chunk)
        term_on_disk = term

    def watched_send(member: int, message: Message) -> bool:
        match message:
            case Appended(ok=True):
                made.add("Appended")
                if message.index > log.durable:
                    delegate.fatal.append(AssertionError(f"{message} before it is on disk"))
            case Vote(granted=True, pre=False) | AskVote(pre=False):
                made.add(type(message).__name__)
                if message.term > term_on_disk:
                    delegate.fatal.append(AssertionError(f"{message} before it is on disk"))
        return send(member, message)

    journal.write = watched_write  # type: ignore[method-assign]
    transport.send = watched_send  # type: ignore[method-assign]
    return made


async def test_nothing_is_applied_before_it_is_on_this_disk() -> None:
    """Goal: a member that learns that an entry is committed before its own disk has it does not
    apply it yet: a crash would make it forget what it has shown. Method: hold up the disk of the
    third member; the two others commit.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house[C].go_slow()
        await house.same()
        gate = Gate(house[C])
        await within(house[A].propose(b"k1"))
        await until(lambda: gate.came, "the third writes")
        await until(lambda: house[C].commit_index == house[A].commit_index, "it knows")
        await settle()
        assert not house[C].has(b"k1")
        gate.open()
        await house.same()


async def test_what_comes_in_during_a_write_is_one_entry_behind_it() -> None:
    """Goal: all that came in while a write was under way shares the next entry and the next sync.
    Method: hold up a lone member's disk, propose many times.
    """
    async with assembled(A) as house:
        await house[A].go_slow()
        gate = Gate(house[A])
        house[A].propose(b"first")
        await until(lambda: gate.came, "it writes")
        before = house[A].node._log.last_index
        replies = [house[A].propose(b"k%d" % number) for number in range(20)]
        await settle()
        assert house[A].node._log.last_index == before
        assert not any(reply.done() for reply in replies)
        gate.open()
        await within(asyncio.gather(*replies))
        assert house[A].node._log.last_index == before + 1
        assert gate.came == 1


async def test_an_entry_holds_so_many_commands_and_no_more() -> None:
    """Goal: entries are closed at their bounds. Method: one command more than fit by number."""
    async with assembled(A, segment_bytes=1 << 20) as house:
        replies = [house[A].propose(b"k") for _ in range(COMMANDS_MAX + 1)]
        await within(asyncio.gather(*replies))
        entries = [decode(data) for data, _index, _term in house[A].node._log.entries]
        assert [len(entry.commands) for entry in entries if entry] == [1, COMMANDS_MAX, 1]


async def test_a_follower_whose_journal_has_no_room_waits_for_it() -> None:
    """Goal: a follower on a full disk lets the entries wait that don't fit into what it has
    prepared, asks for room, but not all the time, does not fail, and takes them when there is some.
    Method: no new files for a while, and more than fits; each file that it tries to make counts.
    """
    async with assembled(A, B, C, segment_bytes=64 << 10) as house:
        await house.elect(A)
        await house.same()
        tries: list[str] = []

        def full(operation: str, path: str) -> None:
            if operation == "create" and path.startswith(WAL):
                tries.append(path)
                raise OSError(errno.ENOSPC, "no room")

        house[B].disk.before = full
        for number in range(6):
            await within(house[A].propose(b"%d" % number + bytes(16 << 10)))
            house[A].pass_time(101)
            await house[A].ticked()
        await settle()
        assert house[B].node._log.last_index < house[A].node._log.last_index
        assert not house[B].fatal
        driver = house[B].node.driver
        assert driver.wants_room
        await until(lambda: tries, "it tries to make a file")
        began_s, before = time.monotonic(), len(tries)
        for _ in range(50):
            driver.wake()
            await settle()
        assert len(tries) - before <= 1 + time.monotonic() - began_s

        house[B].disk.before = lambda _operation, _path: None
        await until(lambda: not driver.disk_full, "it finds out that there is room")
        for _ in range(30):
            house[A].pass_time(101)
            await house[A].ticked()
        await house.same()


async def test_what_most_disks_have_no_room_for_is_refused() -> None:
    """Goal: while the disks of most members are full, a leader whose own is not refuses writes and
    says why instead of logging what cannot be committed; when one of them has room, they are taken
    again, and what was logged before is committed. Method: two of three make no files for a while.
    """
    async with assembled(A, B, C, segment_bytes=64 << 10) as house:
        await house.elect(A)
        await house.same()

        def full(operation: str, path: str) -> None:
            if operation == "create" and path.startswith(WAL):
                raise OSError(errno.ENOSPC, "no room")

        house[B].disk.before = house[C].disk.before = full
        value = bytes(16 << 10)
        logged = [house[A].propose(b"logged %d" % number + value) for number in range(6)]
        for member in (B, C):
            await until(lambda of=member: house[of].node.driver.disk_full, "its disk is full")
        while not house[A].node._engine.leading.lacks_room:
            house[A].pass_time(101)
            await house[A].ticked()
        await within(house[A].read())
        assert house[A].node._engine.leading.lacks_room, "a beat says the same"
        last = house[A].node._log.last_index
        own, other = house[A].propose(b"own"), house[B].node.driver
        await until(lambda: own.done(), "it is refused")
        assert why(own) == MOST_NO_SPACE
        assert other.disk_full
        assert house[A].node._log.last_index == last
        assert house[A].node._engine.is_leader

        house[C].disk.before = lambda _operation, _path: None
        await until(lambda: not house[A].node._engine.leading.lacks_room, "A hears of it")
        for _ in range(30):
            house[A].pass_time(101)
            await house[A].ticked()
        await within(house[A].propose(b"again"))
        assert all(reply.done() and not why(reply) for reply in logged)


async def test_a_full_disk_counts_once_something_had_no_room_on_it() -> None:
    """Goal: while followers' full disks still have files with room in them, writes are taken.
    Method: two of three find their disks full with hardly anything logged; a
    read asks them.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        for member in (B, C):
            house[member].node.driver.set_disk_full(full=True)
        await within(house[A].read())
        await settle()
        assert not house[A].node._engine.leading.lacks_room
        assert all(house[member].node.driver.disk_full for member in (B, C))
        await within(house[A].propose(b"fits"))


async def test_what_is_not_committed_is_bounded() -> None:
    """Goal: a leader whose followers do not take anything logs so much and no more; what waits is
    logged when they do. Method: a small bound, nothing gets through for a while.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        with mock.patch("raft.appender.UNCOMMITTED_BYTES_MAX", 100_000):
            house.hold((A, B), (A, C))
            replies = [house[A].propose(b"%d" % number + bytes(30_000)) for number in range(20)]
            await settle()
            log = house[A].node._log
            assert 100_000 <= log.uncommitted_bytes <= 100_000 + 1_100_000
            waiting = house[A].propose(b"waiting")
            await settle()
            assert house[A].node.driver.wants_room is False
            assert log.uncommitted_bytes <= 1_200_000
            house.flow()
            for _ in range(10):
                house[A].pass_time(101)
                await house[A].ticked()
            await within(waiting)
            assert all(reply.done() for reply in replies)
            assert log.uncommitted_bytes == 0


async def test_a_leader_whose_disk_hangs_is_replaced() -> None:
    """Goal: during a write a leader goes on beating, but not for longer than an election time-out:
    a disk that hangs must not keep its cluster from writing. Method: hold up the leader's disk, let
    time pass for everyone.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house[A].go_slow()
        await house.same()
        gate = Gate(house[A])
        reply = house[B].propose(b"k1")
        await until(lambda: gate.came, "the leader writes")
        house.hold((A, B), (A, C))
        for elapsed_ms in range(0, 3 * ELECTION_MS, HEARTBEAT_MS):
            for link in ((A, B), (A, C)):
                house.links[link].clear()
            house[A].pass_time(HEARTBEAT_MS)
            await house[A].ticked()
            beats = "Beat" in house.kinds(A, B)
            assert beats == (elapsed_ms + HEARTBEAT_MS < ELECTION_MS), elapsed_ms
        await house.elect(B, C)
        await within(reply)
        gate.open()
        house.flow()
        await house.same()
        assert house[A].has(b"k1") == 1


async def test_reads_do_not_keep_a_leader_whose_disk_hangs() -> None:
    """Goal: as above, while clients go on asking for quorum reads. Method: as above, with a read at
    every heartbeat.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house[A].go_slow()
        await house.same()
        gate = Gate(house[A])
        house[A].propose(b"k1")
        await until(lambda: gate.came, "the leader writes")
        house.hold((A, B))
        for elapsed_ms in range(0, 3 * ELECTION_MS, HEARTBEAT_MS):
            house.links[A, B].clear()
            house[A].pass_time(HEARTBEAT_MS)
            house[A].read()
            await house[A].ticked()
            if elapsed_ms > ELECTION_MS:
                assert "Beat" not in house.kinds(A, B), elapsed_ms
        gate.open()
        house.flow()


async def test_a_leader_that_hears_nobody_steps_down() -> None:
    """S13. Goal: time alone makes a leader without a majority step down, and a follower without a
    leader notice. Method: hold everything, let time pass.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold_all(A)
        for _ in range(ELECTION_MS // HEARTBEAT_MS + 1):
            house[A].pass_time(HEARTBEAT_MS)
            house[B].pass_time(HEARTBEAT_MS)
            await house[A].ticked()
        assert not house[A].node.status.is_leader
        assert house[A].node.status.leader == house[B].node.status.leader == 0
        house.flow()


async def test_an_error_of_the_state_machine_is_the_end() -> None:
    """R19, L5. Goal: what the state machine cannot take ends the process before another reply, and
    is given to it once. Method: a poisoned command among good ones.
    """
    async with assembled(A) as house:
        member = house[A]
        await within(member.propose(b"before"))
        calls: list[bytes] = []
        apply = member.machine.apply
        member.machine.apply = lambda s, w, c: (calls.extend(c), apply(s, w, c))[1]  # type: ignore[method-assign]
        poisoned = member.propose(POISON)
        await until(lambda: member.fatal, "it is fatal")
        after = member.propose(b"after")
        await settle()
        with pytest.raises(ProposalFailed):
            await after
        assert calls == [POISON]
        assert not poisoned.done()
        assert len(member.fatal) == 1
        await house.end(A)
        with pytest.raises(ProposalFailed, match="unknown"):
            await poisoned


@pytest.mark.parametrize("slow", [False, True])
async def test_a_sync_that_fails_is_the_end(slow: bool) -> None:
    """Goal: after a failed sync nothing is acknowledged, applied or written any more. Method: let
    the disk fail, on the event loop and in the thread.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        if slow:
            await house[B].go_slow()
        await house.same()
        house.hold((B, A))
        house[B].disk.fail_sync_after(0)
        await within(house[A].propose(b"k1"))
        await until(lambda: house[B].fatal, "it is fatal")
        house[A].propose(b"k2")
        await settle()
        assert not house.take(B, A, Appended)
        assert not house[B].has(b"k1")
        assert isinstance(house[B].fatal[0], OSError)
        await house.end(B)


async def test_a_message_that_makes_no_sense_is_the_end() -> None:
    """Goal: what agreement rules out ends the process. Method: a second leader of the same term."""
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.tell(B, A, Beat(house[A].node.term, 0))
        assert house[A].fatal
        await house.end(A)


async def test_what_waits_for_a_reply_cannot_disturb() -> None:
    """R19b, S8. Goal: a client that has gone away, or whose callback raises, changes nothing: the
    command is applied once, here as everywhere. Method: cancel one future, let the callback of
    another one raise.
    """
    loop = asyncio.get_running_loop()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))

    def fail(_done: object) -> None:
        raise RuntimeError("the client went away")

    async with assembled(A, B, C) as house:
        await house.elect(A)
        for member in (A, B):
            house[member].node.propose(b"cancelled").cancel()
            quiet(house[member].node.propose(b"raises")).add_done_callback(fail)
            await within(house[member].propose(b"last"))
        await house.same()
        for command in (b"cancelled", b"raises", b"last"):
            assert house[A].has(command) == 2
    assert complaints


async def test_a_flush_waits_for_the_disk() -> None:
    """Goal: whoever asks that the buffer be on disk is told when it is. Method: on the event loop,
    and with the disk held up.
    """
    async with assembled(A) as house:
        driver = house[A].node.driver
        await within(driver.flush())
        await house[A].go_slow()
        gate = Gate(house[A])
        house[A].propose(b"k1")
        await until(lambda: gate.came, "it writes")
        flushed = driver.flush()
        await settle()
        assert not flushed.done()
        gate.open()
        await within(flushed)


async def test_what_is_sent_does_not_wait_for_the_disk() -> None:
    """Goal: network and disk work at the same time: entries leave before they are synced. Method:
    look when the first append leaves.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house[A].go_slow()
        await house.same()
        gate = Gate(house[A])
        house.hold((A, B))
        house[A].propose(b"k1")
        await until(lambda: gate.came, "it writes")
        assert house.take(A, B, Append)
        gate.open()
        await until(lambda: house.take(A, B, Commit), "the commit index follows at once")
        house.flow()


async def test_a_fast_disk_does_not_hold_up_what_is_sent_either() -> None:
    """Goal: as above when the disk is written on the event loop: what was handed to the transport
    gets a turn to leave before the loop is held up by the disk. Method: look, at each sync of the
    leader, how far the follower's log is.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        seen: list[tuple[int, int]] = []

        def look(operation: str, path: str) -> None:
            if operation == "sync" and path.startswith(WAL):
                seen.append((house[A].node._log.last_index, house[B].node._log.last_index))

        house[A].disk.before = look
        await within(house[A].propose(b"k1"))
        assert seen
        assert all(leaders == followers for leaders, followers in seen)


async def test_a_leader_that_stops_lets_another_one_lead_first() -> None:
    """Goal: a stop costs no election time-out: a leader hands over and waits until it is deposed;
    who does not lead, or has stopped, waits for nobody. Method: hand over with clocks that stand
    still.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        await within(house[B].node.driver.hand_over(2 * DEADLINE_S))
        assert house[A].node.status.is_leader
        await within(house[A].node.driver.hand_over(2 * DEADLINE_S))
        assert not house[A].node.status.is_leader
        await until(lambda: house.leads(B) or house.leads(C), "another one leads")
        await house.end(A)
        await within(house[A].node.driver.hand_over(2 * DEADLINE_S))


async def test_cluster_time_stands_still_while_nobody_leads() -> None:
    """Goal: a new leader's stamps go on from the newest one in the log, committed or not; an outage
    lets no time pass and no stamp is below the one before it. Method: stamps through an election an
    hour later.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].propose(b"k1"))
        house[A].pass_time(50)
        await within(house[A].propose(b"k2"))
        await house.same()
        stamps = house[A].machine.stamps
        assert stamps[-1] - stamps[-2] == 50_000_000
        house[A].pass_time(30)
        house.hold((C, A))
        house.hold((A, C))
        house.hold((B, A))
        house[A].propose(b"uncommitted")
        await until(lambda: house[B].node._log.last_index > house[A].commit_index, "B has it")
        await house.crash(A)
        for member in (B, C):
            house[member].pass_time(3_600_000)
        await house.elect(B, C)
        await within(house[B].propose(b"k3"))
        stamps = house[B].machine.stamps
        assert stamps[-2] - stamps[-3] == 30_000_000
        assert 0 <= stamps[-1] - stamps[-2] < 10_000_000


async def test_the_leader_logs_the_time_while_it_matters() -> None:
    """Goal: every half second while the state machine wants it, by the leader only. Method: want
    it, let time pass.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        before = house[A].node._log.last_index
        house[A].pass_time(600)
        await house[A].ticked()
        assert house[A].node._log.last_index == before
        for member in (A, B, C):
            house[member].machine.tick = b"time"
        for _ in range(3):
            for member in (A, B, C):
                house[member].pass_time(501)
            count = house[C].has(b"time")
            await until(lambda: house[C].has(b"time") == count + 1, "it is logged once")  # noqa: B023
            await house[B].ticked()
        await house.same()
        assert house[A].has(b"time") == 3


async def test_clients_are_answered_before_followers_hear_of_it() -> None:
    """Goal: a client of the leader does not wait for messages to followers that change nothing for
    it; each follower is told once, at once, and not at all if an append takes it along. Method: the
    order of the answer and of what is sent; then a write in the turn that commits another one.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        told: list[str] = []
        carry = house.carry

        def listened(sender: int, receiver: int, message: Message) -> bool:
            if sender == A and isinstance(message, Append | Commit) and message.commit > known:
                told.append(type(message).__name__)
            return carry(sender, receiver, message)

        known = house[A].commit_index
        with mock.patch.object(house, "carry", listened):
            written = house[A].propose(b"k1")
            written.add_done_callback(lambda _done: told.append("answer"))
            await within(written)
            await until(lambda: len(told) == 3, "the followers are told")
            assert told == ["answer", "Commit", "Commit"]
            await house.same()

            told.clear()
            known = house[A].commit_index
            house.hold((B, A), (C, A))
            house[A].propose(b"k2")
            await until(lambda: "Appended" in house.kinds(B, A), "B has it")
            house[A].propose(b"k3")
            house.deliver(B, A)
            house.flow()
            await until(lambda: len(told) == 4, "the followers are told")
            await house.same()
            assert told == ["Append", "Append", "Commit", "Commit"]
