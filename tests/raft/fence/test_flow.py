"""How much a leader sends, to whom, and when it sends again."""

from __future__ import annotations

import pytest

from raft.messages import Append, Appended, Beat
from raft.progress import INSTALLING
from tests.raft.fence.parliament import ELECTION_MS, HEARTBEAT_MS, Parliament, entry

A, B, C = 1, 2, 3
TEXT = b"x" * 100
WINDOW_BYTES = 300


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a window be full after three entries, and an append hold one."""
    monkeypatch.setattr("raft.progress.WINDOW_BYTES", WINDOW_BYTES)
    monkeypatch.setattr("raft.log.APPEND_BYTES_MAX", len(TEXT))


def led_by_a() -> Parliament:
    """A leads, and all have all there is."""
    parliament = Parliament(A, B, C)
    parliament.elect(A)
    parliament.beat(A)
    return parliament


def entries_on_the_way(parliament: Parliament, sender: int, receiver: int) -> int:
    """How many entries wait between two members."""
    appends = [m for m in parliament.on_the_way(sender, receiver) if isinstance(m, Append)]
    return sum(len(append.entries) for append in appends)


def waiting_for_a_snapshot() -> tuple[Parliament, list[Appended]]:
    """A's log no longer reaches back to what B lacks; what B refused meanwhile, not told yet."""
    parliament = led_by_a()
    parliament.propose(A, b"lost")
    parliament.drop(A, B)
    for number in range(8):
        parliament.propose(A, b"k%d" % number)
    parliament.run(A, C)
    parliament.deliver(A, B)
    refusals = parliament.take(B, A, Appended)
    assert not any(refusal.ok for refusal in refusals)
    parliament[A].log.compact(8)
    parliament.tell(B, A, refusals.pop())
    parliament.engine(A).leading.send_appends()
    assert parliament.engine(A).leading.progress[B][2] == INSTALLING
    return parliament, refusals


# -- how much -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_window")
def test_a_full_window_stays_closed_whatever_happens_beside_it() -> None:
    """P6. Goal: a follower that does not answer is sent no entry beyond its window: not at a
    heartbeat, not when others commit, not when more is proposed. Method: B is silent for some
    heartbeats, in each of which A and C commit an entry.
    """
    parliament = led_by_a()
    for _ in range(5):
        parliament.propose(A, TEXT)
    parliament.run(A, C)
    full = entries_on_the_way(parliament, A, B)
    assert full <= WINDOW_BYTES // len(TEXT)
    for _ in range(ELECTION_MS // HEARTBEAT_MS // 2):
        parliament.propose(A, TEXT)
        parliament.beat(A, A, C)
    assert parliament.engine(A).commit_index == parliament[A].log.last_index
    assert entries_on_the_way(parliament, A, B) == full


@pytest.mark.usefixtures("small_window")
def test_a_window_that_was_lost_in_silence_opens_again() -> None:
    """Goal: when all that is on its way to a follower was lost on a connection that stays, no
    append can find that out, for none may be sent: it is sent again after an election time-out,
    and not before. Method: lose a window's worth, let time pass.
    """
    parliament = led_by_a()
    for _ in range(5):
        parliament.propose(A, TEXT)
    parliament.drop(A, B)
    for _ in range(ELECTION_MS // HEARTBEAT_MS - 1):
        parliament.beat(A)
    assert parliament[B].commands == []
    for _ in range(3):
        parliament.beat(A)
    assert parliament[B].applied_commands == [TEXT] * 5


# -- to whom ------------------------------------------------------------------------------------


def test_nothing_is_made_for_who_has_gone_however_much_there_is() -> None:
    """Goal: no append is made for a member there is no connection with, not even after others were
    sent some. Method: C has gone; propose one by one.
    """
    parliament = led_by_a()
    parliament.disconnect(A, C)
    engine = parliament.engine(A)
    for number in range(3):
        engine.propose(entry(b"k%d" % number))
        engine.leading.send_appends()
        assert [member for member, _message in engine.desk.outbox] == [B]
        engine.desk.outbox.clear()


@pytest.mark.usefixtures("small_window")
def test_who_has_everything_is_sent_nothing_while_another_one_catches_up() -> None:
    """Goal: what a follower that lags is sent concerns nobody else. Method: C was away for twenty
    entries and catches up, append by append; look at what B is sent meanwhile.
    """
    parliament = led_by_a()
    parliament.disconnect(A, C)
    for _ in range(20):
        parliament.propose(A, TEXT)
    parliament.run(A, B)
    parliament.connect(A, C)
    parliament.tick(A, HEARTBEAT_MS + 1)
    parliament.turn(A)
    parliament.drop(A, B)
    parliament.run(A, C)
    assert parliament[C].applied_commands == [TEXT] * 20
    assert parliament.on_the_way(A, B) == []


# -- snapshots ----------------------------------------------------------------------------------


def test_a_refusal_of_the_past_does_not_end_an_install() -> None:
    """L6. Goal: while a follower is to be sent a snapshot, what it refused before is no news.
    Method: an append is lost and the eight behind it are refused; one refusal makes the leader find
    out that its log no longer reaches back so far; then the others come.
    """
    parliament, refusals = waiting_for_a_snapshot()
    engine = parliament.engine(A)
    before = engine.leading.progress[B]
    assert len(refusals) == 7
    for late in refusals:
        parliament.tell(B, A, late)
        assert engine.leading.progress[B] == before
        assert engine.leading.wants_snapshot() == [B]
    parliament.drop(A, B)
    parliament.tick(A, HEARTBEAT_MS + 1)
    parliament.turn(A)
    assert {type(message) for message in parliament.on_the_way(A, B)} == {Beat}


def test_who_was_removed_needs_no_snapshot() -> None:
    """Goal: what a leader knew of a member goes with it: it is sent nothing any more, and if it
    comes back it is a member nothing is known of. Method: remove one that waits for a snapshot and
    is connected; let it in again.
    """
    parliament, _refusals = waiting_for_a_snapshot()
    engine = parliament.engine(A)
    parliament.propose(A, b"without B", peers=(A, C))
    parliament.run(A, C)
    assert set(engine.leading.progress) == {C}
    assert engine.leading.wants_snapshot() == []
    parliament.propose(A, b"with B", peers=(A, B, C))
    parliament.run(A, C)
    assert engine.leading.progress[B][0] == 0
    assert engine.leading.progress[B][2] != INSTALLING
