"""Members that come and go while others work."""

from __future__ import annotations

import pytest

from raft import Change, ChangeRefused, Peer
from raft.batch import decode_standing
from raft.messages import Append, Forward, Proposal
from raft.snapshots import SnapshotStore
from tests.raft.fence.assembly import Assembly, assembled, removal, settle, until
from tests.raft.fence.parliament import ELECTION_MS, HEARTBEAT_MS, peer
from tests.raft.member import SNAP, within

A, B, C, D, E = 1, 2, 3, 4, 5


def add(member: int) -> tuple[Change, bytes]:
    """A member comes."""
    return Change("add", peer(member)), b"added %d" % member


def remove(member: int) -> tuple[Change, bytes]:
    """A member goes."""
    return Change("remove", peer(member)), removal(member)


def ids(house: Assembly, member: int) -> list[int]:
    """Who the members are, as a member knows it."""
    return [other.id for other in house[member].node.peers]


def configurations(house: Assembly, member: int) -> int:
    """How many configurations are in its log."""
    return sum(data[:1] == b"\x65" for data, _index, _term in house[member].node._log.entries)


async def test_one_change_at_a_time() -> None:
    """R13, S6. Goal: a second change waits until the first one is applied; so two majorities never
    miss each other. Method: two additions in one turn at a leader that is cut off with the two that
    are to come; the others elect another leader. Only that one may acknowledge a write.
    """
    async with assembled(A, B, C, joiners=[D, E]) as house:
        await house.elect(A, B, C)
        await house.same(A, B, C)
        house.hold((A, B), (A, C), (B, A), (C, A))
        first, second = house[A].change(*add(D)), house[A].change(*add(E))
        await settle()
        assert ids(house, A) == [A, B, C, D]
        assert configurations(house, A) == 2
        of_a = house[A].propose(b"x of A")
        for _ in range(5):
            house[A].pass_time(HEARTBEAT_MS + 1)
            await house[A].ticked()
        assert not first.done()
        await house.elect(B, C)
        of_b = house[B].propose(b"x of B")
        await within(of_b)
        assert not of_a.done()
        assert configurations(house, A) == 2

        for member in (B, C):
            house.links[A, member].clear()
        house.flow()
        house[B].pass_time(101)
        await until(lambda: house[A].has(b"x of B"), "A follows B")
        await within(first)
        await within(second)
        await within(of_a)
        assert ids(house, B) == [A, B, C, D, E]
        house[B].pass_time(101)
        await house.same()


async def test_changes_follow_each_other() -> None:
    """S6. Goal: changes that wait are made one by one, each by itself in an entry, and commands
    among them keep their place. Method: three changes and two commands in one turn.
    """
    async with assembled(A, B, C, joiners=[D]) as house:
        await house.elect(A, B, C)
        replies = [
            house[A].change(*add(D)),
            house[A].propose(b"k1"),
            house[A].change(Change("update", Peer(B, ("http://other:1",))), b"updated"),
            house[A].propose(b"k2"),
            house[A].change(*remove(C)),
        ]
        for reply in replies:
            await within(reply)
        assert house[A].machine.commands[-5:] == [b"added 4", b"k1", b"updated", b"k2", removal(C)]
        assert house[A].node.peers == (peer(A), Peer(B, ("http://other:1",)), peer(D))
        assert configurations(house, A) == 4


async def test_a_new_leader_changes_nothing_before_its_first_entry_is_committed() -> None:
    """S6. Goal: a configuration of the leader before, which may be under way, is known then.
    Method: A leads, its first entry is not acknowledged.
    """
    async with assembled(A, B, C) as house:
        house.hold((B, A), (C, A))
        house[A].pass_time(2 * ELECTION_MS)
        for member in (B, C):
            house[member].pass_time(ELECTION_MS + 1)
        for _ in range(2):
            await until(lambda: house.on_the_way(B, A), "B answers")
            house.deliver(B, A)
        await until(lambda: house[A].node.status.is_leader, "A leads")
        change = house[A].change(*remove(C))
        await settle()
        assert not house.leads(A)
        assert configurations(house, A) == 1
        house.flow()
        await within(change)
        assert ids(house, A) == [A, B]


