"""The checkers themselves: each law is broken once by hand, and seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kvstore.commands import Delete, Set, Sync, Update, encode
from raft import Peer, ProposalFailed, Status, batch
from raft.errors import NO_SPACE
from raft.messages import Append, Appended, AskVote, Vote
from tests.simulation.canon import Canon, WatchedMachine
from tests.simulation.clients import OK
from tests.simulation.directed import stage
from tests.simulation.journals import Journals, JournalWatch
from tests.simulation.leadership import Leadership
from tests.simulation.linearizability import ANYTHING, NEVER, Event, check
from tests.simulation.loop import NS_PER_S
from tests.simulation.violation import Violation
from tests.simulation.watching import WatchClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvstore import Event as StoreEvent
    from kvstore.commands import Command


def accuse(law: str, detail: str) -> None:
    """Raise at once."""
    raise Violation(law, detail)


# -- linearizability ------------------------------------------------------------------------


def write(begin: int, end: int, before: object, after: bytes | None) -> Event:
    """A write that found and left something."""
    return Event(begin, end, before, after, what="write")  # type: ignore[arg-type]


def read(begin: int, end: int, value: bytes | None) -> Event:
    """A read."""
    return Event(begin, end, value, ANYTHING, what="read")


HISTORIES = {
    "in order": ([write(1, 2, None, b"a"), read(3, 4, b"a")], True),
    "stale read": ([write(1, 2, None, b"a"), write(3, 4, b"a", b"b"), read(5, 6, b"a")], False),
    "read at the same time": ([write(1, 9, None, b"a"), read(2, 3, None), read(4, 5, b"a")], True),
    "back in time": ([write(1, 9, None, b"a"), read(2, 3, b"a"), read(4, 5, None)], False),
    "lost write": ([write(1, 2, None, b"a"), read(3, 4, None)], False),
    "lost update": (
        [write(1, 2, None, b"a"), write(3, 6, b"a", b"b"), write(4, 7, b"a", b"c")],
        False,
    ),
    "never written": ([read(1, 2, b"x")], False),
    "unknown, never seen": ([write(1, NEVER, ANYTHING, b"a"), read(5, 6, None)], True),
    "unknown, seen late": (
        [write(1, NEVER, ANYTHING, b"a"), read(5, 6, None), read(7, 8, b"a")],
        True,
    ),
    "unknown, seen and gone": (
        [write(1, NEVER, ANYTHING, b"a"), read(5, 6, b"a"), read(7, 8, None)],
        False,
    ),
    "unknown removal explains it": (
        [
            write(1, NEVER, ANYTHING, b"a"),
            write(1, NEVER, ANYTHING, None),
            read(5, 6, b"a"),
            read(7, 8, None),
        ],
        True,
    ),
    "seen before it was asked for": ([read(1, 2, b"a"), write(3, NEVER, ANYTHING, b"a")], False),
    "a chain of unknowns": (
        [
            write(1, NEVER, ANYTHING, b"a"),
            write(1, NEVER, b"a", b"b"),
            write(1, NEVER, b"b", b"c"),
            read(5, 6, b"c"),
        ],
        True,
    ),
    "an unknown write for an unknown update": (
        [
            write(1, NEVER, None, b"a"),
            Event(2, NEVER, ANYTHING, b"b", existed=True),
            read(5, 6, b"b"),
        ],
        True,
    ),
    "an unknown update of nothing": (
        [Event(2, NEVER, ANYTHING, b"b", existed=True), read(5, 6, b"b")],
        False,
    ),
    "something was there": (
        [write(1, NEVER, ANYTHING, b"a"), Event(5, 6, ANYTHING, ANYTHING, existed=True)],
        True,
    ),
    "nothing was there": ([Event(5, 6, ANYTHING, ANYTHING, existed=True)], False),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_linearizability(name: str) -> None:
    """Goal: histories of one register are told apart. Method: small ones, right and wrong."""
    events, expected = HISTORIES[name]
    assert check(events) is expected


def test_linearizability_of_many_unknowns_is_quick() -> None:
    """Goal: a partition leaves dozens of unknown outcomes on one key, and that is no problem.
    Method: forty of them around a right and a wrong ending."""
    unknown = [write(n, NEVER, ANYTHING, b"u%d" % n) for n in range(20)]
    unknown += [write(n, NEVER, ANYTHING, None) for n in range(20)]
    seen = [read(100 + 2 * n, 101 + 2 * n, b"u%d" % n) for n in range(20)]
    assert check([*unknown, *seen])
    assert not check([*unknown, *seen, read(500, 501, b"u0")])


# -- what is on disk ------------------------------------------------------------------------


def told(
    watch: JournalWatch, *entries: tuple[bytes, int, int], state: tuple[int, str | None] = (1, None)
) -> None:
    """Let a journal be told of a hard state and entries, and make them durable."""
    watch._save_state(None, *state)
    for entry in entries:
        watch._append(None, entry)
    watch._buffered.clear()
    watch.durable = watch.told.copy()
    watch.votes[state[0]] = state[1]


NO_OP = batch.NO_OP
FIRST = batch.encode(batch.Batch(0, 0, [], [], tuple(Peer(number, ()) for number in (1, 2, 3))))


def entry(stamp_s: float, *commands: Command, number: int = 1) -> bytes:
    """An entry of the log."""
    ids = [(7, number + n) for n in range(len(commands))]
    stamp_ns = int(stamp_s * NS_PER_S)
    return batch.encode(batch.Batch(stamp_ns, 10**18, ids, [encode(c) for c in commands]))


def test_log_matching() -> None:
    """Goal: two entries of one index and term that differ are seen, and so are two histories that
    lead to one entry. Method: two members, told different things."""
    journals = Journals(accuse)
    told(journals.of(1), (FIRST, 1, 1), (NO_OP, 2, 2), state=(2, "1"))
    told(journals.of(2), (FIRST, 1, 1), state=(2, "1"))
    with pytest.raises(Violation, match="log matching"):
        journals.of(2)._append(None, (entry(1, Set(b"/k")), 2, 2))
    told(journals.of(3), (FIRST, 1, 1), (NO_OP, 2, 2), (NO_OP, 3, 4), state=(4, "3"))
    told(journals.of(2), (NO_OP, 2, 3), state=(4, "3"))
    with pytest.raises(Violation, match="log matching"):
        journals.of(2)._append(None, (NO_OP, 3, 4))


def test_terms_and_votes_only_go_forward() -> None:
    """Goal: a term that goes back, a second vote in a term and a leader that writes an entry twice
    are seen. Method: tell a journal so."""
    journals = Journals(accuse)
    watch = journals.of(1)
    told(watch, (FIRST, 1, 1), (NO_OP, 2, 5), state=(5, "2"))
    with pytest.raises(Violation, match="the term never goes back"):
        watch._save_state(None, 4, None)
    with pytest.raises(Violation, match="one vote in a term"):
        watch._save_state(None, 5, "3")
    with pytest.raises(Violation, match="a leader only appends"):
        watch._append(None, (NO_OP, 2, 5))


def test_recovery() -> None:
    """Goal: a start that finds less than was durable, or something that never was, is seen; a part
    of what was under way is fine. Method: durable entries, buffered ones, and several findings."""
    journals = Journals(accuse)
    watch = journals.of(1)
    told(watch, (FIRST, 1, 1), (NO_OP, 2, 2), state=(2, "1"))
    watch._append(None, (NO_OP, 3, 3))
    watch._append(None, (NO_OP, 4, 3))
    found = watch.durable.copy()
    watch._check_recovery(found)
    found.apply(("entry", NO_OP, 3, 3))
    watch._check_recovery(found)
    found.apply(("state", 4, None))
    with pytest.raises(Violation, match="recovery"):
        watch._check_recovery(found)
    less = watch.durable.copy()
    less.terms.pop()
    with pytest.raises(Violation, match="recovery"):
        watch._check_recovery(less)


# -- what is applied ------------------------------------------------------------------------


def canon_of(*datas: bytes) -> Canon:
    """A history that begins with three members."""
    canon = Canon(accuse)
    canon.asked.update({encode(Set(b"/k", b"v")): 1})
    for index, data in enumerate((FIRST, *datas), 1):
        canon.applied(1, index, 1, data)
    return canon


def test_state_machine_safety() -> None:
    """Goal: another entry at an index, a gap, and a command that comes twice are seen. Method:
    apply them."""
    canon = canon_of(entry(1, Set(b"/k", b"v")))
    canon.applied(2, 2, 1, entry(1, Set(b"/k", b"v")))
    with pytest.raises(Violation, match="state machine safety"):
        canon.applied(2, 2, 1, NO_OP)
    with pytest.raises(Violation, match="state machine safety"):
        canon.applied(2, 4, 1, NO_OP)
    with pytest.raises(Violation, match="at most once"):
        canon.applied(2, 3, 1, entry(1, Set(b"/k", b"v"), number=9))


def test_digests() -> None:
    """Goal: members that differ at one index are seen. Method: two machines, one of them with a key
    too many."""
    canon = canon_of(NO_OP)
    journals = Journals(accuse)
    one, other = (WatchedMachine(canon, journals.of(number)) for number in (1, 2))
    canon.check_digest(1, 2, one)
    canon.check_digest(2, 1, one)
    other.store.apply(Set(b"/k", b"v"))
    with pytest.raises(Violation, match="equal digests"):
        canon.check_digest(2, 2, other)


def test_the_machine_is_given_what_the_log_holds() -> None:
    """Goal: a batch that is skipped, changed or applied before it is durable is seen. Method: a
    journal with two batches, and a machine that is given the second one only."""
    batches = entry(1, Set(b"/k", b"v")), entry(2, Sync())
    canon, journals = canon_of(), Journals(accuse)
    told(journals.of(1), (FIRST, 1, 1), (batches[0], 2, 1), (batches[1], 3, 1))
    machine = WatchedMachine(canon, journals.of(1))
    machine.apply(0, 0, [])
    with pytest.raises(Violation, match="commands as agreed"):
        machine.apply(2 * NS_PER_S, 10**18, [encode(Sync())])
    journals.of(1).durable.terms.pop()
    machine.position = 2
    with pytest.raises(Violation, match="applied is durable"):
        machine.apply(2 * NS_PER_S, 10**18, [encode(Sync())])


def mortal(*entries: tuple[float, Command]) -> None:
    """Apply entries with stamps in seconds."""
    canon = Canon(accuse)
    canon.asked.update([encode(command) for _stamp, command in entries])
    for index, (stamp_s, command) in enumerate(entries, 1):
        canon.applied(1, index, 1, entry(stamp_s, command, number=index))


def test_ttl_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a key that goes too early, too late, or without a TTL is seen, and time that goes back.
    Method: a store whose expiry has a will of its own, beside the real one."""
    key = Set(b"/k", b"v", ttl=10)
    mortal((1, key), (5, Sync()), (11, Sync()), (12, Sync()))
    mortal((1, key), (5, Update(b"/k", b"w", ttl=30)), (11, Sync()), (35, Sync()))
    mortal((1, key), (5, Delete(b"/k")), (11, Sync()))
    with pytest.raises(Violation, match="cluster time"):
        mortal((5, key), (4, Sync()))
    deadline = "kvstore.store.Store._deadline"
    with monkeypatch.context() as patched:
        patched.setattr(deadline, lambda store, _expiration_ns: store.now_ns + 9 * NS_PER_S)
        with pytest.raises(Violation, match="a key lives as long as its TTL"):
            mortal((1, key), (10.5, Sync()))
    with monkeypatch.context() as patched:
        patched.setattr(deadline, lambda store, _expiration_ns: store.now_ns + 99 * NS_PER_S)
        with pytest.raises(Violation, match="expires when due"):
            mortal((1, key), (11, Sync()))
        with pytest.raises(Violation, match="expires when due"):
            mortal((1, key), (2, Update(b"/k", b"w")), (3, key), (13, Sync()))


