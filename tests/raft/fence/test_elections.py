"""Who may lead, and who is left alone."""

from __future__ import annotations

import random

import pytest

from raft.messages import (
    Append,
    Appended,
    AskVote,
    Beat,
    Beaten,
    TimeoutNow,
    Vote,
)
from tests.raft.fence.parliament import ELECTION_MS, HEARTBEAT_MS, Parliament

A, B, C, D, E = 1, 2, 3, 4, 5


def ask(parliament: Parliament, member: int, term: int, *, pre: bool = False) -> AskVote:
    """A question for a vote by somebody whose log is as good as the member's."""
    log = parliament[member].log
    return AskVote(term, log.last_index, log.last_term, pre, False)


def grants(parliament: Parliament, voter: int, candidate: int) -> list[Vote]:
    """The votes on their way."""
    return [vote for vote in parliament.take(voter, candidate, Vote) if vote.granted]


# -- votes and the disk -------------------------------------------------------------------------


def test_a_vote_leaves_only_when_it_is_on_disk() -> None:
    """Goal: a crash after granting a vote and before the sync does not allow a second vote in that
    term to anybody who could count the first. Method: grant, crash before the sync, be asked by
    another candidate.
    """
    parliament = Parliament(A, B, C)
    parliament.tell(A, B, ask(parliament, B, 5))
    assert parliament.engine(B).vote == A
    assert grants(parliament, B, A) == []
    parliament.crash(B)
    parliament.restart(B)
    parliament.connect(B, C)
    assert parliament.engine(B).term < 5
    parliament.tell(C, B, ask(parliament, B, 5))
    parliament.sync(B)
    assert len(grants(parliament, B, C)) == 1


@pytest.mark.parametrize("seed", range(8))
def test_a_vote_that_was_given_survives_any_crash(seed: int) -> None:
    """R10, D6. Goal: who has voted in a term votes for nobody else in it, whatever a crash leaves
    of later writes. Method: vote, sync, write some more without a sync, lose power, be asked by
    another candidate.
    """
    parliament = Parliament(A, B, C)
    parliament.tell(A, B, ask(parliament, B, 5))
    parliament.sync(B)
    assert len(grants(parliament, B, A)) == 1
    parliament.tell(A, B, Append(5, 1, 1, 0, [(b"\x01", 2, 5)]))
    parliament.crash(B, random.Random(seed))
    parliament.restart(B)
    parliament.connect(B, C)
    assert (parliament.engine(B).term, parliament.engine(B).vote) == (5, A)
    parliament.tell(C, B, ask(parliament, B, 5))
    parliament.sync(B)
    assert grants(parliament, B, C) == []


def test_a_candidate_asks_only_when_its_own_vote_is_on_disk() -> None:
    """Goal: a candidate counts its own vote, so that must survive a crash as well. Method: let it
    stand, and look what has left before the sync; crash it then: it may vote for another one.
    """
    parliament = Parliament(A, B, C)
    parliament.tick(A, 2 * ELECTION_MS)
    parliament.deliver(A, B)
    parliament.deliver(B, A)
    assert parliament.engine(A).is_candidate
    questions = [*parliament.take(A, B, AskVote), *parliament.take(A, C, AskVote)]
    assert all(question.pre for question in questions)
    term = parliament.engine(A).term
    parliament.crash(A)
    parliament.restart(A)
    parliament.connect(A, C)
    parliament.tell(C, A, ask(parliament, A, term))
    parliament.sync(A)
    assert len(grants(parliament, A, C)) == 1


def test_a_vote_that_was_lost_is_given_again_and_not_before_it_is_on_disk() -> None:
    """L8. Goal: the same candidate that asks again is told the same again; a repeated question does
    not get the answer out before the sync either. Method: ask twice, sync, lose the answers, ask
    again.
    """
    parliament = Parliament(A, B, C)
    question = ask(parliament, B, 5)
    for _ in range(2):
        parliament.tell(A, B, question)
    assert grants(parliament, B, A) == []
    parliament.sync(B)
    assert grants(parliament, B, A)
    parliament.tell(A, B, question)
    parliament.sync(B)
    assert len(grants(parliament, B, A)) == 1
    parliament.tell(C, B, question)
    parliament.sync(B)
    [answer] = parliament.take(B, C, Vote)
    assert not answer.granted


