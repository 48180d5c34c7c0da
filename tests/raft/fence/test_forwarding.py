"""Proposals on their way to a leader and back: each at most once, each with an answer."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from raft import ProposalFailed
from raft.batch import BYTES_MAX, COMMANDS_MAX
from raft.errors import (
    LEADER_NO_SPACE,
    NO_SPACE,
    STOPPED,
    STOPPED_UNKNOWN,
    TIMED_OUT,
    TIMED_OUT_UNKNOWN,
    TOO_MANY,
)
from raft.messages import Beat, Forward, Proposal, Refused
from raft.proposals import EXTRA_BYTES, Intake, Proposals
from tests.raft.fence.assembly import Assembly, Gate, assembled, quiet, settle, until, why
from tests.raft.fence.parliament import ELECTION_MS, HEARTBEAT_MS
from tests.raft.member import within

A, B, C = 1, 2, 3
TIMEOUT_MS = 7000


async def its_forward(house: Assembly) -> Forward:
    """The Forward that waits between B and A."""
    await until(lambda: "Forward" in house.kinds(B, A), "B forwards")
    [forward] = house.take(B, A, Forward)
    return forward


# -- once ---------------------------------------------------------------------------------------


async def test_a_forward_that_arrives_again_is_taken_once() -> None:
    """Goal: copies of a Forward change nothing, before or after its commands were applied, in this
    order or another. Method: two of them, copied at every stage.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A))
        replies = [house[B].propose(b"k1")]
        forwards = [await its_forward(house)]
        for _ in range(3):
            house.tell(B, A, forwards[0])
        house.flow((B, A))
        await within(replies[0])
        house.hold((B, A))
        replies.append(house[B].propose(b"k2"))
        forwards.append(await its_forward(house))
        for forward in (*forwards, *reversed(forwards)):
            house.tell(B, A, forward)
        house.flow((B, A))
        await within(replies[1])
        for forward in (*forwards, *reversed(forwards)):
            house.tell(B, A, forward)
        await within(house[A].propose(b"last"))
        await house.same()
        assert house[A].machine.commands[-3:] == [b"k1", b"k2", b"last"]


async def test_a_forward_counts_for_the_leader_of_its_term_only() -> None:
    """Goal: a leader takes what was meant for it in this term, nobody else takes anything. Method:
    Forwards of the terms around, and to a follower.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        term = house[A].node.term
        for number, (member, its_term) in enumerate(((A, term - 1), (A, term + 1), (C, term)), 1):
            house.tell(B, member, Forward(its_term, 77, 1, [Proposal(number, b"stray")]))
        house.tell(B, A, Forward(term, 77, 1, [Proposal(9, b"meant")]))
        await until(lambda: house[A].has(b"meant"), "it is applied")
        await house.same()
        assert not house[A].has(b"stray")


async def test_what_was_taken_in_one_term_is_forgotten_in_the_next() -> None:
    """Goal: a leader that was deposed before it appended what it had been given never appends it,
    although it leads again: its proposer may have handed it in anew. Method: a Forward that waits
    (leadership is being handed over), another leader, and the first one again.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((A, B), (A, C))
        assert house[A].node._engine.leading.transfer()
        house.tell(B, A, Forward(house[A].node.term, 77, 1, [Proposal(1, b"waits")]))
        await settle()
        house.flow()
        await until(lambda: not house[A].node.status.is_leader, "another one takes over")
        await until(lambda: house.leads(B) or house.leads(C), "it leads")
        await house.elect(A)
        await within(house[A].propose(b"last"))
        assert not house[A].has(b"waits")
        house.tell(B, A, Forward(house[A].node.term, 77, 1, [Proposal(1, b"waits")]))
        await until(lambda: house[A].has(b"waits"), "handed in anew it is taken")


