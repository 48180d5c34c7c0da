"""Reads through a read index: never stale, never without an end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from raft import ProposalFailed
from raft.errors import STOPPED, TIMED_OUT
from raft.messages import AskIndex, Beat, Beaten, TellIndex
from raft.reads import Reads
from tests.raft.fence.assembly import Assembly, assembled, settle, until, why
from tests.raft.fence.parliament import ELECTION_MS
from tests.raft.member import within

A, B, C = 1, 2, 3
TIMEOUT_MS = 7000


async def asked(house: Assembly, sender: int, receiver: int) -> AskIndex:
    """The question that waits between two members."""
    await until(lambda: "AskIndex" in house.kinds(sender, receiver), "it asks")
    [question] = house.take(sender, receiver, AskIndex)
    return question


async def test_a_leader_that_was_cut_off_serves_no_read() -> None:
    """S13. Goal: a leader that others have replaced, and does not know it, answers no quorum read
    from its old state. Method: cut it off in silence, commit elsewhere, ask it; mend.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].read())
        house.hold_all(A)
        await house.elect(C, B)
        await within(house[C].propose(b"x"))
        read = house[A].read()
        await settle()
        assert house[A].node.status.is_leader
        assert not read.done()
        house.flow()
        house[C].pass_time(101)
        await within(read)
        assert house[A].has(b"x")


async def test_a_read_waits_for_a_round_that_began_after_it_was_asked_for() -> None:
    """S13. Goal: answers that may be older than the read say nothing of the time after it. Method:
    a second read while the answers to the first one's round are on their way.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A), (C, A))
        first = house[A].read()
        await until(lambda: "Beaten" in house.kinds(B, A), "the round is answered")
        second = house[A].read()
        await settle()
        house.deliver(B, A)
        house.deliver(C, A)
        await within(first)
        assert not second.done()
        house.flow()
        await within(second)


async def test_reads_that_wait_share_a_round() -> None:
    """Goal: however many wait, one round serves them. Method: fifty during a round, here and from a
    follower.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A), (C, A))
        first = house[A].read()
        await until(lambda: "Beaten" in house.kinds(C, A), "the round is under way")
        rounds = house[A].node._engine.leading._round
        reads = [house[member].read() for member in (A, B) for _ in range(50)]
        question = await asked(house, B, A)
        house.tell(B, A, question)
        await settle()
        assert not house.take(B, A, AskIndex)
        house.flow()
        await within(asyncio.gather(first, *reads))
        assert house[A].node._engine.leading._round == rounds + 1


async def test_a_follower_waits_until_it_has_applied_what_the_leader_names() -> None:
    """Goal: a follower serves a read when its own state is as new as the answer says. Method: the
    answer overtakes the entries.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.hold((A, B))
        await within(house[A].propose(b"x"))
        read = house[B].read()
        await until(lambda: "TellIndex" in house.kinds(A, B), "the leader answers")
        [answer] = house.take(A, B, TellIndex)
        assert answer.index == house[A].node.applied_index
        house.tell(A, B, answer)
        await settle()
        assert not read.done()
        house.flow()
        await within(read)
        assert house[B].has(b"x")


async def test_an_old_answer_does_not_serve_a_later_read() -> None:
    """Goal: an answer is for the reads its question was about. Method: the answer to a first
    question is late; the question is asked again for a second read as well, asked for after a write
    that the answer does not cover; then it comes.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.hold((A, B))
        first = house[B].read()
        await until(lambda: "TellIndex" in house.kinds(A, B), "the leader answers")
        [old] = house.take(A, B, TellIndex)
        await within(house[A].propose(b"x"))
        house.hold((B, A))
        house[B].pass_time(ELECTION_MS + 1)
        house.tell(A, B, Beat(house[A].node.term, 0))
        second = house[B].read()
        question = await asked(house, B, A)
        assert question.number != old.number
        house.tell(A, B, old)
        await settle()
        assert not first.done()
        assert not second.done()
        house.tell(B, A, question)
        house.flow()
        await within(asyncio.gather(first, second))
        assert house[B].has(b"x")