def test_nobody_gets_the_vote_of_a_member_that_steps_down() -> None:
    """Goal: to learn of a higher term is no vote: whoever asks first in that term may have it.
    Method: tell a member that has data of a term by a refused vote, then ask it.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.pass_time(ELECTION_MS)
    parliament.tell(C, B, Vote(7, False, False))
    assert (parliament.engine(B).term, parliament.engine(B).vote) == (7, 0)
    parliament.tell(A, B, ask(parliament, B, 7))
    parliament.sync(B)
    assert len(grants(parliament, B, A)) == 1


# -- counting -----------------------------------------------------------------------------------


def test_a_voter_counts_once() -> None:
    """R11, S5. Goal: a vote that arrives twice is one vote. Method: of five, one member's votes
    arrive again and again, first those of the question beforehand, then the real ones.
    """
    parliament = Parliament(A, B, C, D, E)
    engine = parliament.engine(A)
    parliament.tick(A, 2 * ELECTION_MS)
    for _ in range(5):
        engine.receive(B, Vote(2, True, True))
    assert not engine.is_candidate
    engine.receive(C, Vote(2, True, True))
    assert engine.is_candidate
    for _ in range(5):
        engine.receive(B, Vote(2, True, False))
    assert not engine.is_leader
    engine.receive(C, Vote(2, True, False))
    assert engine.is_leader


def test_votes_of_another_term_or_kind_do_not_count() -> None:
    """Goal: a vote counts for the term and the question it answers. Method: votes for the terms
    around it, and of the other kind, in both stages.
    """
    parliament = Parliament(A, B, C)
    engine = parliament.engine(A)
    parliament.tick(A, 2 * ELECTION_MS)
    engine.receive(B, Vote(1, True, True))
    engine.receive(B, Vote(3, True, True))
    engine.receive(B, Vote(2, True, False))
    assert (engine.term, engine.is_candidate) == (1, False)
    engine.receive(B, Vote(2, True, True))
    assert (engine.term, engine.is_candidate) == (2, True)
    engine.receive(B, Vote(1, True, False))
    engine.receive(B, Vote(2, True, True))
    engine.receive(B, Vote(3, True, True))
    assert engine.is_candidate
    engine.receive(B, Vote(2, True, False))
    assert engine.is_leader


def test_answers_to_an_attempt_that_was_given_up_do_not_count() -> None:
    """Goal: once a leader was heard of, or another term has begun, what was said before about our
    candidacy means nothing. Method: of three that have data, one stands, hears a leader, then gets
    the answers; stands again, learns of a higher term, then gets the answers.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(C)
    engine = parliament.engine(A)
    parliament.tick(A, 2 * ELECTION_MS)
    engine.receive(C, Beat(2, 0))
    engine.receive(B, Vote(3, True, True))
    assert (engine.term, engine.is_candidate) == (2, False)
    parliament.tick(A, 2 * ELECTION_MS)
    engine.receive(C, Vote(5, False, True))
    engine.receive(B, Vote(3, True, True))
    assert (engine.term, engine.is_candidate) == (5, False)


# -- leaving a leader alone ---------------------------------------------------------------------


