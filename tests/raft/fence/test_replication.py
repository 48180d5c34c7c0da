"""What a leader sends, what a follower makes of it, and what counts as acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import pytest

from raft.batch import NO_OP
from raft.births import Births
from raft.engine import Engine
from raft.errors import SafetyViolation
from raft.following import WAITING_BYTES_MAX
from raft.journal import Identity, Recovered
from raft.log import APPEND_BYTES_MAX, Log
from raft.membership import Membership
from raft.messages import (
    Append,
    Appended,
    AskIndex,
    Beat,
    Beaten,
    Commit,
    Vote,
)
from raft.progress import INSTALLING, PROBING, REPLICATING, WINDOW_BYTES
from tests.raft.fence.parliament import (
    CLUSTER_ID,
    ELECTION_MS,
    HEARTBEAT_MS,
    NS_PER_MS,
    TIMING,
    Even,
    Parliament,
    command,
    entry,
)
from tests.raft.member import HandClock

if TYPE_CHECKING:
    from raft.journal import Entry
    from raft.messages import Message

A, B, C, D, E = 1, 2, 3, 4, 5


def small_appends(size_bytes: int) -> mock._patch[int]:
    """Let appends carry only so many bytes of entries."""
    return mock.patch("raft.log.APPEND_BYTES_MAX", size_bytes)


def match(parliament: Parliament, leader: int, member: int) -> int:
    """Up to where the leader knows the member's log to equal its own."""
    return parliament.engine(leader).leading.progress[member][0]


def following(parliament: Parliament, leader: int, member: int) -> int:
    """What the leader would send the member next."""
    return parliament.engine(leader).leading.progress[member][1]


def test_a_late_copy_of_a_part_of_what_was_acknowledged_takes_nothing_back() -> None:
    """R01, S1. Goal: a follower never drops what it has acknowledged because it is sent a part of
    it again. Method: an append is lost, three refusals are in flight, the leader sends all again in
    small batches, the follower acknowledges, the leader commits (its client is told so); then a
    copy of the first batch arrives, the leader dies, and the follower must lead with all of it.
    """
    with small_appends(250):
        parliament = Parliament(A, B, C)
        parliament.elect(A)
        parliament.partition({A, B}, {C})
        parliament.beat(A, A, B)
        parliament.propose(A, b"lost" + b"x" * 100)
        parliament.drop(A, B)
        for text in (b"k1", b"k2", b"k3"):
            parliament.propose(A, text + b"x" * 100)
        parliament.deliver(A, B)
        refusals = parliament.take(B, A, Appended)
        assert [refusal.ok for refusal in refusals] == [False] * 3

        parliament.tell(B, A, refusals[0])
        parliament.sync(A)
        parliament.turn(A)
        [batch] = parliament.on_the_way(A, B)
        assert isinstance(batch, Append)
        assert 0 < len(batch.entries) < 4
        parliament.run(A, B)
        for refusal in refusals[1:]:
            parliament.tell(B, A, refusal)
        parliament.run(A, B)
        assert parliament[A].applied_commands[-1][:2] == b"k3"
        before = parliament[B].terms

        parliament.tell(A, B, batch)
        assert parliament[B].terms == before
        parliament.crash(A)
        parliament.heal()
        parliament.elect(B)
        assert [text[:2] for text in parliament[B].applied_commands[-3:]] == [b"k1", b"k2", b"k3"]


