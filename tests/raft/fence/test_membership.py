"""Who the members are: from when on a configuration counts, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from raft import membership
from raft.batch import Peer
from raft.errors import ChangeRefused
from raft.membership import Membership, changed
from raft.messages import Append, Appended, AskVote, Beat, Change, Commit, Vote
from tests.raft.fence.parliament import ELECTION_MS, Parliament, peer

if TYPE_CHECKING:
    from collections.abc import Iterable

A, B, C, D = 1, 2, 3, 4


def ids(peers: Iterable[Peer]) -> set[int]:
    """Whose they are."""
    return {member.id for member in peers}


def test_a_configuration_counts_once_it_is_committed() -> None:
    """S6. Goal: an entry that changes the members is committed by a majority of those who were
    members before, and what follows it by one of the new ones. Method: remove C, with the
    acknowledgement of C alone; then an entry for which C's is worth nothing and B's is.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    engine = parliament.engine(A)
    parliament.propose(A, b"without C", peers=(A, B))
    assert set(engine.leading.progress) == {B, C}
    parliament.sync(A)
    assert parliament.turn(A) == []
    parliament.deliver(A, C)
    parliament.sync(C)
    parliament.deliver(C, A)
    assert parliament.turn(A) == [b"without C"]
    assert set(engine.leading.progress) == {B}
    parliament.propose(A, b"k1")
    parliament.sync(A)
    parliament.tell(C, A, Appended(engine.term, 4, ok=True))
    assert parliament.turn(A) == []
    parliament.deliver(A, B)
    parliament.sync(B)
    parliament.deliver(B, A)
    assert parliament.turn(A) == [b"k1"]


def test_one_alone_can_let_another_in() -> None:
    """Goal: a cluster of one grows at once; the second member is then needed for everything, is
    taken to know nothing, and is given time to answer. Method: add one that cannot be reached, and
    let time pass.
    """
    parliament = Parliament(A, joiners=[D])
    parliament.run()
    parliament.disconnect(A, D)
    engine = parliament.engine(A)
    assert engine.is_ready_leader
    parliament.pass_time(10 * ELECTION_MS)
    parliament.propose(A, b"with D", peers=(A, D))
    parliament.sync(A)
    assert parliament.turn(A) == [b"with D"]
    assert engine.leading.progress[D][0] == 0
    assert not engine.desk.is_alone
    parliament.propose(A, b"k1")
    parliament.sync(A)
    assert parliament.turn(A) == []
    assert engine.is_leader, "it had no time to answer"
    parliament.pass_time(2 * ELECTION_MS)
    parliament.turn(A)
    assert not engine.is_leader


def test_a_configuration_in_force_is_not_forgotten() -> None:
    """Goal: once a member may have gone for good because of a configuration, a restart knows that
    it is in force, without asking the member that has gone. Method: of {A, B}, B is removed and
    gone; A is restarted at once.
    """
    parliament = Parliament(A, B)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"without B", peers=(A,))
    parliament.run(A, B)
    assert parliament.engine(A).desk.is_alone
    parliament.crash(B)
    parliament.crash(A)
    parliament.restart(A)
    assert parliament.engine(A).is_leader


def test_a_configuration_that_is_replaced_never_was() -> None:
    """Goal: when a follower's tail is replaced, a configuration in it is forgotten, now and after a
    restart; it never was in force. Method: A's removal of C reaches B only; C leads with D's vote.
    """
    parliament = Parliament(A, B, C, D)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"without C", peers=(A, B, D))
    parliament.deliver(A, B)
    parliament.sync(B)
    assert ids(parliament[B].log.membership.peers) == {A, B, D}
    assert parliament.engine(B).desk.voters == {A, B, C, D}
    term = parliament.engine(A).term
    new = [(b"\x01", 3, term + 1)]
    parliament.tell(C, B, Append(term + 1, 2, term, 0, new))
    assert ids(parliament[B].log.membership.peers) == {A, B, C, D}
    assert parliament.engine(B).desk.voters == {A, B, C, D}
    parliament.sync(B)
    parliament.crash(B)
    parliament.restart(B)
    assert ids(parliament[B].log.membership.peers) == {A, B, C, D}


