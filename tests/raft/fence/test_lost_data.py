"""A member that has lost what it acknowledged: it must neither vote nor be counted."""

from __future__ import annotations

import pytest

from raft import Contradicted, DataLost
from raft.messages import Append, Appended, Beat, Vote
from tests.raft.fence.assembly import (
    Assembly,
    Delegate,
    MortalDisk,
    assembled,
    publication,
    settle,
    until,
)
from tests.raft.fence.parliament import ELECTION_MS, HEARTBEAT_MS, Parliament
from tests.raft.member import WAL, within

A, B, C = 1, 2, 3


def forget(delegate: Delegate, *, founders: tuple[int, ...]) -> None:
    """Give a member that is down an empty disk, and options as for a first start."""
    delegate.disk = MortalDisk()
    delegate.founders = founders


def copy_of(disk: MortalDisk) -> MortalDisk:
    """Another disk with the same log on it."""
    copy = MortalDisk()
    for name in disk.listdir(WAL):
        path = f"{WAL}/{name}"
        copy.open(path, create=True)
        copy.overwrite(path, disk.content(path))
    copy.sync_dir(WAL)
    return copy


def begin_anew(house: Assembly, one: int, other: int) -> None:
    """Start two of three founders that are down, on empty disks, connected with each other."""
    for member in (one, other):
        forget(house[member], founders=(A, B, C))
        house.restart(member)
    house.connect(one, other)


async def publish(house: Assembly, leader: int, *members: int) -> None:
    """Put on record by which births members are known."""
    for member in members:
        birth = house[member].node.identity.birth
        await within(house[leader].propose(publication(member, birth)))


def the_loss(delegate: Delegate) -> str:
    """What a member said of its loss when it ended."""
    [error] = delegate.fatal
    assert isinstance(error, DataLost)
    delegate.up = False
    return str(error)


@pytest.mark.parametrize("founders", [(A, B, C), ()])
async def test_who_has_nothing_and_is_known_votes_for_nobody(founders: tuple[int, ...]) -> None:
    """Goal: a write that was acknowledged by the leader and one follower survives the leader's
    death and the loss of that follower's disk: the third, which was behind, is not elected by one
    who has forgotten. Method: started again as a founder and as one who joins, beside a member that
    knows it; whatever comes from it is looked at.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await publish(house, A, A, B, C)
        await house.same()
        await house.crash(B)
        await within(house[A].propose(b"precious"))
        await house.same(A, C)
        await house.crash(A)
        await house.crash(C)
        forget(house[C], founders=founders)
        house.restart(B)
        house.restart(C)
        house.hold((C, B))
        house.connect(B, C)
        house[B].pass_time(2 * ELECTION_MS)
        await house[B].ticked()
        assert not house.take(C, B, Vote)
        assert not house[B].node.status.is_leader
        assert "was started before, and its data of then is not here" in the_loss(house[C])

        house.restart(A)
        house.connect(A, B)
        await house.elect(A, B)
        await house.same(A, B)
        assert house[B].has(b"precious")


async def test_who_was_never_started_is_let_in() -> None:
    """Goal: the guard is not in the way of a first start, nor of one after a crash. Method: a
    member with an empty log that nobody knows; then one that others know, with its data.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await publish(house, A, A, B, C)
        await house.same()
        await house.crash(C)
        house.restart(C)
        house.heal()
        await within(house[A].propose(b"k1"))
        await house.same()