async def test_an_answer_to_an_earlier_life_serves_nobody() -> None:
    """Goal: a member that was restarted is not answered with what was found out for its life
    before. Method: B, which has the write x and does not know whether it is committed, asks; the
    round for it is under way while x is committed; B is restarted and asks anew, after x was
    acknowledged; then the round ends.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.hold((B, A), (C, A))
        write = house[A].propose(b"x")
        for member in (B, C):
            await until(lambda: "Appended" in house.kinds(member, A), "x is there")  # noqa: B023
        house.hold((A, B))
        house[B].read()
        house.tell(B, A, await asked(house, B, A))
        await until(lambda: "Beaten" in house.kinds(C, A), "C answers the round")
        assert house.kinds(C, A) == ["Appended", "Beaten"]
        house.deliver(C, A, 1)
        await within(write)
        await house.crash(B)
        house.restart(B)
        house.connect(A, B)
        house.tell(A, B, Beat(house[A].node.term, 0))
        read = house[B].read()
        house.tell(B, A, await asked(house, B, A))
        house.deliver(C, A, 1)
        await settle()
        for answer in house.take(A, B, TellIndex):
            house.tell(A, B, answer)
        await settle()
        assert not read.done() or house[B].has(b"x")
        house.flow()
        house[A].pass_time(101)
        await within(read)


async def test_a_question_without_an_answer_is_asked_again() -> None:
    """Goal: a lost question, or a lost answer, costs an election time-out, a new leader nothing.
    Method: lose the question; lose the answer; the leader dies.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A))
        read = house[B].read()
        lost = await asked(house, B, A)
        house[B].pass_time(ELECTION_MS // 2)
        house.tell(A, B, Beat(house[A].node.term, 0))
        await house[B].ticked()
        assert not house.take(B, A, AskIndex)
        house[B].pass_time(ELECTION_MS // 2 + 1)
        house.tell(A, B, Beat(house[A].node.term, 0))
        again = await asked(house, B, A)
        assert again.number != lost.number
        await house.crash(A)
        house.held.clear()
        await house.elect(C, B)
        await within(read)


async def test_a_read_survives_its_leaders_fall() -> None:
    """Goal: a read asked for at a leader that falls is served through the next one, also when that
    is the same member again. Method: no round is answered; another leads; then the first again.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold_all(A)
        read = house[A].read()
        await settle()
        await house.elect(B, C)
        house.take(A, B, Beat)
        house.take(A, C, Beat)
        house.flow()
        house[B].pass_time(101)
        await within(read)

        house.hold((B, A), (C, A))
        again = house[A].read()
        await settle()
        house.take(A, B, AskIndex)
        house.flow()
        await house.elect(A)
        await within(again)


async def test_a_new_leader_reads_only_when_its_first_entry_is_committed() -> None:
    """Goal: before that its commit index may be older than what was acknowledged. Method: a write
    that C has and does not know to be committed; C leads; its round is answered, its entry is not.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.hold((A, C))
        write = house[A].propose(b"x")
        await within(write)
        house.deliver(A, C, 1)
        await settle()
        assert not house[C].has(b"x")
        await house.crash(A)
        house.hold((B, C))
        house[C].pass_time(2 * ELECTION_MS)
        await until(lambda: house.on_the_way(B, C), "B would vote")
        house.deliver(B, C)
        await until(lambda: house.on_the_way(B, C), "B votes")
        house.deliver(B, C)
        await until(lambda: house[C].node.status.is_leader, "C leads")
        read = house[C].read()
        house.tell(B, C, Beaten(house[C].node.term, house[C].node._engine.leading._round))
        await settle()
        house.tell(B, C, Beaten(house[C].node.term, house[C].node._engine.leading._round))
        await settle()
        assert not read.done()
        house.flow()
        await within(read)
        assert house[C].has(b"x")


async def test_a_lone_member_reads_at_once_what_it_has_recovered() -> None:
    """Goal: with nobody to ask a read needs no wait, but not before all that was ever acknowledged
    is applied again. Method: read at once, and right after a restart.
    """
    async with assembled(A) as house:
        await within(house[A].propose(b"x"))
        assert house[A].read().done()
        await house.crash(A)
        house.restart(A)
        early = house[A].read()
        assert not early.done() or house[A].has(b"x")
        await within(early)
        assert house[A].has(b"x")


async def test_every_read_ends() -> None:
    """Goal: a read ends at its time-out, whatever it waits for: a leader, an answer, an entry; and
    at a stop. Method: one of each.
    """
    async with assembled(A, B, C) as house:
        house.partition()
        nobody = house[B].read()
        await settle()
        house[B].pass_time(TIMEOUT_MS - 1)
        await house[B].ticked()
        assert not nobody.done()
        house[B].pass_time(1)
        await until(nobody.done, "it ends")
        house.heal()
        await house.elect(A)
        await house.same()
        house.hold((A, B))
        await within(house[A].propose(b"x"))
        entry = house[B].read()
        await until(lambda: "TellIndex" in house.kinds(A, B), "the leader answers")
        for told in house.take(A, B, TellIndex):
            house.tell(A, B, told)
        await settle()
        answer = house[B].read()
        await settle()
        house[B].pass_time(TIMEOUT_MS)
        await until(lambda: entry.done() and answer.done(), "they end")
        assert [why(read) for read in (nobody, entry, answer)] == [TIMED_OUT] * 3

        house.tell(A, B, Beat(house[A].node.term, 0))
        last = house[B].read()
        await settle()
        await house.end(B)
        assert why(last) == STOPPED
        with pytest.raises(ProposalFailed, match=STOPPED):
            await house[B].node.read_barrier()


async def test_questions_are_for_leaders_and_not_without_end() -> None:
    """Goal: a follower says nothing, a leader remembers so many questions and no more. Method: ask
    a follower; ask a leader that has no majority very often.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A), (C, A), (A, B), (B, C))
        house.tell(C, B, AskIndex(5))
        await settle()
        assert "TellIndex" not in house.kinds(B, C)
        for number in range(3000):
            house.tell(B, A, AskIndex(number))
        await settle()
        house.flow((B, A), (C, A))
        await until(lambda: "TellIndex" in house.kinds(A, B), "answers")
        await settle()
        assert len(house.take(A, B, TellIndex)) < 3000
        house.flow()


async def test_a_follower_asks_one_question_at_a_time() -> None:
    """Goal: reads that are asked for while a question is out wait for the next one, and none is
    lost. Method: a second read between question and answer.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.hold((B, A))
        first = house[B].read()
        question = await asked(house, B, A)
        second = house[B].read()
        await settle()
        assert "AskIndex" not in house.kinds(B, A)
        house.tell(B, A, question)
        await until(lambda: "Beaten" in house.kinds(B, A), "A asks who follows")
        house.flow()
        await within(asyncio.gather(first, second))


class Standing:
    """What reads ask an engine, set by hand."""

    def __init__(self, *, leads: bool, ready: bool = True, alone: bool = False) -> None:
        self.is_leader, self.is_ready_leader = leads, ready
        self.desk = SimpleNamespace(is_alone=alone)
        self.leader, self.term, self.commit_index = 1, 2, 7
        self.leading = self
        self.confirmed_round = self.rounds = 0

    def begin_round(self) -> int:
        self.rounds += 1
        return self.rounds


def reads_of(engine: Standing, sent: list[object]) -> Reads:
    """Reads on such an engine."""
    return Reads(
        engine,  # type: ignore[arg-type]
        origin=0,
        timeout_ns=10,
        repeat_ns=5,
        now_ns=lambda: 0,
        send=lambda _member, message: sent.append(message),
    )


async def test_alone_is_not_enough() -> None:
    """Goal: a lone member reads at once only when it leads, has committed its first entry and has
    applied all that is committed. Method: each of these missing.
    """
    for engine, applied, at_once in (
        (Standing(leads=True, alone=True), 7, True),
        (Standing(leads=True, alone=True), 6, False),
        (Standing(leads=True, alone=True, ready=False), 7, False),
        (Standing(leads=True, alone=False), 7, False),
    ):
        assert reads_of(engine, []).add(applied).done() == at_once


async def test_questions_to_who_does_not_lead_are_forgotten() -> None:
    """Goal: a follower collects nothing, and answers nothing when it leads later.

    Method: ask it.
    """
    engine, sent = Standing(leads=False), list[object]()
    reads = reads_of(engine, sent)
    reads.question(3, AskIndex(1))
    assert not reads._questions
    engine.is_leader = True
    reads.advance(7)
    assert engine.rounds == 0


async def test_what_an_earlier_leadership_began_is_begun_again() -> None:
    """Goal: a round, and the questions, of an earlier term end with it; the reads wait for a round
    of the new one. Method: another term of the same leader, between two looks.
    """
    engine, sent = Standing(leads=True), list[object]()
    reads = reads_of(engine, sent)
    read = reads.add(7)
    reads.question(3, AskIndex(1))
    reads.advance(7)
    assert engine.rounds == 1
    engine.term, engine.commit_index, engine.leading.confirmed_round = 3, 9, 1
    reads.advance(7)
    assert (engine.rounds, read.done(), sent) == (2, False, [])
    engine.leading.confirmed_round = 2
    reads.advance(7)
    assert not read.done()
    reads.advance(9)
    assert read.done()
    assert sent == []