def test_a_restart_finds_the_newest_configuration_in_the_log() -> None:
    """Goal: a restart knows the last one in the log, and that it is not known to be committed, so
    that the one before is in force. Method: restart.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"without C", peers=(A, B))
    parliament.sync(A)
    parliament.crash(A)
    parliament.restart(A)
    assert ids(parliament[A].log.membership.peers) == {A, B}
    assert parliament[A].log.membership.voters == {A, B, C}
    assert parliament[A].log.membership.index == 3


def test_a_configuration_that_is_not_known_to_be_committed_elects_nobody() -> None:
    """S6. Goal: until a configuration is known to be committed, a candidate needs a majority of
    those who were members before, and that suffices. Method: of {A, B, C}, A adds D, which reaches
    B only, and dies; B stands with C. Then the same when D is the one who answers.
    """
    for helper in (C, D):
        parliament = Parliament(A, B, C, joiners=[D])
        parliament.elect(A)
        parliament.beat(A, A, B, C)
        parliament.propose(A, b"with D", peers=(A, B, C, D))
        parliament.deliver(A, B)
        parliament.sync(B)
        parliament.crash(A)
        assert parliament.engine(B).desk.voters == {A, B, C}
        parliament.tick(B, 2 * ELECTION_MS)
        engine = parliament.engine(B)
        for pre in (True, False):
            engine.receive(helper, Vote(engine.term + pre, True, pre))
        assert engine.is_leader == (helper == C)
    # What it led with is committed by the old ones, and then in force.
    parliament = Parliament(A, B, C, joiners=[D])
    parliament.elect(A)
    parliament.beat(A, A, B, C)
    parliament.propose(A, b"with D", peers=(A, B, C, D))
    parliament.deliver(A, B)
    parliament.sync(B)
    parliament.crash(A)
    parliament.elect(B, C)
    assert parliament.engine(B).desk.voters == parliament.engine(C).desk.voters == {A, B, C, D}


def test_who_is_removed_is_told_that_it_is_certain() -> None:
    """L10. Goal: the last thing a removed member hears is that its removal is committed, and it
    hears it when the leader cannot forget it any more. Method: remove C.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"without C", peers=(A, B))
    for member in (A, B, C):
        parliament.deliver(A, member)
        parliament.sync(member)
    parliament.deliver(B, A)
    assert parliament.turn(A) == [b"without C"]
    assert parliament.on_the_way(A, C) == []
    parliament.sync(A)
    assert parliament.on_the_way(A, C) == [Commit(parliament.engine(A).term, 3)]
    parliament.deliver(A, C)
    assert parliament.turn(C) == [b"without C"]


def test_a_leader_that_was_removed_does_not_count_itself() -> None:
    """S6. Goal: a leader that has inherited its own removal and commits it commits nothing more
    with itself as one of the majority. Method: C's removal of A reaches A only; A leads with B's
    vote and commits it; then an entry that, of {B, C}, only B has.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(C)
    parliament.beat(C)
    parliament.propose(C, b"without A", peers=(B, C))
    parliament.drop(C, B)
    parliament.deliver(C, A)
    parliament.sync(A)
    parliament.crash(C)
    parliament.pass_time(ELECTION_MS, A, B)
    parliament.tick(A, ELECTION_MS)
    parliament.run(A, B)
    assert parliament[A].terms[-2:] == [(3, 2), (4, 3)], "it leads, or has led"
    assert parliament[A].applied_commands == [b"without A"]
    assert parliament[A].log.membership.voters == {B, C}
    if parliament.engine(A).is_leader:
        parliament.propose(A, b"k1")
        parliament.run(A, B)
    assert parliament[A].applied_commands == [b"without A"]


def test_a_leader_that_was_removed_says_so_before_it_goes() -> None:
    """Goal: who inherits and commits its own removal leaves nobody behind who still needs it: the
    last member knows that it is the only one, and leads. Method: B's removal of A reaches A, B dies
    and comes back, A leads with its vote and commits; then A is gone.
    """
    parliament = Parliament(A, B)
    parliament.elect(B)
    parliament.beat(B)
    parliament.propose(B, b"without A", peers=(B,))
    parliament.deliver(B, A)
    parliament.sync(A)
    parliament.crash(B)
    parliament.restart(B)
    parliament.connect(A, B)
    parliament.pass_time(ELECTION_MS, A, B)
    parliament.tick(A, ELECTION_MS)
    parliament.run()
    assert parliament[A].applied_commands == [b"without A"]
    parliament.crash(A)
    parliament.tick(B, 2 * ELECTION_MS)
    parliament.run()
    assert parliament[B].applied_commands == [b"without A"]
    assert parliament.engine(B).is_leader


def test_a_lone_member_commits_nothing_before_it_is_on_disk() -> None:
    """S12. Goal: a cluster of one follows the rule of all others. Method: look before and after the
    first sync.
    """
    parliament = Parliament(A)
    engine = parliament.engine(A)
    assert engine.is_leader
    assert (engine.commit_index, parliament[A].log.last_index) == (1, 2)
    parliament.sync(A)
    assert engine.commit_index == 1
    parliament.turn(A)
    assert engine.commit_index == 2
    assert engine.is_ready_leader


def test_votes_are_counted_in_the_newest_configuration() -> None:
    """Goal: a candidate needs a majority of those who are members now. Method: of {A, B}, after the
    removal of C, the votes of C are nothing.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"without C", peers=(A, B))
    parliament.run(A, B)
    parliament.crash(A)
    parliament.pass_time(2 * ELECTION_MS)
    parliament.tick(B)
    assert parliament.on_the_way(B, C) == []
    assert not parliament.engine(B).is_candidate