# -- who leads, what is promised ------------------------------------------------------------


def status(term: int, *, leads: bool, commit: int = 1, applied: int = 1) -> Status:
    """What a member says of itself."""
    return Status(
        term=term,
        vote=0,
        leader=0,
        is_leader=leads,
        state="StateLeader" if leads else "StateFollower",
        commit_index=commit,
        applied_index=applied,
    )


class Parliament:
    """Three members whose journals have the first entry and a hard state of term 2."""

    def __init__(self) -> None:
        self.journals = Journals(accuse)
        self.canon = Canon(accuse)
        self.leadership = Leadership(accuse, self.journals, self.canon)
        for member in (1, 2, 3):
            told(self.journals.of(member), (FIRST, 1, 1), state=(2, "1"))
            self.leadership.begins(member)
        self.canon.applied(1, 1, 1, FIRST)

    def has(self, members: Sequence[int], *entries: tuple[bytes, int, int]) -> None:
        """These members have these entries on disk."""
        for member in members:
            told(self.journals.of(member), *entries, state=(2, "1"))


def test_one_leader_per_term() -> None:
    """Goal: two leaders of a term are seen, by what they say and what they send. Method: both."""
    said, sent = Parliament(), Parliament()
    said.leadership.observe(1, status(2, leads=True))
    with pytest.raises(Violation, match="one leader per term"):
        said.leadership.observe(3, status(2, leads=True))
    sent.leadership.sent(1, 2, Append(2, 1, 1, 1, []))
    with pytest.raises(Violation, match="one leader per term"):
        sent.leadership.sent(3, 2, Append(2, 1, 1, 1, []))


