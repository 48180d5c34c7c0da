"""Schedules written down: what the audit's repros do to stock PySyncObj, through the fence.

The names in brackets are those of the audit's findings.
"""

from __future__ import annotations

from raft.messages import Append
from tests.simulation.clients import OK
from tests.simulation.directed import leads, stage


def test_an_append_that_comes_again_takes_nothing_back() -> None:
    """[S1] Goal: entries that were acknowledged stay, although an older append, which ends below
    them, arrives once more. Method: one append lost on a reconnect, the answers of two later ones
    held; what the leader sends again is cut into small appends, of which the first one comes twice;
    then the leader dies, and the two others elect the one that has everything."""
    with stage(3, segment_bytes=64 << 10) as s:
        a, b, c = s.members
        s.elect(a)
        s.done(s.write(a, "before", "1"))
        s.run(200)
        s.cut(c)

        s.hold(a, b)
        s.hold(b, a)
        s.write(a, "lost", "x" * 5000)
        s.until(lambda: s.held(a, b), "an append is on its way")
        s.reset(a, b)  # takes the append with it
        s.write(a, "k1", "x" * 5000)
        s.run()
        s.write(a, "k2", "x" * 5000)
        acknowledged = s.write(a, "k3", "x" * 5000)
        s.run()
        appends: list[Append] = []
        for _ in range(40):
            appends += [m for m in s.held(a, b) if isinstance(m, Append) and m.entries]
            s.deliver(a, b)
            s.deliver(b, a)
        s.until(lambda: acknowledged.outcome == OK, "b is enough for a majority")
        end = b.journal.told.last
        assert len(appends) > 1
        assert all(append.entries[-1][1] < end for append in appends[:1])

        s.inject(a, b, appends[0])
        assert b.journal.told.last == end
        s.crash(a)
        s.mend()
        s.elect(b)
        s.until(lambda: s.has(c, "k3", "x" * 5000), "c has it, too")
        s.judge()


def test_the_old_leader_is_not_heard() -> None:
    """Goal: a leader that was cut off can acknowledge nothing, and what it appended is replaced.
    Method: cut it off, let it append, elect another one, mend."""
    with stage(3) as s:
        a, b, c = s.members
        s.elect(a)
        s.done(s.write(b, "k", "1"))
        s.run(200)  # what members say of themselves is everywhere
        s.cut(a)
        ghost = s.write(a, "ghost", "1")
        s.run(200)
        s.elect(b)
        s.done(s.write(c, "k", "2"))
        assert leads(a)
        assert ghost.outcome != OK
        s.mend()
        s.until(lambda: s.has(a, "k", "2"), "a follows")
        assert not leads(a)
        assert s.world.journals.truncations
        s.judge()


def test_a_new_cluster_of_the_last_member() -> None:
    """Goal: what the last member has can be made a cluster of one (--force-new-cluster), with all
    that was acknowledged, and others can be added to it. Method: two of three are lost for good."""
    with stage(3) as s:
        a, b, c = s.members
        s.elect(a)
        s.done(s.write(a, "k", "1"), s.write(b, "l", "2"))
        s.run(200)
        for member in (a, b, c):
            s.crash(member)
        s.give_up(a)
        s.give_up(b)
        s.boot(c, force_new=True)
        s.until(lambda: leads(c), "c is a cluster of its own")
        assert s.has(c, "k", "1")
        assert s.has(c, "l", "2")
        s.done(s.write(c, "k", "3"))
        assert s.world.removals() == {a.id, b.id}
        s.crash(c)
        s.boot(c)
        d = s.add(via=c)
        s.until(lambda: s.has(d, "k", "3"), "d is sent what there is")
        s.judge()


def test_a_member_that_was_away_for_a_moment_is_sent_what_it_lacks() -> None:
    """Goal: a member whose connection broke is sent entries, not a whole snapshot, as long as the
    leader's log reaches back to what it lacks. Method: break it under a leader that has not heard
    of that member in its term yet, and under one that has."""
    with stage(3) as s:
        a, b, c = s.members
        s.elect(a)
        s.done(s.write(a, "k", "1"))
        s.run(200)
        s.cut(c)
        s.done(s.write(a, "k", "2"))
        s.crash(a)
        s.mend()
        s.cut(a)
        s.elect(b)
        s.until(lambda: s.has(c, "k", "2"), "c is sent what it lacks")
        s.cut(c)
        s.boot(a)
        s.mend()
        s.done(s.write(b, "k", "3"))
        s.until(lambda: s.has(c, "k", "3"), "c is sent what it lacks")
        s.judge()
        assert not s.world.canon.counts["installs"]