async def test_who_has_nothing_helps_nobody_who_may_have_missed_it() -> None:
    """Goal: a write that A and B acknowledged survives that A is down and B has lost its disk while
    C, which has been away since before B was known, is all that B finds. Method: C, with a leader's
    first entries, asks B again and again; then A comes back, and B learns what it has lost.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await publish(house, A, A)
        await house.same()
        await house.crash(C)
        await publish(house, A, B)
        await within(house[A].propose(b"precious"))
        await house.same(A, B)
        await house.crash(A)
        await house.crash(B)
        forget(house[B], founders=(A, B, C))
        house.restart(C)
        house.restart(B)
        house.connect(B, C)
        for _ in range(3):
            house[C].pass_time(2 * ELECTION_MS)
            house[B].pass_time(2 * ELECTION_MS)
            await house[C].ticked()
        assert not house[C].node.status.is_leader
        assert not house[B].node.status.is_leader
        house.restart(A)
        house.connect(A, B)
        assert "its data of then is not here" in the_loss(house[B])
        house.connect(A, C)
        await house.elect(A, C)
        await house.same(A, C)
        assert house[C].has(b"precious")


async def test_a_founder_that_comes_late_counts_as_soon_as_the_others_have_begun() -> None:
    """Goal: two of three founders begin, one of them dies, and the third one is started for the
    first time: these two are a majority and go on. Method: as it says, with the two on record.
    """
    async with assembled(A, B, C) as house:
        await house.crash(C)
        forget(house[C], founders=(A, B, C))
        await house.elect(A, B)
        await publish(house, A, A, B)
        await within(house[A].propose(b"k1"))
        await house.same(A, B)
        await house.crash(A)
        house.restart(C)
        house.connect(B, C)
        await house.elect(B, C)
        await within(house[B].propose(b"k2"))
        await house.same(B, C)
        assert house[C].has(b"k1")


@pytest.mark.parametrize("founders", [(A, B), (A, B, C)])
async def test_founders_go_on_with_a_leader_that_fell_at_once(founders: tuple[int, ...]) -> None:
    """Goal: two founders (of two, or of three of whom the third is not there) elect one that falls
    when its first entry is on its own disk alone: they can elect it again. Method: what it sends
    after its election is lost, and it is restarted.
    """
    async with assembled(*founders) as house:
        if C in founders:
            await house.crash(C)
        house.hold((A, B))
        house[A].pass_time(2 * ELECTION_MS)
        await until(lambda: "AskVote" in house.kinds(A, B), "A asks B whether it would")
        house.deliver(A, B)
        await until(lambda: "AskVote" in house.kinds(A, B), "A asks B for its vote")
        house.deliver(A, B)
        await until(lambda: house[A].node.status.is_leader, "A leads")
        await until(lambda: house[A].node._log.durable == 2, "its first entry is on its disk")
        await house.crash(A)
        assert house[B].node._log.last_index == 1
        house.restart(A)
        house.flow()
        house.connect(A, B)
        await house.elect(A, B)
        await within(house[A].propose(b"k1"))
        await house.same(A, B)


async def test_founders_without_data_elect_nobody_beside_one_that_has_some() -> None:
    """Goal: while somebody who has data can be reached, founders who have none elect none of
    themselves: it would lead an old term a second time. Together with it they elect it. Method: A
    leads B, which then loses its disk; B, which C would elect, and C, which was never there, stand
    before A does.
    """
    async with assembled(A, B, C) as house:
        await house.crash(C)
        forget(house[C], founders=(A, B, C))
        await house.elect(A, B)
        await within(house[A].propose(b"precious"))
        await house.same(A, B)
        for member in (A, B):
            await house.crash(member)
        forget(house[B], founders=(A, B, C))
        for member in (A, B, C):
            house.restart(member)
        house.connect(A, B)
        house.connect(B, C)
        await settle()
        house.hold((A, B))
        house[B].pass_time(2 * ELECTION_MS)
        await house[B].ticked()
        await settle()
        assert not house[B].node.status.is_leader
        house.flow()
        house.heal()
        house[C].pass_time(2 * ELECTION_MS)
        await house[C].ticked()
        await settle()
        assert not house[C].node.status.is_leader
        await house.elect(A, B, C)
        await house.same()
        assert house[C].has(b"precious")


async def test_four_of_five_founders_need_nobody_else() -> None:
    """Goal: two of five founders have data, two start for the first time, one is down: what was
    committed is with one of the two, or with nobody who has forgotten it, and they go on. Method: A
    leads B and C and is gone before anybody is on record.
    """
    five = (1, 2, 3, 4, 5)
    async with assembled(*five) as house:
        for late in (4, 5):
            await house.crash(late)
            forget(house[late], founders=five)
        await house.elect(A, B, C)
        await within(house[A].propose(b"precious"))
        await house.same(A, B, C)
        await house.crash(A)
        for late in (4, 5):
            house.restart(late)
        house.heal()
        await house.elect(B, C, 4, 5)
        await within(house[4].propose(b"k1"))
        await house.same(B, C, 4, 5)
        assert house[5].has(b"precious")


@pytest.mark.parametrize("again", [False, True])
async def test_one_place_has_one_entry(again: bool) -> None:
    """Goal: two that have led one term have made two entries of one index and term: whoever has the
    one is not led to believe that it is the other, whether the leader sends it again or what would
    follow it. Method: B and C, which have lost their disks before they were on record, begin anew;
    then A comes back.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].propose(b"precious"))
        await house.same()
        for member in (A, B, C):
            await house.crash(member)
        begin_anew(house, B, C)
        await house.elect(B, C)
        await within(house[B].propose(b"worthless"))
        await house.same(B, C)
        theirs = house[B].node._log.entries
        assert [entry[1:] for entry in theirs] == [
            entry[1:] for entry in house[A].node._log.entries
        ]
        house.restart(A)
        if again:
            term = house[B].node.term
            house.tell(B, A, Append(term, 2, term, 3, theirs[2:]))
        else:
            house.heal()
            house[B].pass_time(HEARTBEAT_MS + 1)
        await until(lambda: house[A].fatal, "A finds out")
        [error] = house[A].fatal
        assert isinstance(error, Contradicted)
        assert "as it is here" in str(error)
        house[A].up = False