def test_leader_completeness() -> None:
    """Goal: a leader that lacks what was committed in an earlier term is seen; one of the term
    before, who learns late that it was elected, lacks nothing. Method: an entry applied by two
    members, and leaders with and without it."""
    parliament = Parliament()
    parliament.has([1, 2], (NO_OP, 2, 2))
    parliament.leadership.observe(1, status(2, leads=True))
    parliament.canon.applied(1, 2, 2, NO_OP)
    parliament.leadership.observe(2, status(4, leads=True))
    parliament.leadership.begins(3)
    parliament.leadership.leaders.pop(2)
    parliament.leadership.observe(3, status(2, leads=True))
    with pytest.raises(Violation, match="leader completeness"):
        parliament.leadership.observe(3, status(5, leads=True))


def test_commitment() -> None:
    """Goal: a commit index beyond the log, one that goes back, one that only a minority has, and an
    application of what is not committed are seen. Method: say so."""
    parliament = Parliament()
    parliament.has([1, 2], (NO_OP, 2, 2))
    parliament.leadership.observe(1, status(2, leads=True, commit=2))
    with pytest.raises(Violation, match="commit never goes back"):
        parliament.leadership.observe(1, status(2, leads=True, commit=1))
    with pytest.raises(Violation, match="commit within the log"):
        parliament.leadership.observe(3, status(2, leads=False, commit=2))
    with pytest.raises(Violation, match="applied is committed"):
        parliament.leadership.observe(2, status(2, leads=False, commit=2, applied=3))
    alone = Parliament()
    alone.has([1], (NO_OP, 2, 2))
    with pytest.raises(Violation, match="a majority has it"):
        alone.leadership.observe(1, status(2, leads=True, commit=2))