def test_an_empty_append_truncates_nothing() -> None:
    """S1. Goal: a heartbeat at an early entry leaves what comes behind it alone. Method: send one
    to a follower that has acknowledged more.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    for text in (b"k1", b"k2"):
        parliament.propose(A, text)
    parliament.run()
    before = parliament[B].terms
    parliament.tell(A, B, Append(parliament.engine(A).term, 1, 1, 0, []))
    parliament.sync(B)
    assert parliament[B].terms == before
    [answer] = parliament.take(B, A, Appended)
    assert (answer.ok, answer.index) == (True, 1)


def test_acknowledgements_of_an_earlier_term_do_not_count() -> None:
    """R02, S2. Goal: an acknowledgement says nothing in another term: what it was for may have been
    replaced since. Method: of five, B's acknowledgements to A are held up; C leads and replaces
    what they were for; A leads again, has its new entries on two of five members, and now hears
    B's old acknowledgements.
    """
    parliament = Parliament(A, B, C, D, E)
    parliament.elect(A)
    for number in range(10):
        parliament.propose(A, b"u%d" % number)
    parliament.deliver(A, B)
    parliament.sync(B)
    late = parliament.take(B, A, Appended)
    assert late[-1].index == 12
    for other in (C, D, E):
        parliament.drop(A, other)

    parliament.elect(C, D, E)
    parliament.beat(C)
    assert parliament[A].terms[-1] == parliament[B].terms[-1] == (3, 3)
    parliament.elect(A, D, E)
    for member in (B, C, E):
        parliament.drop(A, member)
    for number in range(8):
        parliament.propose(A, b"acked%d" % number)
    parliament.deliver(A, D)
    parliament.sync(D)
    parliament.deliver(D, A)
    assert parliament[A].terms[-1][0] == 12

    for acknowledgement in late:
        parliament.tell(B, A, acknowledgement)
    parliament.sync(A)
    assert parliament.turn(A) == []
    assert match(parliament, A, B) < 5


def divergent() -> Parliament:
    """A led, and has entries 3 to 6 nobody else has; B leads with C and has others there."""
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.partition({A}, {B, C})
    for number in range(4):
        parliament.propose(A, b"dead%d" % number)
    parliament.sync(A)
    parliament.elect(B, C)
    for number in range(6):
        parliament.propose(B, b"k%d" % number)
    parliament.run(B, C)
    assert parliament[A].log.last_index == 6
    assert parliament.engine(B).commit_index == 9
    return parliament


def test_neither_commit_index_nor_answer_exceeds_what_was_verified() -> None:
    """S1, S3. Goal: a follower whose log goes on differently behind the verified place commits and
    acknowledges nothing of it. Method: a divergent follower gets an empty append at the last entry
    they share, with a commit index far behind it.
    """
    parliament = divergent()
    parliament.tell(B, A, Append(parliament.engine(B).term, 2, 2, 9, []))
    assert parliament.engine(A).commit_index == 2
    parliament.sync(A)
    held = parliament.engine(A).desk.held
    assert not held
    parliament.connect(A, B)
    parliament.tell(B, A, Append(parliament.engine(B).term, 2, 2, 9, []))
    parliament.sync(A)
    [answer] = parliament.take(A, B, Appended)
    assert (answer.ok, answer.index) == (True, 2)
    assert parliament.turn(A) == []


def test_a_commit_index_counts_only_for_what_this_leader_has_verified() -> None:
    """Goal: what was verified against one leader is not against the next one. Method: B follows A
    up to entry 6; C, which has others there, leads and tells B its commit index before it sends B
    any entry.
    """
    parliament = Parliament(A, B, C, D, E)
    parliament.elect(A)
    parliament.beat(A)
    for number in range(4):
        parliament.propose(A, b"dead%d" % number)
    for other in (C, D, E):
        parliament.drop(A, other)
    parliament.deliver(A, B)
    assert parliament[B].log.last_index == 6
    parliament.elect(C, D, E)
    for number in range(4):
        parliament.propose(C, b"k%d" % number)
    parliament.run(C, D, E)
    assert parliament.engine(C).commit_index == 7

    parliament.tell(C, B, Beat(parliament.engine(C).term, 0))
    parliament.tell(C, B, Commit(parliament.engine(C).term, 7))
    assert parliament.engine(B).commit_index == 2
    parliament.sync(B)
    assert parliament.turn(B) == []
    parliament.beat(C)
    assert parliament[B].applied_commands == [b"k0", b"k1", b"k2", b"k3"]


def test_a_commit_message_never_goes_beyond_what_was_verified() -> None:
    """S3. Goal: as above, for a member whose log is divergent from the current leader's. Method:
    the divergent member is shown to agree up to entry 2 and then told of commit index 9.
    """
    parliament = divergent()
    term = parliament.engine(B).term
    parliament.tell(B, A, Append(term, 2, 2, 0, []))
    parliament.tell(B, A, Commit(term, 9))
    assert parliament.engine(A).commit_index == 2
    assert parliament.turn(A) == []


def test_a_late_copy_of_an_append_takes_back_nothing_that_was_verified() -> None:
    """S1. Goal: what was verified against this leader stays so: a commit index that is told later
    is believed as far as the longest append reached. Method: a copy of the first of two appends
    arrives between the second one and the commit index.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    for text in (b"k1", b"k2"):
        parliament.propose(A, text)
    first, _second = parliament.on_the_way(A, B)
    parliament.deliver(A, B)
    parliament.sync(B)
    parliament.deliver(B, A)
    parliament.sync(A)
    assert parliament.turn(A) == [b"k1", b"k2"]
    parliament.tell(A, B, first)
    parliament.deliver(A, B)
    assert parliament.engine(B).commit_index == 4
    assert parliament.turn(B) == [b"k1", b"k2"]