async def test_what_a_majority_that_began_anew_has_lost_is_not_overwritten() -> None:
    """Goal: two of three founders lose their disks and begin a new cluster under the old ids; the
    third one, whose log has other entries at equal indexes and terms, is not led by them: it ends,
    and says that it may have what nobody else has. Method: as it says.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await publish(house, A, A, B, C)
        await within(house[A].propose(b"precious"))
        await house.same()
        for member in (A, B, C):
            await house.crash(member)
        begin_anew(house, A, B)
        await house.elect(A, B)
        await publish(house, A, A, B)
        await within(house[A].propose(b"worthless"))
        await house.same(A, B)
        house.restart(C)
        house.heal()
        [error] = house[C].fatal
        assert isinstance(error, Contradicted)
        assert "keep it" in str(error)
        house[C].up = False
        await within(house[A].propose(b"more"))
        await house.same(A, B)


async def test_who_was_set_back_is_told_by_its_leader() -> None:
    """Goal: a follower whose disk was replaced by an older copy of itself ends with a sentence, and
    the leader does not ask the same again and again until it does. Method: a copy of the disk
    before two writes that it acknowledges; it comes back to the same leader.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].propose(b"k1"))
        await house.same()
        await house.crash(C)
        copy = copy_of(house[C].disk)
        house.restart(C)
        house.heal()
        for command in (b"k2", b"k3"):
            await within(house[A].propose(command))
        await house.same()
        await until(lambda: house.knows(A, C), "the leader knows that it has all")
        end = house[A].node._log.last_index
        await house.crash(C)
        house[C].disk = copy
        await within(house[A].propose(b"k4"))
        house.restart(C)
        house.hold((A, C))
        house.heal()
        house[A].pass_time(HEARTBEAT_MS + 1)
        await house[A].ticked()
        probes = house.kinds(A, C).count("Append")
        assert probes
        house.deliver(A, C)
        await until(lambda: "Beat" in house.kinds(A, C), "the leader asks back")
        assert "Append" not in house.kinds(A, C)
        house.flow()
        await until(lambda: house[C].fatal, "it ends")
        assert f"entries up to {end}, and they end at {end - 2}" in the_loss(house[C])


async def test_a_stranger_tells_nobody_what_it_has_lost() -> None:
    """Goal: only a member can say what was acknowledged to it. Method: a beat of a stranger."""
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        house.tell(9, B, Beat(house[A].node.term + 1, 0, match=10**9))
        await house[B].ticked()
        assert not house[B].fatal


def test_a_joiner_without_what_it_acknowledged_ends() -> None:
    """Goal: who joined, acknowledged, and lost its directory before anybody had it on record is
    told so by its leader, instead of waiting for entries that it is believed to have. Method: a
    member that has never heard of a member gets a heartbeat that says what it has acknowledged.
    """
    parliament = Parliament(A, B, joiners=[C])
    parliament.elect(A, A, B)
    leader = parliament.engine(A)
    parliament.tell(A, C, Beat(leader.term, 0, 0))
    with pytest.raises(DataLost, match="acknowledgement of entries up to 2, and they end at 0"):
        parliament.tell(A, C, Beat(leader.term, 0, 2))


async def test_an_old_denial_costs_nobody_his_life() -> None:
    """Goal: only the member itself decides that it has lost something: a refusal that is late, of
    what it has acknowledged meanwhile, ends nobody and stops nothing. Method: the leader probes
    anew and is told such a refusal.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].propose(b"k1"))
        await house.same()
        await until(lambda: house.knows(A, C), "the leader knows that it has all")
        house.hold((C, A))
        house.disconnect(A, C)
        house.connect(A, C)
        match = house[A].node.progress[C][0]
        house.tell(C, A, Appended(house[A].node.term, match - 1, ok=False, prev=match))
        house.flow()
        await within(house[A].propose(b"k2"))
        await house.same()


async def test_a_restart_without_quorum_shows_what_was_shown() -> None:
    """Goal: what a member has applied it applies again after a loss of power, although nobody else
    is there: when nothing is written, how far the log is committed is. Method: one write, time for
    a tick, and a lone restart.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].propose(b"k1"))
        await house.same()
        for member in (A, B, C):
            await house.crash(member)
        for member in (A, B, C):
            house.restart(member)
            await until(lambda: house[member].has(b"k1"), "it has applied it again")  # noqa: B023