async def test_a_member_that_joins_gets_everything_and_then_counts() -> None:
    """Goal: a member without a log is sent a snapshot, follows, is counted and can lead. Method:
    join it to two, take one of these away, write, let the new one lead.
    """
    async with assembled(A, B, joiners=[D]) as house:
        await house.elect(A, B)
        await within(house[A].propose(b"before"))
        await within(house[B].change(*add(D)))
        assert house[A].transport.members == {B, D}
        house[A].pass_time(101)
        await until(lambda: house[D].has(b"before"), "D has the snapshot")
        await until(lambda: house.knows(A, D), "D follows")
        await house.crash(B)
        await within(house[A].propose(b"after"))
        house[A].pass_time(101)
        await until(lambda: house[D].has(b"after"), "D follows")
        await house.elect(D, A)
        assert ids(house, D) == [A, B, D]
        await house.crash(D)
        house.restart(D)
        assert house[D].has(b"before")
        house.connect(A, D)
        await house.elect(D, A)


@pytest.mark.parametrize("asker", [A, B])
async def test_a_leader_is_removed_by_handing_over_first(asker: int) -> None:
    """L10. Goal: a leader that is to go lets another one lead, which then makes the change; the
    client is answered, the removed one learns it, once, and the rest go on. Method: remove it,
    asked for at itself or at another member.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        change = house[asker].change(*remove(A))
        await until(lambda: house.leads(B) or house.leads(C), "another one leads")
        for member in (B, C):
            house[member].pass_time(101)
        await until(lambda: house[B].has(removal(A)), "it is removed")
        assert ids(house, B) == [B, C]
        if asker == B:
            await within(change)
        await house.same(B, C)
        leader = B if house.leads(B) else C
        await within(house[leader].propose(b"after"))
        await until(lambda: A not in house[leader].transport.members, "let go")
        listener = house[A].transport.listener
        assert listener is not None
        listener.removed()
        listener.removed()
        assert house[A].gone == 1
        house.disconnect(A, B)
        house.disconnect(A, C)
        await house.end(A)


async def test_a_removed_member_is_kept_until_the_removal_is_applied() -> None:
    """L10. Goal: who is removed stays connected until the removal is certain. Method: hold up the
    acknowledgement.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A), (C, A))
        change = house[A].change(*remove(C))
        await settle()
        assert ids(house, A) == [A, B]
        assert house[A].transport.members == {B, C}
        house.flow()
        await within(change)
        await settle()
        assert house[A].transport.members == {B}


async def test_a_removed_member_disturbs_nobody() -> None:
    """L10. Goal: one that has not heard of its removal may ask as often as it likes. Method: its
    time passes; the leader stays, in its term.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((A, C), (B, C))
        await within(house[A].change(*remove(C)))
        term = house[A].node.term
        for _ in range(5):
            house[C].pass_time(5 * ELECTION_MS)
            await house[C].ticked()
        await within(house[A].propose(b"k1"))
        assert house.leads(A)
        assert house[A].node.term == house[B].node.term == term


async def test_a_member_that_has_applied_its_removal_goes() -> None:
    """Goal: who learns from the log that it was removed says so, once, and once more when it is
    started again. Method: hand the removal to the removed one.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        await within(house[A].change(*remove(C)))
        # The leader has let go of C; here it is told nevertheless.
        log, last = house[A].node._log, house[C].node._log.last_index
        entries = [entry for entry in log.entries if entry[1] > last]
        term = house[A].node.term
        house.tell(A, C, Append(term, last, log.term_at(last), log.last_index, entries))
        await until(lambda: house[C].gone, "it goes")
        await within(house[C].node._take_snapshot())
        assert house[C].gone == 1
        await house.crash(C)
        house.restart(C)
        assert house[C].gone == 2