@pytest.mark.parametrize("batch_bytes", [60, 500, 1 << 20])
def test_a_divergent_tail_is_replaced_in_a_few_messages(batch_bytes: int) -> None:
    """R24, L6. Goal: a follower with another tail catches up in about as many messages as there are
    batches, however small they are: refusals of the following batches don't undo what the first one
    said. Method: the old leader with three dead entries comes back to one that has forty others.
    """
    with small_appends(batch_bytes):
        parliament = Parliament(A, B, C)
        parliament.elect(A)
        for number in range(3):
            parliament.propose(A, b"dead%d" % number)
        for member in (B, C):
            parliament.drop(A, member)
        parliament.elect(B, C)
        for number in range(40):
            parliament.propose(B, b"k%d" % number + b"x" * 60)
        parliament.run(B, C)
        parliament.drop(B, A)
        before = parliament.delivered["Append"]
        parliament.beat(B)
        assert parliament[A].terms == parliament[B].terms
        assert parliament[A].applied == parliament[B].applied
        assert parliament.delivered["Append"] - before < 43 + 8


def test_a_tail_of_later_terms_is_skipped_at_once() -> None:
    """Goal: a follower whose tail is of a later term than the leader's entries there says so, and
    is not probed entry by entry. Method: A has forty entries of term 2; B thirty of term 3 in the
    same places; A leads again, in term 4.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    for number in range(40):
        parliament.propose(A, b"k%d" % number)
    parliament.sync(A)
    for member in (B, C):
        parliament.drop(A, member)
    parliament.pass_time(ELECTION_MS, C)
    parliament.tick(B, 2 * ELECTION_MS)
    for _ in range(2):
        parliament.deliver(B, C)
        parliament.sync(C)
        parliament.deliver(C, B)
        parliament.sync(B)
    assert parliament.engine(B).is_leader
    for number in range(30):
        parliament.propose(B, b"dead%d" % number)
    parliament.sync(B)
    for member in (A, C):
        parliament.drop(B, member)
    parliament.tell(C, A, Vote(parliament.engine(C).term, False, False))
    parliament.elect(A, C)
    parliament.drop(A, B)
    before = parliament.delivered["Append"]
    parliament.beat(A)
    assert parliament[B].terms == parliament[A].terms
    assert parliament.delivered["Append"] - before < 10


@pytest.mark.parametrize("compacted", [False, True])
def test_a_member_this_leader_has_not_heard_of_yet_needs_no_snapshot(compacted: bool) -> None:
    """L9. Goal: a member that was away during an election is sent what it lacks, which the log has:
    that the new leader knows nothing of it yet is no reason for a snapshot. Method: a member is cut
    off, another leads, the member comes back two entries behind.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    for number in range(8):
        parliament.propose(A, b"k%d" % number)
    parliament.run()
    parliament.partition({A}, {B, C})
    parliament.elect(B, C)
    parliament.propose(B, b"missed")
    parliament.run(B, C)
    if compacted:
        parliament[B].log.compact(5)
    parliament.heal()
    for _ in range(3):
        parliament.beat(B)
    assert parliament.engine(B).leading.progress[A][2] != INSTALLING
    assert parliament[A].applied_commands[-1:] == [b"missed"]


def test_only_the_refusal_of_the_latest_probe_counts() -> None:
    """L6. Goal: refusals that come late, or twice, or in another order, don't move what is sent
    next: not upwards, not below what was acknowledged, and not at all when they are about something
    older. Method: three appends are refused; the answers come in every order, again, and once more
    after all has been acknowledged.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"lost")
    parliament.drop(A, B)
    for text in (b"k1", b"k2", b"k3"):
        parliament.propose(A, text)
    parliament.deliver(A, B)
    refusals = parliament.take(B, A, Appended)
    assert [(refusal.prev, refusal.index) for refusal in refusals] == [(3, 2), (4, 2), (5, 2)]

    parliament.tell(B, A, refusals[2])
    assert following(parliament, A, B) == 3
    assert parliament.engine(A).leading.progress[B][2] == PROBING
    parliament.sync(A)
    parliament.turn(A)
    probe = parliament.take(A, B, Append)
    assert [(append.prev_index, len(append.entries)) for append in probe] == [(2, 4)]
    for refusal in (*refusals, *refusals):
        parliament.tell(B, A, refusal)
    parliament.turn(A)
    assert parliament.take(A, B, Append) == [], "an old refusal had it sent again"

    parliament.tell(A, B, probe[0])
    parliament.run()
    assert match(parliament, A, B) == 6
    term = parliament.engine(A).term
    for refusal in (*refusals, Appended(term, 1, ok=False, prev=2)):
        parliament.tell(B, A, refusal)
        assert following(parliament, A, B) == 7
        assert parliament.engine(A).leading.progress[B][2] == REPLICATING
    assert parliament.take(A, B, Beat) == [], "B is taken to deny what it has"
    parliament.tell(B, A, Appended(term, 1, ok=False, prev=7))
    assert following(parliament, A, B) == 7, "below what was acknowledged"


def test_a_refusal_moves_downwards_whatever_hint_it_gives() -> None:
    """L6. Goal: what is tried next lies below what was refused, so that it ends. Method: refuse a
    probe with a hint that is not below it.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    for number in range(5):
        parliament.propose(A, b"k%d" % number)
    parliament.sync(A)
    term = parliament.engine(A).term
    parliament.tell(B, A, Appended(term, 2, ok=True))
    parliament.tell(B, A, Appended(term, 6, ok=False, prev=6))
    assert following(parliament, A, B) == 6


