"""Cluster time, and patience."""

from __future__ import annotations

import random

from raft.clock import READING_AHEAD_MAX_NS, STAMP_AHEAD_MAX_NS, ClusterClock
from raft.election import ElectionTimer
from raft.progress import INSTALLING, PROBING, REPLICATING, WINDOW_BYTES, Progress
from tests.raft.member import HandClock

SECOND_NS = 1_000_000_000


def test_cluster_time_is_the_leaders_monotonic_time_from_the_last_stamp_on() -> None:
    """Goal: stamps go on from where the log is, by the time that has passed since leading began and
    nothing else. Method: a hand clock that jumps between.
    """
    hand = HandClock()
    clock = ClusterClock(hand)
    hand.now_ns += 3600 * SECOND_NS
    clock.lead(50)
    assert clock.stamp() == 50
    hand.now_ns += 7
    assert clock.stamp() == 57
    assert clock.stamp() == 57
    hand.now_ns += 1000 * SECOND_NS
    clock.lead(57)
    hand.now_ns += 3
    assert clock.stamp() == 60


def test_a_leader_that_was_stopped_lets_a_second_pass() -> None:
    """Goal: a leader that was held up, by its disk or as a process, counts that as an outage.
    Method: a stamp after a while, and after a long while.
    """
    hand = HandClock()
    clock = ClusterClock(hand)
    clock.lead(0)
    hand.now_ns += STAMP_AHEAD_MAX_NS
    assert clock.stamp() == STAMP_AHEAD_MAX_NS
    hand.now_ns += 3600 * SECOND_NS
    assert clock.stamp() == 2 * STAMP_AHEAD_MAX_NS
    hand.now_ns += 5
    assert clock.stamp() == 2 * STAMP_AHEAD_MAX_NS + 5


def test_a_reading_runs_ahead_of_what_was_applied_by_a_second_at_most() -> None:
    """Goal: a member that hears nothing lets time stand still soon, and none goes back. Method: a
    hand clock, and stamps in and out of order.
    """
    hand = HandClock()
    clock = ClusterClock(hand)
    clock.saw(5 * SECOND_NS)
    hand.now_ns += SECOND_NS // 2
    assert clock.reading() == 5 * SECOND_NS + SECOND_NS // 2
    hand.now_ns += 3600 * SECOND_NS
    assert clock.reading() == 5 * SECOND_NS + READING_AHEAD_MAX_NS
    clock.saw(4 * SECOND_NS)
    assert clock.applied_ns == 5 * SECOND_NS
    assert clock.reading() == 5 * SECOND_NS + READING_AHEAD_MAX_NS
    clock.saw(9 * SECOND_NS)
    assert clock.reading() == 9 * SECOND_NS


def test_patience_is_drawn_anew_between_one_and_two_time_outs() -> None:
    """Goal: members don't stand at the same time again and again. Method: many restarts."""
    timer = ElectionTimer(1000, random.Random(4), 0)
    waits: set[int] = set()
    for now in range(0, 100_000, 1000):
        timer.heard(now)
        wait = next(wait for wait in range(3000) if timer.is_due(now + wait))
        assert 1000 <= wait < 2000
        waits.add(wait)
        assert timer.hears_leader(now + 999)
        assert not timer.hears_leader(now + 1000)
    assert len(waits) > 50


def test_a_leader_that_is_lost_is_waited_for_half_a_time_out_at_most() -> None:
    """Goal: a broken connection makes an election come sooner, never later. Method: lose the leader
    at different times.
    """
    for heard_before in (0, 600, 1400):
        timer = ElectionTimer(1000, random.Random(4), 0)
        timer.heard(0)
        before = next(wait for wait in range(3000) if timer.is_due(wait))
        timer.lost(heard_before)
        assert not timer.hears_leader(heard_before)
        after = next(wait for wait in range(3000) if timer.is_due(wait))
        assert after <= min(before, heard_before + 500)


def test_what_is_on_its_way_is_known() -> None:
    """Goal: one probe at a time; a window of bytes; the oldest answer's time; nothing left behind
    by a new beginning. Method: each state in turn.
    """
    progress = Progress()
    assert (progress.state, progress.may_send) == (PROBING, True)
    progress.sent(3, 3, 0, 10)
    assert (progress.may_send, progress.probe_index) == (False, 3)
    assert not progress.is_stuck(1000), "nothing is on its way"
    progress.beat()
    assert progress.may_send
    assert progress.acknowledged(3, 20) is None
    assert (progress.state, progress.may_send) == (REPLICATING, True)
    progress.sent(3, 5, WINDOW_BYTES - 1, 30)
    assert progress.may_send
    progress.sent(5, 6, 1, 40)
    assert not progress.may_send
    assert progress.probe_index == 3
    assert (progress.is_stuck(30), progress.is_stuck(31)) == (False, True)
    assert progress.acknowledged(4, 50) is None
    assert not progress.may_send
    assert progress.acknowledged(5, 50) == 20
    assert progress.may_send
    assert (progress.is_stuck(50), progress.is_stuck(51)) == (False, True)
    progress.install()
    assert (progress.state, progress.may_send, progress.is_stuck(1000)) == (
        INSTALLING,
        False,
        False,
    )
    progress.beat()
    assert not progress.may_send
    progress.acknowledged(6, 60)
    assert progress.state == INSTALLING
    progress.probe()
    assert (progress.state, progress.may_send) == (PROBING, True)
    progress.sent(6, 9, WINDOW_BYTES, 70)
    progress.acknowledged(9, 80)
    assert progress.may_send


def test_an_outage_of_the_leader_is_no_time() -> None:
    """Goal: a leader that was stopped (SIGSTOP, a suspended machine) and goes on does not count
    what it slept through: keys would run out early. Method: an hour between two stamps.
    """
    hand = HandClock()
    clock = ClusterClock(hand)
    clock.lead(50)
    hand.now_ns += 3600 * 10**9
    assert clock.stamp() == 50 + STAMP_AHEAD_MAX_NS
    hand.now_ns += 7
    assert clock.stamp() == 57 + STAMP_AHEAD_MAX_NS