@pytest.mark.parametrize(
    "message",
    [
        Appended(2, 2, ok=True),
        Vote(3, True, False),
        Vote(2, True, False),
        AskVote(2, 1, 1, pre=False, transfer=False),
        Append(3, 1, 1, 1, []),
    ],
    ids=repr,
)
def test_promises(message: object) -> None:
    """Goal: an acknowledgement, a vote, a candidacy and a leadership that are not on their sender's
    disk are seen. Method: member 2 sends them; its disk has entry 1 and a vote for 1."""
    parliament = Parliament()
    parliament.leadership.sent(2, 1, Appended(2, 1, ok=True))
    parliament.leadership.sent(2, 1, Vote(2, True, False))
    with pytest.raises(Violation, match="promises are durable"):
        parliament.leadership.sent(2, 3, message)  # type: ignore[arg-type]


def test_acknowledging_another_entry() -> None:
    """Goal: a member that acknowledges an index at which it has another entry than its leader is
    seen. Method: two logs that part at index 2."""
    parliament = Parliament()
    parliament.has([2], (NO_OP, 2, 1))
    parliament.has([1], (NO_OP, 2, 2))
    parliament.leadership.observe(1, status(2, leads=True))
    with pytest.raises(Violation, match="has another entry than its leader"):
        parliament.leadership.sent(2, 1, Appended(2, 2, ok=True))