def test_an_append_that_was_lost_in_silence_is_sent_again() -> None:
    """Goal: what has had no answer for an election time-out is sent again from what was
    acknowledged. Method: lose one on a connection that stays, let time pass.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"k1")
    parliament.drop(A, B)
    parliament.run()
    assert parliament[B].commands == []
    for _ in range(ELECTION_MS // HEARTBEAT_MS + 3):
        parliament.take(A, B, Append)  # nor does a heartbeat of the core get through
        parliament.beat(A)
    parliament.beat(A)
    assert parliament[B].applied_commands == [b"k1"]


def test_what_was_on_a_connection_that_broke_is_sent_again_on_the_next_one() -> None:
    """Goal: a new connection begins behind what was acknowledged, with one probe, at the next
    heartbeat. Method: lose three appends with their connection.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    for text in (b"k1", b"k2", b"k3"):
        parliament.propose(A, text)
    assert following(parliament, A, B) == 6
    parliament.disconnect(A, B)
    parliament.connect(A, B)
    assert following(parliament, A, B) == 3
    assert parliament.engine(A).leading.progress[B][2] == PROBING
    parliament.beat(A)
    assert parliament[B].applied_commands == [b"k1", b"k2", b"k3"]


def test_nothing_is_made_for_who_cannot_be_reached() -> None:
    """Goal: appends are made for members there is a connection with, and only when there is
    something to send. Method: propose with one follower gone and one up to date.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.disconnect(A, C)
    engine = parliament.engine(A)
    engine.propose(entry(b"k1"))
    engine.leading.send_appends()
    assert [member for member, _append in engine.desk.outbox] == [B]
    engine.desk.outbox.clear()
    engine.leading.send_appends()
    assert not engine.desk.outbox


def test_what_is_committed_is_told_at_once() -> None:
    """Goal: followers apply without waiting for a heartbeat or the next entry. Method: propose, and
    let no time pass.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"k1")
    parliament.run()
    assert parliament.delivered["Commit"]
    assert parliament[B].applied_commands == parliament[C].applied_commands == [b"k1"]


def test_what_is_committed_is_told_at_once_while_another_one_catches_up() -> None:
    """Goal: a follower that lags does not make the others wait for a heartbeat. Method: C is far
    behind and catches up, append by append; B acknowledges a write.
    """
    with small_appends(60):
        parliament = Parliament(A, B, C)
        parliament.elect(A)
        parliament.beat(A)
        parliament.disconnect(A, C)
        for number in range(20):
            parliament.propose(A, b"k%d" % number + b"x" * 60)
        parliament.run(A, B)
        parliament.connect(A, C)
        parliament.beat(A, A, B)
        parliament.propose(A, b"x")
        parliament.deliver(A, C)
        parliament.sync(C)
        parliament.deliver(A, B)
        parliament.sync(B)
        parliament.deliver(C, A)
        parliament.deliver(B, A)
        parliament.sync(A)
        assert parliament.turn(A) == [b"x"]
        parliament.deliver(A, B)
        assert parliament.turn(B) == [b"x"]


def test_what_is_committed_is_told_once() -> None:
    """Goal: who is sent an append is not sent a message about the commit index beside it. Method:
    a commit and a proposal in one turn.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"k1")
    for member in (B, C):
        parliament.deliver(A, member)
        parliament.sync(member)
        parliament.deliver(member, A)
    parliament.sync(A)
    engine = parliament.engine(A)
    engine.turn()
    engine.propose(entry(b"k2"))
    engine.leading.send_appends()
    assert [type(message) for _member, message in engine.desk.outbox] == [Append, Append]
    assert all(isinstance(m, Append) and m.commit == 3 for _member, m in engine.desk.outbox)


def test_what_is_sent_ahead_is_bounded() -> None:
    """P6. Goal: a follower that does not answer gets a window's worth and no more, and more as it
    answers. Method: propose entries of 256 KiB, hear nothing; then acknowledge the first ones.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    size_bytes = 256 << 10
    parliament[A].log._journal = mock.Mock()
    for _ in range(40):
        parliament.propose(A, bytes(size_bytes))
    sent = [append for append in parliament.on_the_way(A, B) if isinstance(append, Append)]
    total_bytes = sum(len(data) for append in sent for data, _index, _term in append.entries)
    assert WINDOW_BYTES <= total_bytes <= WINDOW_BYTES + APPEND_BYTES_MAX + size_bytes

    upto = sent[3].entries[-1][1]
    parliament.drop(A, B)
    parliament.tell(B, A, Appended(parliament.engine(A).term, upto, ok=True))
    parliament.engine(A).leading.send_appends()
    parliament._ship(A)
    more = parliament.take(A, B, Append)
    assert more[0].prev_index == sent[-1].entries[-1][1]
    freed_bytes = sum(len(e[0]) for append in sent[:4] for e in append.entries)
    more_bytes = sum(len(data) for append in more for data, _index, _term in append.entries)
    assert freed_bytes <= more_bytes + size_bytes
    assert more_bytes <= freed_bytes + APPEND_BYTES_MAX