async def test_numbers_of_an_earlier_life_mean_nothing() -> None:
    """R15, S7. Goal: a follower that was restarted is not told the outcome of what it proposed in
    its life before. Method: its old proposal is committed while it is down; its new one, the first
    of the new life, is lost on the wire.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A))
        house[B].propose(b"old")
        old = await its_forward(house)
        house.tell(B, A, old)
        await until(lambda: house[A].has(b"old"), "the old one is committed")
        await house.crash(B)
        house.restart(B)
        house.heal()
        house.tell(A, B, Beat(house[A].node.term, 0))
        new = house[B].propose(b"new")
        forward = await its_forward(house)
        assert forward.origin != old.origin
        assert forward.proposals[0].number == old.proposals[0].number
        house[A].pass_time(101)
        await until(lambda: house[B].has(b"old"), "B has applied the old one")
        await settle()
        assert not new.done()
        assert not house[A].has(b"new")
        house.flow()
        house[B].pass_time(ELECTION_MS + 1)
        house.tell(A, B, Beat(house[A].node.term, 0))
        await within(new)
        assert house[A].has(b"new") == house[A].has(b"old") == 1


async def test_a_forward_that_was_lost_is_repeated() -> None:
    """R17, L3. Goal: a lost Forward does not leave a client without an answer. Method: lose it, let
    an election time-out pass; what is repeated is the same proposal.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A))
        reply = house[B].propose(b"k1")
        first = await its_forward(house)
        house[B].pass_time(ELECTION_MS // 2)
        await house[B].ticked()
        assert not house.take(B, A, Forward)
        house.tell(A, B, Beat(house[A].node.term, 0))
        house[B].pass_time(ELECTION_MS // 2 + 1)
        again = await its_forward(house)
        assert again == first
        await house[B].ticked()
        assert not house.take(B, A, Forward)
        for forward in (first, again):
            house.tell(B, A, forward)
        house.flow()
        await within(reply)
        assert house[A].has(b"k1") == 1


async def test_a_reply_needs_nothing_but_the_log() -> None:
    """R17, L3. Goal: there is no reply that could be lost: whoever applies the entry knows. Method:
    the connection breaks behind the Forward; the follower hears of the entry later.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((A, B))
        reply = house[B].propose(b"k1")
        await until(lambda: house[A].has(b"k1"), "it is committed")
        house.disconnect(A, B)
        house.flow()
        await settle()
        assert not reply.done()
        house.connect(A, B)
        house[A].pass_time(101)
        await within(reply)


# -- known dead, and what may not be repeated ----------------------------------------------------


async def test_what_died_with_its_leader_is_handed_in_anew() -> None:
    """Goal: a proposal that its leader took to the grave is retried on the next one, once. Method:
    the leader appends it, nobody hears of it, the leader loses power.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((A, B), (A, C))
        reply = house[B].propose(b"k1")
        await until(lambda: "Append" in house.kinds(A, B), "A has it")
        await house.crash(A)
        await house.elect(C, B)
        await within(reply)
        house.restart(A)
        house.held.clear()
        house.heal()
        house[C].pass_time(101)
        await house.same()
        assert house[A].has(b"k1") == 1


async def test_what_a_deposed_leader_could_not_commit_is_handed_in_anew() -> None:
    """Goal: the same for a leader's own proposals, when another leader has replaced them. Method:
    cut it off with one proposal, elect another, mend.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.hold_all(A)
        reply = house[A].propose(b"mine")
        last = house[B].node._log.last_index
        await until(lambda: house[A].node._log.last_index == last + 1, "A has it")
        for member in (B, C):
            house.links[A, member].clear()
        await house.elect(B, C)
        house.flow()
        house[B].pass_time(101)
        await within(reply)
        await house.same()
        assert house[C].has(b"mine") == 1


async def test_what_may_be_in_the_next_leaders_log_is_not_handed_in_anew() -> None:
    """Goal: a proposal is known dead only when the first entry of a later term is *applied* here:
    until then it may still come. Method: the dead leader's entry has reached C, which leads; B
    knows C, but not yet what is in its log.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.hold((A, B))
        house.hold((C, A))
        reply = house[B].propose(b"k1")
        await until(lambda: house[C].node._log.last_index > house[A].commit_index, "C has it")
        await house.crash(A)
        house.hold((C, B))
        house[B].pass_time(ELECTION_MS + 1)
        house[C].pass_time(2 * ELECTION_MS)
        for _ in range(2):
            await until(lambda: "AskVote" in house.kinds(C, B), "C asks")
            house.deliver(C, B)
        await until(lambda: house[C].node.status.is_leader, "C leads")
        house.tell(C, B, Beat(house[C].node.term, 0))
        house.hold((B, C))
        for _ in range(3):
            await house[B].ticked()
        assert "Forward" not in house.kinds(B, C)
        assert house[B].node.status.leader == C
        house.flow()
        await within(reply)
        await house.same()
        assert house[C].has(b"k1") == 1


async def test_what_was_handed_to_a_leader_of_this_term_is_not_handed_in_anew() -> None:
    """Goal: the first entry of a term says nothing of what that term's leader was given. Method: B
    and A itself propose as soon as A leads, before its first entry is applied.
    """
    async with assembled(A, B, C) as house:
        house.hold((A, B), (A, C))
        house[A].pass_time(2 * ELECTION_MS)
        for member in (B, C):
            house[member].pass_time(ELECTION_MS + 1)
        for _ in range(2):
            await until(lambda: "AskVote" in house.kinds(A, B), "A asks")
            house.deliver(A, B)
        await until(lambda: house[A].node.status.is_leader, "A leads")
        house.tell(A, B, Beat(house[A].node.term, 0))
        replies = [house[B].propose(b"of B"), house[A].propose(b"of A")]
        await settle()
        assert not house.leads(A)
        house.flow()
        await within(asyncio.gather(*replies))
        await within(house[A].propose(b"last"))
        await house.same()
        assert house[A].has(b"of A") == house[A].has(b"of B") == 1


@pytest.mark.parametrize("committed", [False, True])
async def test_what_a_snapshot_hides_is_unknown_for_good(committed: bool) -> None:
    """R16, L2. Goal: a member whose state jumped over the place where its proposal might have been
    never hands it in again, in no later term; it ends at its time-out and says that the outcome is
    unknown. Method: the proposal is committed, or its Forward is lost; its member is then sent a
    snapshot, and another leader comes.
    """
    async with assembled(A, B, C, snapshot_count=5, trailing_commands=0) as house:
        await house.elect(A)
        await house.same()
        house.hold((A, B), (B, A))
        reply = house[B].propose(b"z")
        forward = await its_forward(house)
        if committed:
            house.tell(B, A, forward)
            await until(lambda: house[A].has(b"z"), "it is committed")
        house.partition({A, C}, {B})
        for number in range(20):
            await within(house[A].propose(b"k%d" % number))
        log = house[A].node._log
        await until(lambda: log.first_index > house[B].node._log.last_index, "A has compacted")
        house.flow()
        house.heal()
        house[A].pass_time(101)
        await until(lambda: house[B].has(b"k19"), "B has the snapshot")
        await settle()
        assert not reply.done()

        await house.elect(C)
        await within(house[C].propose(b"later"))
        await house.same()
        await house[B].ticked()
        house[B].pass_time(TIMEOUT_MS)
        await until(reply.done, "it ends")
        assert why(reply) == TIMED_OUT_UNKNOWN
        await within(house[C].propose(b"last"))
        await house.same()
        assert house[B].has(b"z") == committed


# -- refusals -----------------------------------------------------------------------------------


def full_and_still_leading(house: Assembly) -> None:
    """Fill the disk of A, which leads, and let it find nobody that could lead instead."""
    driver = house[A].node.driver
    with mock.patch.object(driver._engine.leading, "transfer", return_value=False):
        driver.set_disk_full(full=True)


async def test_a_leader_whose_disk_is_full_lets_another_one_lead() -> None:
    """Goal: the cluster goes on taking writes while one member's disk is full, whichever it is.
    Method: the leader's, and writes by way of all members.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house[A].node.driver.set_disk_full(full=True)
        await until(lambda: any(house[m].node.status.is_leader for m in (B, C)), "another leads")
        await within(house[B].propose(b"by B"))
        await within(house[C].propose(b"by C"))


async def test_who_leads_no_more_refuses_nothing() -> None:
    """Goal: what a member was told while it led may be in the log already; once it leads no more it
    does not say that it will not be appended, not even with a full disk. Method: a Forward is on
    its way to a leader that steps down for want of followers; the next leader takes it.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        term = house[A].node.term
        house.hold_all(A)
        reply = house[B].propose(b"k1")
        forward = await its_forward(house)
        for _ in range(ELECTION_MS // HEARTBEAT_MS + 1):
            house[A].pass_time(HEARTBEAT_MS)
            await house[A].ticked()
        assert not house[A].node.status.is_leader
        assert house[A].node.term == forward.term == term
        house[A].node.driver.set_disk_full(full=True)
        house.tell(B, A, forward)
        await settle()
        assert "Refused" not in house.kinds(A, B)
        assert not reply.done()
        house.disconnect(A, B)
        house.disconnect(A, C)
        await house.elect(C, B)
        await within(reply)


async def test_what_was_refused_is_never_appended() -> None:
    """Goal: a leader that refused a proposal does not take a copy of it that comes when there is
    room: its client was told no. Method: refuse for want of space, and for their number; then there
    is room again, and the same Forward again.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A))
        replies = {b"full": house[B].propose(b"full")}
        first = await its_forward(house)
        full_and_still_leading(house)
        house.tell(B, A, first)
        await until(replies[b"full"].done, "it is refused")
        assert why(replies[b"full"]) == LEADER_NO_SPACE
        house[A].node.driver.set_disk_full(full=False)
        replies[b"many"] = house[B].propose(b"many")
        second = await its_forward(house)
        with mock.patch("raft.proposals.WAITING_BYTES_MAX", 3):
            house.tell(B, A, second)
        await until(replies[b"many"].done, "it is refused")
        assert why(replies[b"many"]) == TOO_MANY
        for forward in (first, second):
            house.tell(B, A, forward)
        house.flow()
        await within(house[B].propose(b"last"))
        assert not house[A].has(b"full")
        assert not house[A].has(b"many")


async def test_a_full_disk_refuses_what_waits_and_what_comes() -> None:
    """Goal: while the leader's disk is full its clients and those of followers are told so, reads
    go on, what is reserved is taken, and it all ends with the lack of room. Method: own and
    forwarded proposals that wait (behind a write) and that come.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        await house[A].go_slow()
        driver = house[A].node.driver
        gate = Gate(house[A])
        house[A].propose(b"before")
        await until(lambda: gate.came, "A writes")
        house.hold((A, B))
        waiting = house[A].propose(b"own waits"), house[B].propose(b"other waits")
        await settle()
        full_and_still_leading(house)
        coming = house[A].propose(b"own"), house[B].propose(b"other")
        await until(lambda: house.kinds(A, B).count("Refused") == 2, "A refuses")
        for message in house.take(A, B, Refused):
            house.tell(A, B, message)
        await until(lambda: all(r.done() for r in (*waiting, *coming)), "all are refused")
        assert [why(reply) for reply in (*waiting, *coming)] == [
            NO_SPACE,
            LEADER_NO_SPACE,
            NO_SPACE,
            LEADER_NO_SPACE,
        ]
        gate.open()
        house.flow()
        reserved = quiet(house[A].node.propose(b"reserved", reserved=True))
        await within(reserved)
        await within(house[B].read())
        driver.set_disk_full(full=False)
        await within(house[B].propose(b"again"))
        assert house[A].machine.commands[-2:] == [b"reserved", b"again"]


async def test_a_refusal_of_somebody_elses_proposal_is_nothing_to_us() -> None:
    """Goal: refusals are told by origin. Method: one with another origin and our number."""
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A))
        reply = house[B].propose(b"k1")
        forward = await its_forward(house)
        house.tell(A, B, Refused(forward.origin + 1, [forward.proposals[0].number], "no"))
        assert not reply.done()
        house.tell(A, B, Refused(forward.origin, [forward.proposals[0].number], "no"))
        with pytest.raises(ProposalFailed, match="no"):
            await reply
        house.flow()


# -- every wait ends -----------------------------------------------------------------------------


async def test_every_wait_ends_and_says_what_may_still_happen() -> None:
    """Goal: without a leader a proposal ends at its time-out and has not happened; handed to one it
    may have, and that is said; the same at a stop. Method: both kinds, at both ends.
    """
    async with assembled(A, B, C) as house:
        house.partition()
        nobody = house[A].propose(b"nobody took it")
        await settle()
        house[A].pass_time(TIMEOUT_MS - 1)
        await house[A].ticked()
        assert not nobody.done()
        house[A].pass_time(1)
        await until(nobody.done, "it ends")
        assert why(nobody) == TIMED_OUT
        house.heal()
        await house.elect(B)
        house.hold((A, B))
        taken = house[A].propose(b"B may have it")
        await until(lambda: "Forward" in house.kinds(A, B), "it is handed over")
        house[A].pass_time(TIMEOUT_MS)
        await until(taken.done, "it ends")
        assert why(taken) == TIMED_OUT_UNKNOWN
        assert house[A].node.driver.proposals_failed == 2

        house.hold((B, A), (B, C))
        unknown = house[B].propose(b"in my log")
        await until(lambda: "Append" in house.kinds(B, C), "it is in the log")
        await house.end(B)
        assert why(unknown) == STOPPED_UNKNOWN
        house.partition()
        house[A].pass_time(TIMEOUT_MS)
        await house[A].ticked()
        assert house[A].node.status.leader == 0
        never = house[A].propose(b"never")
        await settle()
        await house.end(A)
        assert why(never) == STOPPED
        with pytest.raises(ProposalFailed, match=STOPPED):
            await house[A].node.propose(b"too late")


async def test_very_many_proposals_at_once_are_all_answered() -> None:
    """R20, P7. Goal: more proposals than any pipe holds are taken in order, once, or refused; none
    raises. Method: seventy thousand in one turn; then more bytes than may wait.
    """
    async with assembled(A, segment_bytes=16 << 20) as house:
        replies = [house[A].propose(b"k") for _ in range(70_000)]
        assert await asyncio.wait_for(asyncio.gather(*replies), 30) == list(range(1, 70_001))
        with mock.patch("raft.proposals.WAITING_BYTES_MAX", 10):
            some = [house[A].propose(b"four") for _ in range(4)]
            await until(lambda: all(reply.done() for reply in some), "all are answered")
            assert [why(reply) for reply in some] == ["", "", TOO_MANY, TOO_MANY]
            await within(house[A].propose(b"four"))


# -- the books -----------------------------------------------------------------------------------


async def test_forwards_are_bounded_and_say_how_low_they_go() -> None:
    """Goal: no Forward is larger than an entry may be, a large command goes alone, and `lowest` is
    the oldest number without an outcome. Method: many small and some large ones.
    """
    now_ns = 0
    proposals: Proposals[bytes] = Proposals(5, 10, lambda: now_ns)
    sizes = [1] * 1500 + [BYTES_MAX // 2, BYTES_MAX // 2, BYTES_MAX * 2, 1]
    for size in sizes:
        quiet(proposals.add(bytes(size)))
    forwards = proposals.forwards(3, 0)
    numbers = [p.number for forward in forwards for p in forward.proposals]
    assert numbers == list(range(1, len(sizes) + 1))
    for forward in forwards:
        assert (forward.term, forward.origin, forward.lowest) == (3, 5, 1)
        size = sum(len(p.command) + EXTRA_BYTES for p in forward.proposals)
        assert len(forward.proposals) <= COMMANDS_MAX
        assert size <= BYTES_MAX or len(forward.proposals) == 1
    assert not proposals.forwards(3, 0)
    proposals.applied([1, 2, 0, 4], [b""] * 4)
    now_ns = 5
    again = proposals.forwards(3, 5)
    assert again[0].lowest == again[0].proposals[0].number == 3
    assert len(proposals) == len(sizes) - 3
    proposals.stop()


async def test_what_is_handed_in_anew_keeps_its_order_and_number() -> None:
    """Goal: those that are known dead go before those that wait, in their old order; what was given
    to a later leader, or may be hidden, stays. Method: three leaders.
    """
    proposals: Proposals[bytes] = Proposals(5, 10, lambda: 0)
    for number in range(1, 7):
        quiet(proposals.add(b"%d" % number))
        if number == 2:
            proposals.forwards(3, 0)
        if number == 3:
            proposals.hidden()
        if number == 4:
            proposals.forwards(3, 0)
        if number == 5:
            proposals.forwards(4, 0)
    proposals.term_began(3)
    assert [p.number for f in proposals.forwards(9, 0) for p in f.proposals] == [6]
    proposals.term_began(4)
    again = proposals.forwards(10, 0)
    assert [p.number for f in again for p in f.proposals] == [3, 4]
    assert again[0].lowest == 1
    proposals.stop()


def test_an_intake_takes_each_number_once() -> None:
    """Goal: what was taken, refused or is below what its origin still sends is not taken again, for
    each origin by itself, until another term. Method: Forwards in odd orders.
    """
    intake = Intake()

    def take(origin: int, lowest: int, *numbers: int, refuse: bool = False) -> list[int]:
        proposals = [Proposal(number, b"xx") for number in numbers]
        return intake.take(Forward(1, origin, lowest, proposals), refuse=refuse)

    assert take(7, 1, 1, 2, 3) == []
    assert take(7, 3, 3, 4) == []
    assert take(7, 1, 1, 2, 5) == []
    assert take(8, 1, 1) == []
    assert take(8, 1, 2, refuse=True) == [2]
    assert take(8, 1, 2, 3) == []
    taken = []
    while (first := intake.first()) is not None:
        taken.append((first[0], first[1].number))
        intake.pop()
    assert taken == [(7, 1), (7, 2), (7, 3), (7, 4), (7, 5), (8, 1), (8, 3)]
    with mock.patch("raft.proposals.WAITING_BYTES_MAX", 5):
        assert take(9, 1, 1, 2, 3) == [3]
        assert intake.drain() == [(9, 1), (9, 2)]
        assert not intake
        assert take(9, 1, 1, 2, 3, 4) == []
        assert intake.drain() == [(9, 4)]
    intake.clear()
    assert take(7, 1, 1) == []
    assert intake.drain() == [(7, 1)]