# -- what clients see -----------------------------------------------------------------------


def test_an_acknowledgement_must_be_in_the_history() -> None:
    """Goal: a reply that is not the history's is seen. Method: give one reply to two clients."""
    with stage(1) as s:
        (a,) = s.members
        s.elect(a)
        write = s.write(a, "k", "1")
        s.done(write)
        assert write.reply is not None
        with pytest.raises(Violation, match="an acknowledged write is in the history"):
            s.world.clients._written(a, write, write.reply)


def test_a_stale_read_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a quorum read that does not see what was acknowledged is seen. Method: a member that is
    cut off and whose barrier lets everybody through."""

    def open_barrier(self: object) -> object:
        future = s.world.loop.create_future()
        future.set_result(None)
        return future

    with stage(3) as s:
        a, _b, c = s.members
        s.elect(a)
        s.done(s.write(a, "k", "1"))
        s.run(500)
        s.cut(c)
        s.done(s.write(a, "k", "2"))
        s.run()
        monkeypatch.setattr("raft.node.Node.read_barrier", open_barrier)
        s.read(c, "k")
        with pytest.raises(Violation, match="a read is never stale"):
            s.run()


def test_what_is_refused_and_happens_is_seen() -> None:
    """Goal: a client told that its command has not happened, while it has or will, is seen. Method:
    tell it so after the command was applied, and before."""
    refusal = ProposalFailed(NO_SPACE)
    with stage(1) as s:
        (a,) = s.members
        s.elect(a)
        write = s.write(a, "k", "1")
        s.done(write)
        with pytest.raises(Violation, match="what was refused has not happened"):
            s.world.clients._refused(write, refusal)
    with stage(3) as s:
        a, _b, _c = s.members
        s.elect(a)
        s.cut(a)
        write = s.write(a, "k", "1")
        s.run()
        s.world.clients._refused(write, refusal)
        s.mend()
        with pytest.raises(Violation, match="at most once"):
            s.run(500)


def test_a_wait_without_end_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a request that is never answered is seen. Method: a member that forgets to look at its
    time-outs, and is cut off."""
    monkeypatch.setattr("raft.proposals.Proposals.expire", lambda _self: None)
    with stage(3) as s:
        a, _b, _c = s.members
        s.elect(a)
        s.cut(a)
        s.write(a, "k", "1")
        with pytest.raises(Violation, match="every wait ends"):
            s.run(100_000)


@pytest.mark.parametrize("fault", ["missed", "doubled"])
def test_a_watcher_is_told_everything_once_in_order(fault: str) -> None:
    """Goal: an event that is missed or told twice is seen. Method: a stream between the store and
    its client that does so."""
    with stage(1) as s:
        (a,) = s.members
        s.elect(a)
        watcher = WatchClient(s.world, b"/", recursive=True)
        tell, times = watcher._deliver, [1]

        def deliver(event: StoreEvent) -> None:
            for _ in range(times[0]):
                tell(event)

        watcher._deliver = deliver  # type: ignore[method-assign]
        s.world.watchers.append(watcher)
        watcher.attach(a)
        s.run()
        s.done(s.write(a, "k", "1"))
        times[0] = 2 if fault == "doubled" else 0
        s.write(a, "k", "2")
        with pytest.raises(Violation, match="a watcher"):
            s.run()


def test_a_peaceful_stage_breaks_no_law() -> None:
    """Goal: the laws do not complain of what is right. Method: some writes, reads and watchers on
    three members, judged as a seed is."""
    with stage(3) as s:
        a, b, c = s.members
        s.elect(a)
        s.world.watchers.append(WatchClient(s.world, b"/", recursive=True))
        s.world.watchers[0].attach(b)
        s.run()
        asked = [s.write(member, "k", str(member.id)) for member in (a, b, c)]
        asked += [s.read(member, "k") for member in (a, b, c)]
        s.done(*asked)
        s.judge()
        assert all(operation.outcome == OK for operation in asked)
        assert s.world.watchers[0].told >= 3