def test_while_it_is_unknown_where_logs_agree_one_probe_is_on_its_way() -> None:
    """Goal: probing is one append at a time. Method: a new leader proposes ten entries before the
    first answer.
    """
    parliament = Parliament(A, B, C)
    parliament.pass_time(ELECTION_MS)
    parliament.tick(A, ELECTION_MS)
    parliament.run(A, C)
    assert parliament.engine(A).is_leader
    for number in range(10):
        parliament.propose(A, b"k%d" % number)
    appends = [m for m in parliament.on_the_way(A, B) if isinstance(m, Append)]
    assert len(appends) == 1
    parliament.run()
    assert len(parliament[B].applied_commands) == 10


def test_who_waits_for_a_snapshot_is_sent_heartbeats_and_nothing_else() -> None:
    """R25, P5. Goal: while a snapshot is being made or sent, a turn costs one heartbeat for that
    member, no append, and no message in a loop. Method: the log no longer reaches back to what a
    follower lacks; count what a tick and a turn hand out.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.disconnect(A, B)
    for number in range(58):
        parliament.propose(A, b"k%d" % number)
    parliament.run(A, C)
    parliament[A].log.compact(40)
    parliament.connect(A, B)
    parliament.beat(A, A, C)
    parliament.deliver(B, A)
    parliament.tick(A, HEARTBEAT_MS)
    parliament.turn(A)
    parliament.deliver(A, B)
    parliament.deliver(B, A)
    parliament.turn(A)
    assert parliament.engine(A).leading.progress[B][2] == INSTALLING
    assert parliament.engine(A).leading.wants_snapshot() == [B]
    for _ in range(5):
        parliament.drop(A, B)
        parliament.tick(A, HEARTBEAT_MS + 1)
        parliament.turn(A)
        parliament.propose(A, b"more")
        parliament.run(A, C)
        assert [type(message) for message in parliament.on_the_way(A, B)] in (
            [Beat],
            [Beat, Commit],
        )
    parliament.disconnect(A, B)
    assert parliament.engine(A).leading.wants_snapshot() == []


def test_an_acknowledgement_from_before_the_log_does_not_end_an_install() -> None:
    """Goal: only who has reached the log again is sent entries again. Method: while a snapshot is
    wanted, an old acknowledgement comes, and then the one of the snapshot.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.disconnect(A, B)
    for number in range(8):
        parliament.propose(A, b"k%d" % number)
    parliament.run(A, C)
    parliament[A].log.compact(8)
    engine = parliament.engine(A)
    parliament.connect(A, B)
    for _ in range(3):
        parliament.beat(A)
    assert engine.leading.progress[B][2] == INSTALLING
    parliament.tell(B, A, Appended(engine.term, 2, ok=True))
    assert engine.leading.progress[B][2] == INSTALLING
    parliament.tell(B, A, Appended(engine.term, 10, ok=True))
    assert engine.leading.progress[B] == (10, 11, PROBING)


def test_a_follower_a_little_behind_needs_no_snapshot() -> None:
    """L9. Goal: behind a compaction a window of the log stays, and a follower that is within it is
    sent entries. Method: compact to a window of five commands with a follower one entry behind.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    for number in range(20):
        parliament.propose(A, b"k%d" % number)
    parliament.run()
    parliament.disconnect(A, B)
    parliament.propose(A, b"missed")
    parliament.run()
    log = parliament[A].log
    base = log.window_start(log.last_index, commands=5, size_bytes=1 << 20)
    log.compact(base)
    assert log.first_index == log.last_index - 5
    parliament.connect(A, B)
    parliament.beat(A)
    assert parliament[B].applied_commands[-1] == b"missed"


def test_an_append_from_before_the_followers_log_is_taken_as_far_as_it_is_news() -> None:
    """Goal: what lies below a follower's snapshot is committed, hence equal: an old append across
    its edge is neither refused nor harmful. Method: compact the follower, then send it everything
    again from the beginning, and a part that is wholly below.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    for number in range(6):
        parliament.propose(A, b"k%d" % number)
    everything = [e for e in parliament[A].log.entries if e[1] > 1]
    parliament.run()
    before = parliament[B].terms
    parliament[B].log.compact(6)
    term = parliament.engine(A).term
    for upto, known in ((8, 8), (4, 6)):
        entries = [e for e in everything if e[1] <= upto]
        parliament.tell(A, B, Append(term, 1, 1, 0, entries))
        parliament.sync(B)
        [answer] = parliament.take(B, A, Appended)
        assert (answer.ok, answer.index) == (True, known)
    assert parliament[B].terms == before[5:]