def test_members_that_were_cut_off_disturb_nobody() -> None:
    """R12, L1. Goal: a minority does not raise its term, and when it is back the leader goes on
    leading. Method: of five, two are apart for a minute; everybody ticks all the time.
    """
    parliament = Parliament(A, B, C, D, E)
    parliament.elect(A)
    parliament.beat(A)
    parliament.partition({A, B, C}, {D, E})
    term = parliament.engine(A).term

    def pass_time(time_ms: int) -> None:
        for _ in range(time_ms // HEARTBEAT_MS):
            parliament.pass_time(HEARTBEAT_MS + 1)
            for member in (A, B, C, D, E):
                parliament.tick(member)
                parliament.sync(member)
                parliament.turn(member)
            parliament.run()
            assert parliament.engine(A).is_leader

    pass_time(60_000)
    assert {parliament.engine(member).term for member in (A, B, C, D, E)} == {term}
    assert parliament.engine(D).leader == 0
    parliament.heal()
    pass_time(5_000)
    assert {parliament.engine(member).term for member in (A, B, C, D, E)} == {term}
    assert parliament.engine(D).leader == A


def test_who_led_before_follows_in_peace() -> None:
    """L1. Goal: PySyncObj's own election timer, which knows no heartbeat of ours and no pre-vote,
    is out of the game for those who have stood before, too. Method: A leads, then B; much time
    passes with heartbeats only.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.elect(B)
    parliament.beat(B)
    term = parliament.engine(B).term
    for _ in range(5 * ELECTION_MS // HEARTBEAT_MS):
        parliament.beat(B)
        for member in (A, C):
            parliament.tick(member)
    parliament.partition({A}, {B, C})
    for _ in range(5 * ELECTION_MS // HEARTBEAT_MS):
        parliament.pass_time(HEARTBEAT_MS)
        parliament.tick(A)
        parliament.run(A)
    assert {parliament.engine(member).term for member in (A, B, C)} == {term}


def test_who_hears_a_leader_helps_nobody_to_replace_it() -> None:
    """Goal: a member that asks for votes while a leader is heard, without that leader's wish, gets
    none, is not answered, and raises nobody's term. Method: ask a follower and the leader, once
    beforehand and once for real; then once more when the leader has been silent.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    term = parliament.engine(A).term
    for member in (A, B):
        parliament.tell(C, member, ask(parliament, member, term + 1, pre=True))
        [answer] = parliament.take(member, C, Vote)
        assert (answer.granted, answer.term) == (False, term)
        parliament.tell(C, member, ask(parliament, member, term + 1))
        parliament.sync(member)
        assert parliament.take(member, C, Vote) == []
        assert parliament.engine(member).term == term
    parliament.pass_time(ELECTION_MS, B)
    parliament.tell(C, B, ask(parliament, B, term + 1, pre=True))
    assert len(grants(parliament, B, C)) == 1
    parliament.tell(C, B, ask(parliament, B, term + 1))
    parliament.sync(B)
    assert len(grants(parliament, B, C)) == 1


def test_nobody_is_told_yes_who_could_not_win() -> None:
    """Goal: the question beforehand is answered by the log and by the term, like the real one.
    Method: ask with an older last term, a shorter log, and for a term that is not new.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.propose(A, b"k1")
    parliament.run()
    engine = parliament.engine(B)
    parliament.pass_time(ELECTION_MS, B)
    index, term = parliament[B].log.last_index, engine.term
    for question in (
        AskVote(term + 1, index + 5, term - 1, True, False),
        AskVote(term + 1, index - 1, term, True, False),
        AskVote(term, index, term, True, False),
    ):
        parliament.tell(C, B, question)
        [answer] = parliament.take(B, C, Vote)
        assert (answer.granted, answer.term, answer.pre) == (False, term, True)
    for question in (
        AskVote(term + 1, index + 5, term - 1, False, False),
        AskVote(term + 2, index - 1, term, False, False),
    ):
        parliament.tell(C, B, question)
        parliament.sync(B)
        [answer] = parliament.take(B, C, Vote)
        assert not answer.granted
        assert engine.vote == 0


def test_a_follower_waits_for_its_leader_and_no_longer() -> None:
    """Goal: whoever hears a leader does not stand; whoever has not heard one for the time it drew
    does; and one whose connection to the leader broke does so sooner. Method: a hand clock.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    for _ in range(3):
        parliament.tick(B, ELECTION_MS)
        assert parliament.take(B, C, AskVote) == []
        parliament.tell(A, B, Beat(parliament.engine(A).term, 0))
    parliament.tick(B, ELECTION_MS)
    assert parliament.engine(B).leader == 0
    assert parliament.take(B, C, AskVote) == []
    parliament.tick(B, ELECTION_MS // 2)
    assert len(parliament.take(B, C, AskVote)) == 1

    parliament.disconnect(A, C)
    assert parliament.engine(C).leader == 0
    parliament.tick(C, ELECTION_MS // 4 - 1)
    assert parliament.take(C, B, AskVote) == []
    parliament.tick(C, 1)
    assert len(parliament.take(C, B, AskVote)) == 1


def test_a_voter_waits_for_the_one_it_voted_for() -> None:
    """Goal: having voted, a member gives the candidate a whole time-out. Method: vote just before
    one would stand oneself.
    """
    parliament = Parliament(A, B, C)
    parliament.pass_time(ELECTION_MS + ELECTION_MS // 2 - 1)
    parliament.tell(A, B, ask(parliament, B, 2))
    parliament.tick(B, ELECTION_MS)
    assert parliament.take(B, C, AskVote) == []


def test_who_is_no_voter_does_not_stand() -> None:
    """Goal: a member that has yet to join, and one that was removed, never begin an election, not
    even when they are told to. Method: time-outs, and TimeoutNow.
    """
    parliament = Parliament(A, B, C, joiners=[D])
    parliament.elect(A)
    parliament.propose(A, b"without C", peers=(A, B))
    parliament.deliver(A, C)
    parliament.run(A, B)
    term = parliament.engine(A).term
    # The leader has let go of C before it could learn of it.
    parliament.tell(A, C, Append(term, 2, 2, 3, parliament[A].log.entries[2:]))
    parliament.tell(A, D, Beat(term, 0))
    for member in (C, D):
        parliament.tick(member, 5 * ELECTION_MS)
        parliament.tell(A, member, Beat(term, 0))
        parliament.tell(A, member, TimeoutNow(term))
        parliament.sync(member)
        assert not parliament.take(member, A, AskVote)
        assert not parliament.engine(member).is_candidate


# -- terms --------------------------------------------------------------------------------------


def test_who_is_behind_is_told_the_term_at_once() -> None:
    """L7. Goal: an old leader or candidate learns of the term that is, instead of raising its own
    step by step. Method: whatever they send that has an answer is answered with the term; the
    answer makes them followers of that term.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    for member in (B, C):
        parliament.drop(A, member)
    for _ in range(3):
        parliament.elect(B, C)
        parliament.elect(C, B)
    parliament.drop(B, A)
    parliament.drop(C, A)
    old, term = parliament.engine(A).term, parliament.engine(C).term
    assert parliament.engine(A).is_leader

    for message in (
        Append(old, 1, 1, 0, []),
        Beat(old, 0),
        AskVote(old + 1, 9, old, False, False),
        AskVote(old + 1, 9, old, True, False),
    ):
        parliament.tell(A, C, message)
        parliament.sync(C)
        [answer] = parliament.on_the_way(C, A)
        assert isinstance(answer, Appended | Vote)
        assert answer.term == term
        parliament.drop(C, A)
    for answer in (
        Appended(term, 0, ok=False),
        Beaten(term + 1, 0),
        Vote(term + 2, False, False),
        Vote(term + 3, False, True),
    ):
        parliament.tell(C, A, answer)
        assert not parliament.engine(A).is_leader
        assert parliament.engine(A).term == answer.term


def test_an_old_leader_is_not_followed() -> None:
    """Goal: what a leader of a past term sends changes nothing and counts as no sign of a leader.
    Method: an append and a heartbeat of the past.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.elect(B)
    parliament.beat(B)
    before = parliament[C].terms
    parliament.pass_time(ELECTION_MS, C)
    parliament.tell(A, C, Append(2, 2, 2, 0, [(b"\x01", 3, 2)]))
    parliament.tell(A, C, Beat(2, 0))
    assert parliament[C].terms == before
    assert parliament.engine(C).leader == 0


def test_a_leader_without_a_majority_steps_down_within_an_election_time_out() -> None:
    """S13. Goal: a leader that hears from no majority stops leading. Method: of five, cut it off
    with one follower; the clock goes on. With two followers it stays.
    """
    parliament = Parliament(A, B, C, D, E)
    parliament.elect(A)
    for others, stays in (((B, C), True), ((B,), False)):
        parliament.partition({A, *others})
        for _ in range(ELECTION_MS // HEARTBEAT_MS + 1):
            parliament.beat(A, A, *others)
        assert parliament.engine(A).is_leader == stays
    assert parliament.engine(A).leader == 0


# -- handing over -------------------------------------------------------------------------------


def test_leadership_is_handed_over_to_who_has_everything() -> None:
    """Goal: a transfer goes to the follower that is furthest, waits until it has all of the log,
    and the others vote for it although they hear the old leader. Method: B has everything but the
    last entry; C nothing of late.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"k1")
    parliament.run(A, B)
    parliament.propose(A, b"k2")
    engine = parliament.engine(A)
    assert engine.leading.transfer()
    assert engine.leading.is_transferring
    parliament._ship(A)
    assert not any(isinstance(m, TimeoutNow) for m in parliament.on_the_way(A, B))
    parliament.run(A, B)
    assert parliament.engine(B).is_candidate or parliament.engine(B).is_leader
    parliament.run()
    assert parliament.engine(B).is_leader
    assert parliament[C].applied_commands == [b"k1", b"k2"]
    assert not engine.is_leader


def test_a_transfer_that_nobody_takes_ends() -> None:
    """Goal: while leadership is handed over nothing is proposed, so that must end. Method: the
    chosen member never answers.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    engine = parliament.engine(A)
    assert engine.leading.transfer()
    parliament.beat(A, A, C)
    assert engine.leading.is_transferring
    for _ in range(ELECTION_MS // HEARTBEAT_MS):
        parliament.beat(A, A, C)
    assert not engine.leading.is_transferring


def test_nobody_unfit_is_chosen_to_take_over() -> None:
    """Goal: not one that cannot be reached, nor one that waits for a snapshot; a follower hands
    nothing over. Method: the only other candidates are such.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    assert not parliament.engine(B).leading.transfer()
    parliament.disconnect(A, B)
    parliament.disconnect(A, C)
    assert not parliament.engine(A).leading.transfer()
    for number in range(8):
        parliament.propose(A, b"k%d" % number)
    parliament.connect(A, C)
    for _ in range(3):
        parliament.beat(A)
    parliament[A].log.compact(8)
    parliament.connect(A, B)
    for _ in range(3):
        parliament.beat(A)
    assert parliament.engine(A).leading.wants_snapshot() == [B]
    parliament.disconnect(A, C)
    assert not parliament.engine(A).leading.transfer()


def test_only_the_leader_of_this_term_can_have_a_member_stand() -> None:
    """Goal: TimeoutNow counts from the leader that is followed, in its term. Method: from another
    member, from the past, and of a term nobody has heard of.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    term = parliament.engine(A).term
    for sender, its_term in ((C, term), (A, term - 1), (A, term + 1)):
        parliament.tell(sender, B, TimeoutNow(its_term))
        assert not parliament.engine(B).is_candidate
        assert parliament.engine(B).term == term
    parliament.tell(A, B, TimeoutNow(term))
    assert parliament.engine(B).is_candidate


# -- is it still one? ---------------------------------------------------------------------------


def test_a_round_is_confirmed_by_a_majority_that_answers_it() -> None:
    """S13. Goal: leadership is confirmed by answers of a majority to this very round, each member
    once. Method: of five, answers to an earlier round, to none, of an earlier term, and one
    member's twice; then another member's.
    """
    parliament = Parliament(A, B, C, D, E)
    parliament.elect(A)
    parliament.beat(A)
    engine = parliament.engine(A)
    first = engine.leading.begin_round()
    parliament._ship(A)
    for member in (B, C, D, E):
        [beat] = parliament.take(A, member, Beat)
        assert beat.round == first
    engine.receive(B, Beaten(engine.term, first))
    second = engine.leading.begin_round()
    assert second != first
    for member, answer in (
        (B, Beaten(engine.term, first)),
        (C, Beaten(engine.term, first)),
        (C, Beaten(engine.term, 0)),
        (D, Beaten(engine.term - 1, second)),
        (E, Beaten(engine.term, second)),
        (E, Beaten(engine.term, second)),
    ):
        engine.receive(member, answer)
        assert engine.leading.confirmed_round < first
    engine.receive(D, Beaten(engine.term, second))
    assert engine.leading.confirmed_round == second


def test_a_round_of_an_earlier_leadership_is_not_confirmed_in_a_later_one() -> None:
    """S13. Goal: answers collected as the leader of one term are none in another. Method: half a
    majority answers in one term, the rest in the next one of the same leader.
    """
    parliament = Parliament(A, B, C, D, E)
    parliament.elect(A)
    parliament.beat(A)
    engine = parliament.engine(A)
    wanted = engine.leading.begin_round()
    engine.receive(B, Beaten(engine.term, wanted))
    parliament.elect(B, C, D, E)
    parliament.beat(B)
    parliament.pass_time(ELECTION_MS)
    parliament.tick(A, ELECTION_MS)
    for member in (D, E, D, E):
        parliament.deliver(A, member)
        parliament.sync(member)
        parliament.deliver(member, A)
        parliament.sync(A)
    assert engine.is_leader
    engine.receive(C, Beaten(engine.term, wanted))
    assert engine.leading.confirmed_round < wanted


def test_a_round_is_asked_again_until_it_is_confirmed() -> None:
    """Goal: reads don't hang because a heartbeat was lost. Method: lose the round's heartbeats; a
    later one carries the round again.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    engine = parliament.engine(A)
    wanted = engine.leading.begin_round()
    engine.desk.outbox.clear()
    parliament.beat(A)
    assert engine.leading.confirmed_round == wanted


def test_a_new_leader_is_ready_when_its_first_entry_is_committed() -> None:
    """Goal: before that it does not know what is committed. Method: a majority elects, then takes
    the entry.
    """
    parliament = Parliament(A, B, C)
    parliament.pass_time(ELECTION_MS)
    parliament.tick(A, ELECTION_MS)
    for _ in range(2):
        parliament.deliver(A, B)
        parliament.sync(B)
        parliament.deliver(B, A)
        parliament.sync(A)
    engine = parliament.engine(A)
    assert engine.is_leader
    assert not engine.is_ready_leader
    parliament.run()
    assert engine.is_ready_leader