def test_who_joins_by_a_snapshot_is_a_voter_from_then_on() -> None:
    """Goal: the configuration of an installed snapshot is in force with it, for the very next thing
    that happens. Method: a member that is to join installs a snapshot that names it; then its
    election time-out has passed.
    """
    parliament = Parliament(A, B, C, joiners=[D])
    parliament.elect(A)
    term = parliament.engine(A).term
    parliament.tell(A, D, Beat(term, 0))
    parliament.tick(D, 2 * ELECTION_MS)
    assert parliament.take(D, A, AskVote) == []
    seat = parliament[D]
    seat.journal.mark_snapshot(10, term)
    seat.log.replace(10, term, commands=8)
    seat.log.membership.reset(10, tuple(map(peer, (A, B, C, D))))
    seat.engine.installed(10)
    parliament.tick(D, 2 * ELECTION_MS)
    for member in (A, B, C):
        [question] = parliament.take(D, member, AskVote)
        assert (question.pre, question.last_index, question.last_term) == (True, 10, term)


def test_the_members_as_of_an_index() -> None:
    """S14. Goal: what a snapshot records is who the members were at its index, not who they may
    become. Method: a history, compacted step by step, truncated, replaced.
    """
    members = Membership(0, ())
    peers = {index: tuple(map(peer, range(1, index))) for index in (2, 5, 9)}
    for index, them in peers.items():
        members.append(index, them)
    for index in range(1, 12):
        known = max((since for since in peers if since <= index), default=0)
        assert members.at(index) == peers.get(known, ())
    version = members.version
    members.compact(5)
    assert (members.at(5), members.at(8), members.at(9)) == (peers[5], peers[5], peers[9])
    assert members.version == version
    members.compact(7)
    assert members.at(7) == peers[5]
    members.truncate(9)
    assert members.version > version
    assert (members.index, members.peers) == (5, peers[5])
    members.truncate(2)
    assert members.peers == peers[5], "there is always one"
    members.reset(40, peers[2])
    assert (members.index, members.voters, members.at(41)) == (40, {1}, peers[2])


THREE = (peer(A), peer(B), peer(C))


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (Change("add", peer(D)), [A, B, C, D]),
        (Change("add", Peer(0, ("http://elsewhere:1",))), [0, A, B, C]),
        (Change("add", peer(B)), "membership: ID exists"),
        (
            Change("add", Peer(D, ("http://x:1", "http://member2:2380"))),
            "membership: peerURL exists",
        ),
        (Change("add", peer(66)), "membership: ID removed"),
        (Change("remove", peer(B)), [A, C]),
        (Change("remove", peer(D)), "membership: ID not found"),
        (Change("remove", peer(66)), "membership: ID removed"),
        (Change("update", Peer(B, ("http://elsewhere:1",))), [A, B, C]),
        (Change("update", peer(B)), [A, B, C]),
        (Change("update", Peer(B, ("http://member3:2380",))), "membership: peerURL exists"),
        (Change("update", peer(D)), "membership: ID not found"),
        (Change("promote", peer(B)), "membership: no such change: 'promote'"),
    ],
    ids=str,
)
def test_what_makes_sense_as_a_change(change: Change, outcome: list[int] | str) -> None:
    """Goal: etcd's checks in etcd's words; what is left differs by one member, sorted. Method: a
    table; 66 was a member once.
    """
    if isinstance(outcome, str):
        with pytest.raises(ChangeRefused) as refused:
            changed(THREE, change, lambda member: member == 66)
        assert str(refused.value) == outcome
        return
    peers = changed(THREE, change, lambda member: member == 66)
    assert [other.id for other in peers] == outcome
    if change.kind != membership.REMOVE:
        assert change.peer in peers


def test_the_last_member_stays() -> None:
    """Goal: a cluster of none cannot be. Method: remove the only one."""
    with pytest.raises(ChangeRefused, match="last member"):
        changed((peer(A),), Change("remove", peer(A)), lambda _member: False)