@pytest.mark.parametrize("size", [131_045 - 40, 131_045, 131_072 - 17, 131_072, (1 << 20) + 1])
def test_entries_about_as_large_as_an_append_arrive_whole(size: int) -> None:
    """R18, L4. Goal: an entry larger than what one message is meant to carry goes alone and whole.
    Method: values around the sizes that break PySyncObj's chunks, and one above our limit; before
    and behind them small ones.
    """
    with small_appends(131_072):
        parliament = Parliament(A, B)
        parliament.elect(A)
        parliament.disconnect(A, B)
        for text in (b"before", b"x" * size, b"behind"):
            parliament.propose(A, text)
        parliament.connect(A, B)
        parliament.beat(A)
        assert parliament[B].applied_commands == [b"before", b"x" * size, b"behind"]


class NoDisk:
    """A journal for a log that is too long to write within a test."""

    pending = False

    def append(self, entry: Entry, *, commit: int) -> None:
        """Keep nothing."""

    def save_state(self, term: int, vote: str | None, *, commit: int = 0) -> None:
        """Keep nothing."""


def test_catching_up_hands_out_a_little_at_a_time() -> None:
    """r3, P4, P6. Goal: a follower 300,000 entries behind catches up without any call that hands
    out more than a window, or more messages than a window has appends, and without waiting for
    time to pass. Method: a leader with all of it committed; at each call of its engine, count the
    messages and bytes that it hands out; answer each append as the follower would.
    """
    lag = 300_000
    first = (entry(b"", (A, B, C)), 1, 1)
    data = entry(b"x" * 100)
    entries = [first, *((data, index, 1) for index in range(2, lag + 2))]
    recovered = Recovered(1, None, entries, lag + 1, None, Identity(CLUSTER_ID, A), None)
    log = Log(NoDisk(), recovered, Membership(0, ()), 0)  # type: ignore[arg-type]
    clock = HandClock()
    leader = Engine(
        A,
        log=log,
        applied=lag + 1,
        timing=TIMING,
        clock=clock,
        chance=Even(),
        births=Births(recovered.identity, lambda _member: 0),
        has_room=lambda _size_bytes: True,
    )
    for member in (B, C):
        leader.connected(member)
    clock.now_ns += 2 * ELECTION_MS * NS_PER_MS
    leader.tick()
    for pre in (True, False):
        leader.receive(C, Vote(leader.term + pre, True, pre))
    assert leader.is_leader
    leader.receive(C, Appended(leader.term, log.last_index, ok=True))

    largest_bytes = most = calls = last = 0
    pipe: list[Append] = []
    while last < log.last_index:
        calls += 1
        assert calls < 400
        leader.turn()
        leader.leading.send_appends()
        parcels = [message for member, message in leader.desk.outbox if member == B]
        leader.desk.outbox.clear()
        appends = [message for message in parcels if isinstance(message, Append)]
        sizes = [sum(len(e[0]) for e in append.entries) for append in appends]
        largest_bytes, most = max(largest_bytes, sum(sizes)), max(most, len(parcels))
        pipe += appends
        assert pipe, "it stands still"
        append = pipe.pop(0)
        if append.prev_index > last + 1:
            leader.receive(B, Appended(leader.term, 1, ok=False, prev=append.prev_index))
        else:
            last = append.prev_index + len(append.entries)
            leader.receive(B, Appended(leader.term, last, ok=True))
    assert largest_bytes <= WINDOW_BYTES + APPEND_BYTES_MAX
    assert most <= WINDOW_BYTES // APPEND_BYTES_MAX + 3


def full(parliament: Parliament) -> None:
    """Let B, a follower of A, have no room."""
    parliament.elect(A)
    parliament.beat(A)
    parliament[B].has_room = False