async def test_a_removed_member_learns_it_from_its_leader() -> None:
    """L10. Goal: a member that is removed hears so from the log before it is let go of. Method:
    remove one that is connected.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        await within(house[A].change(*remove(C)))
        await until(lambda: house[C].gone, "it goes")
        assert house[C].has(removal(C))


async def test_a_configuration_alone_makes_a_removed_member_go() -> None:
    """L10. Goal: who is no member any more by what agreement knows goes, whatever the state machine
    makes of the command. Method: a removal with another command.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        await within(house[A].change(Change("remove", peer(C)), b"no record of it"))
        await until(lambda: house[C].gone, "it goes")


async def test_who_is_to_come_is_connected_with_already() -> None:
    """Goal: a connection with a new member is there when it is first needed. Method: an addition
    that is not committed yet.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        house.hold((B, A), (C, A))
        change = house[A].change(*add(D))
        await settle()
        assert not change.done()
        assert house[A].transport.members == {B, C, D}
        house.flow()


async def test_a_restart_takes_what_its_snapshot_holds_for_committed() -> None:
    """Goal: after a restart the commit index is not behind the state. Method: a snapshot at an
    entry that no later record of the journal says to be committed.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].propose(b"k1"))
        await house.same()
        await within(house[B].node._take_snapshot())
        applied = house[B].node.applied_index
        await house.crash(B)
        house.restart(B)
        assert house[B].node.applied_index == applied
        assert house[B].commit_index == applied


async def test_a_snapshot_says_who_the_members_were_at_its_index() -> None:
    """S14. Goal: a configuration that is not committed does not get into a snapshot; if it never
    is, it is gone after a restart from that snapshot, too. Method: a leader that is cut off appends
    one and takes a snapshot; it is restarted; another one leads.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].propose(b"k1"))
        await house.same()
        house.hold_all(A)
        house[A].change(*remove(C))
        await settle()
        assert ids(house, A) == [A, B]
        await within(house[A].node._take_snapshot())
        newest = SnapshotStore(house[A].disk, SNAP, identity=house[A].node.identity).newest()
        assert newest is not None
        assert [other.id for other in decode_standing(newest[0].config).peers] == [A, B, C]

        await house.crash(A)
        house.restart(A)
        assert house[A].has(b"k1")
        assert ids(house, A) == [A, B], "it is in the log still"
        await house.elect(B, C)
        await within(house[B].propose(b"k2"))
        house.held.clear()
        house.heal()
        for _ in range(3):
            house[B].pass_time(101)
            await house[B].ticked()
        await until(lambda: house[A].has(b"k2"), "A follows B")
        assert ids(house, A) == [A, B, C]


@pytest.mark.parametrize("asker", [A, B])
async def test_a_change_that_makes_no_sense_is_refused(asker: int) -> None:
    """Goal: etcd's words, at the leader and at a follower, and others go on. Method: several."""
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await within(house[A].change(*remove(C)))
        await house.same(A, B)
        for change, words in (
            (Change("add", peer(B)), "membership: ID exists"),
            (Change("add", peer(C)), "membership: ID removed"),
            (Change("remove", peer(77)), "membership: ID not found"),
        ):
            with pytest.raises(ChangeRefused, match=words):
                await within(house[asker].change(change, b"never"))
        await within(house[asker].propose(b"k1"))
        assert not house[A].has(b"never")


async def test_a_copy_of_a_change_that_was_refused_is_not_made_later() -> None:
    """Goal: what was refused stays refused in its term. Method: the same Forward again when the
    change would make sense.
    """
    async with assembled(A, B, C) as house:
        await house.elect(A)
        await house.same()
        change = Change("add", Peer(D, peer(C).urls))
        forward = Forward(house[A].node.term, 77, 1, [Proposal(1, b"late", change)])
        house.tell(B, A, forward)
        await settle()
        await within(house[A].change(*remove(C)))
        house.tell(B, A, forward)
        await within(house[A].propose(b"k1"))
        assert ids(house, A) == [A, B]
        assert not house[A].has(b"late")