def test_a_follower_without_room_takes_entries_later() -> None:
    """Goal: a follower whose journal has no room for entries lets them wait, promises nothing, is
    no reason for its leader to step down, and takes them when there is room, without having to be
    sent them again. Method: no room for a while; what is on the way then is lost.
    """
    parliament = Parliament(A, B)
    full(parliament)
    for text in (b"k1", b"k2", b"k3"):
        parliament.propose(A, text)
        parliament.run()
    for _ in range(2 * ELECTION_MS // HEARTBEAT_MS):
        parliament.beat(A)
        parliament.tick(B)
    assert parliament[B].commands == []
    assert match(parliament, A, B) == 2
    assert parliament.engine(B).leader == A
    assert parliament.engine(A).is_leader

    parliament.drop(A, B)
    parliament[B].has_room = True
    parliament.turn(B)
    assert parliament[B].commands == [b"k1", b"k2", b"k3"]
    assert not [m for m in parliament.on_the_way(B, A) if isinstance(m, Appended)]
    parliament.run()
    assert parliament[A].applied_commands == [b"k1", b"k2", b"k3"]


def test_what_waits_for_room_is_as_it_was_sent() -> None:
    """Goal: appends wait in their order and without a gap; what comes behind one that did not wait
    is not taken, and what was sent again is not taken twice. Method: the second of three is lost,
    then all come again.
    """
    parliament = Parliament(A, B, C)
    full(parliament)
    sent: list[Append] = []
    for text in (b"k1", b"k2", b"k3"):
        parliament.propose(A, text)
        sent += parliament.take(A, B, Append)
    for number in (0, 2, 0, 1, 1, 2):
        parliament.tell(A, B, sent[number])
    assert parliament[B].commands == []
    parliament[B].has_room = True
    parliament.turn(B)
    assert parliament[B].commands == [b"k1", b"k2", b"k3"]
    parliament.sync(B)
    answers = [m for m in parliament.on_the_way(B, A) if isinstance(m, Appended)]
    assert [(answer.index, answer.ok) for answer in answers] == [(3, True), (4, True), (5, True)]


def test_what_waits_for_room_is_bounded() -> None:
    """Goal: a leader that does not wait for answers does not fill the memory. Method: many large
    appends; the first ones are taken when there is room.
    """
    parliament = Parliament(A, B, C)
    full(parliament)
    number = WAITING_BYTES_MAX // (4 << 20)
    for times in range(1, 3):
        parliament[B].has_room = False
        there = len(parliament[B].commands)
        with mock.patch("raft.progress.WINDOW_BYTES", 1 << 30):
            for _ in range(2 * number):
                parliament.propose(A, bytes(4 << 20))
        parliament.deliver(A, B)
        parliament[B].has_room = True
        parliament.turn(B)
        assert len(parliament[B].commands) == there + number
        for _ in range(2 * ELECTION_MS // HEARTBEAT_MS):
            parliament.beat(A)
        assert len(parliament[B].commands) == times * 2 * number


def test_what_waits_for_room_ends_with_its_leader() -> None:
    """Goal: what a leader sent is not taken for what a later one says, who has none of it. Method:
    a leader that one follower hears, and that has no room; that follower goes straight to a leader
    of the others, and gets room.
    """
    parliament = Parliament(A, B, C, D, E)
    full(parliament)
    parliament.partition((A, B), (C, D, E))
    parliament.propose(A, b"lost")
    parliament.deliver(A, B)
    parliament.elect(C, C, D, E)
    parliament.propose(C, b"kept")
    parliament.run(C, D, E)
    parliament.partition((B, C, D, E))
    parliament.beat(C)
    assert parliament.engine(B).leader == C
    parliament[B].has_room = True
    parliament.turn(B)
    assert b"lost" not in parliament[B].commands
    for _ in range(2 * ELECTION_MS // HEARTBEAT_MS):
        parliament.beat(C)
    assert parliament[B].applied_commands == [b"kept"]


def test_what_waits_for_room_is_not_taken_of_nobody() -> None:
    """Goal: who has given up its leader takes nothing of it any more, as long as it does not come
    back. Method: the leader is silent for long; then there is room.
    """
    parliament = Parliament(A, B, C)
    full(parliament)
    parliament.propose(A, b"late")
    parliament.deliver(A, B)
    parliament.partition()
    parliament.tick(B, after_ms=3 * ELECTION_MS)
    assert parliament.engine(B)._core.leader == 0
    parliament[B].has_room = True
    parliament.turn(B)
    assert parliament[B].commands == []
    parliament.heal()
    parliament.beat(A)
    parliament.beat(A)
    assert parliament[B].commands == [b"late"]


def test_a_leader_knows_whose_disks_are_full() -> None:
    """Goal: a leader counts the disks that have no room for what it sent, its own too; who takes
    entries or says nothing of the kind has room. Method: what two followers say, in turn.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    engine = parliament.engine(A)
    room, none = (Beaten(engine.term, 0, full) for full in (False, True))
    last = parliament[A].log.last_index
    for member, message, lacks in (
        (B, none, False),
        (C, none, True),
        (B, room, False),
        (B, none, True),
        (B, Appended(engine.term, last, ok=True), False),
        (C, room, False),
    ):
        parliament.tell(member, A, message)
        assert engine.leading.lacks_room is lacks
    engine.desk.is_full = True
    assert not engine.leading.lacks_room
    parliament.tell(C, A, none)
    assert engine.leading.lacks_room


def test_a_slow_disk_does_not_make_a_follower_look_dead() -> None:
    """Goal: an acknowledgement waits for the disk, a sign of life does not. Method: a follower
    whose sync takes for ever gets heartbeats of the core; the leader must not step down.
    """
    parliament = Parliament(A, B)
    parliament.elect(A)
    parliament.beat(A)
    parliament.propose(A, b"k1")
    parliament.sync(A)
    for _ in range(3 * ELECTION_MS // HEARTBEAT_MS):
        parliament.pass_time(HEARTBEAT_MS + 1)
        parliament.tick(A)
        parliament.turn(A)
        parliament.deliver(A, B)
        assert not [m for m in parliament.on_the_way(B, A) if isinstance(m, Appended)]
        parliament.deliver(B, A)
    assert parliament.engine(A).is_leader
    assert parliament[A].applied_commands == []


def test_what_contradicts_agreement_is_not_acted_on() -> None:
    """Goal: what can only come from a bug, here or there, ends the process instead of the data.
    Method: an acknowledgement beyond the log, two leaders of a term, appends with a gap, a
    contradiction of what is committed, a proposal to a follower, a message that is none of ours.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.propose(A, b"k1")
    parliament.run()
    leader, follower = parliament.engine(A), parliament.engine(B)
    term, last = leader.term, parliament[A].log.last_index
    other: Entry = (entry(b"other"), last, term + 1)
    wrong: list[tuple[Engine, Message]] = [
        (leader, Appended(term, last + 1, ok=True)),
        (leader, Append(term, 1, 1, 0, [])),
        (leader, Beat(term, 0)),
        (follower, Append(term, last, term, 0, [(NO_OP, last + 2, term)])),
        (follower, Append(term, last, term, 0, [(NO_OP, last + 1, term), (NO_OP, last + 3, term)])),
        (follower, Append(term + 1, last - 1, term, 0, [other])),
        (follower, AskIndex(1)),
    ]
    for engine, message in wrong:
        with pytest.raises(SafetyViolation):
            engine.receive(C, message)
    with pytest.raises(SafetyViolation):
        follower.propose(entry(b"k2"))
    assert parliament[B].applied_commands == [b"k1"]


def test_strangers_do_not_count() -> None:
    """R22, X2, S5. Goal: who is no member can connect and talk, but its acknowledgements, votes and
    answers count for nothing. Method: a stranger sends a leader, and then a candidate, everything
    that would count from a member.
    """
    stranger = 99
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    engine = parliament.engine(A)
    parliament.propose(A, b"k1")
    parliament.sync(A)
    wanted = engine.leading.begin_round()
    engine.connected(stranger)
    for message in (
        Appended(engine.term, 3, ok=True),
        Beaten(engine.term, wanted),
        Appended(engine.term, 1, ok=False, prev=2),
    ):
        engine.receive(stranger, message)
    assert parliament.turn(A) == []
    assert engine.leading.confirmed_round < wanted
    assert set(engine.leading.progress) == {B, C}

    candidate = parliament.engine(B)
    parliament.pass_time(2 * ELECTION_MS, B)
    parliament.tick(B)
    candidate.receive(stranger, Vote(candidate.term + 1, True, pre=True))
    assert candidate.term == engine.term, "it began an election"
    candidate.receive(C, Vote(candidate.term + 1, True, pre=True))
    assert candidate.is_candidate
    candidate.receive(stranger, Vote(candidate.term, True, pre=False))
    assert candidate.is_candidate


def test_every_committed_entry_is_handed_over_once_whatever_it_holds() -> None:
    """R23, S9, X5. Goal: what the log says is never executed by PySyncObj: entries that would be
    its commands (change of version, of members, a pickle) are handed over like any other, each once
    and in order. Method: entries that begin with each of its command bytes and then garbage.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    handed: list[tuple[int, bytes]] = []
    for kind in range(8):
        parliament.engine(A).propose(bytes([kind]) + b"\x80garbage")
    parliament.engine(A).leading.send_appends()
    parliament._ship(A)
    for member in (A, B, C):
        parliament.sync(member)
        for other in (A, B, C):
            parliament.deliver(other, member)
        parliament.sync(member)
    parliament.deliver(B, A)
    for _ in range(3):
        handed += parliament.engine(A).turn()
    assert [index for index, _data in handed] == list(range(handed[0][0], 11))
    assert [data[0] for _index, data in handed[-8:]] == list(range(8))


def test_the_latency_of_acknowledgements_is_told() -> None:
    """Goal: the time from an append to its acknowledgement is reported, once per answer. Method: a
    hand clock.
    """
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    told: list[tuple[int, int]] = []
    parliament.engine(A).leading.on_acknowledged = lambda member, took_ns: told.append(
        (member, took_ns)
    )
    parliament.propose(A, b"k1")
    parliament.pass_time(7)
    parliament.deliver(A, B)
    parliament.sync(B)
    parliament.deliver(B, A)
    assert told == [(B, 7 * NS_PER_MS)]
    assert command(parliament[B].log.entries[-1][0]) == b"k1"
