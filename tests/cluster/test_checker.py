"""The checker sees what it is there for: right histories pass, each planted lie is found.

Method of all: a short history as a correct cluster would have it, told by one who keeps a model of
the store; then one thing in it is made wrong. The rule that must find it is named.
"""

from dataclasses import replace

import pytest

from tests.cluster.canon import Canon
from tests.cluster.checker import Verdict, check
from tests.cluster.history import (
    ROOT,
    Event,
    History,
    Kind,
    Node,
    Op,
    Outcome,
    Seen,
    Segment,
    Window,
)

KEY, OTHER = f"{ROOT}/d0/k0", f"{ROOT}/d1/k1"
BASE_INDEX = 7


class Tale:
    """A store that does one thing at a time, and writes down what its clients see."""

    def __init__(self) -> None:
        self.history = History({}, BASE_INDEX)
        self.canon = Canon({}, BASE_INDEX)
        self.index = BASE_INDEX
        self.clock = 100.0
        self.nodes: dict[str, Node] = {}
        self.watchers = [Seen(f"watcher {name}", ROOT) for name in ("m1", "m2")]
        for watcher in self.watchers:
            watcher.segments.append(Segment(BASE_INDEX, BASE_INDEX))
        self.history.watchers += self.watchers

    def write(self, value: str, key: str = KEY, *, action: str = "set", ttl_s: int = 0) -> Op:
        """A write that is acknowledged and seen by both watchers."""
        op = self._op(Kind.WRITE, key, action=action, value=value, ttl_s=ttl_s)
        op.event = self.happen(action, key, value, lasting=not ttl_s)
        op.index = self.index
        return self._done(op)

    def happen(
        self, action: str, key: str, value: str | None = None, *, lasting: bool = True
    ) -> Event:
        """An event, seen by both watchers."""
        self.index += 1
        before = self.nodes.get(key)
        keeps = action in ("compareAndSwap", "delete", "expire") and before is not None
        created = before.created if keeps and before else self.index
        node = Node(value, self.index, created, None if lasting else "some time")
        if action in ("delete", "expire"):
            self.nodes.pop(key, None)
        else:
            self.nodes[key] = node
        event = Event(self.index, action, key, node, before)
        for watcher in self.watchers:
            self.see(watcher, event)
        return event

    def see(self, watcher: Seen, event: Event) -> None:
        """A watcher gets an event."""
        self.canon.tell(watcher.name, event, self.clock)
        watcher.segments[-1].indexes.append(event.index)
        watcher.segments[-1].through = max(watcher.segments[-1].through, event.index)

    def read(self, key: str = KEY, kind: Kind = Kind.QUORUM) -> Op:
        """A read."""
        op = self._op(kind, key)
        op.node, op.index = self.nodes.get(key), self.index
        return self._done(op)

    def refused(self, error: int, key: str = KEY, **expected: str | int) -> Op:
        """A write that the store refused."""
        op = self._op(Kind.WRITE, key, action="cas", value="refused")
        op.error, op.index, op.outcome = error, self.index, Outcome.REFUSED
        for name, value in expected.items():
            setattr(op, name, value)
        return self._done(op, Outcome.REFUSED)

    def failed(self, value: str = "unknown", outcome: Outcome = Outcome.UNKNOWN) -> Op:
        """A write that got no answer."""
        return self._done(self._op(Kind.WRITE, KEY, action="set", value=value), outcome)

    def end(self) -> None:
        """All members list what there is."""
        for name in ("m1", "m2", "m3"):
            op = self._op(Kind.LIST, ROOT)
            op.member, op.listing, op.index = name, dict(self.nodes), self.index
            self.history.finals[name] = self._done(op)

    def judged(self, *, cluster_time: bool = True) -> Verdict:
        """The checker's verdict."""
        return check(self.history, self.canon, cluster_time=cluster_time)

    def broken_rules(self, *, cluster_time: bool = True) -> set[str]:
        """The names of the rules it found broken."""
        return set(self.judged(cluster_time=cluster_time).violations)

    def _op(self, kind: Kind, key: str, **more: object) -> Op:
        self.clock += 1.0
        op = Op(kind, "m1", key, self.clock)
        for name, value in more.items():
            setattr(op, name, value)
        return op

    def _done(self, op: Op, outcome: Outcome = Outcome.OK) -> Op:
        self.clock += 0.1
        op.end, op.outcome = self.clock, outcome
        self.history.ops.append(op)
        return op


@pytest.fixture
def tale() -> Tale:
    """A tale with something in it."""
    tale = Tale()
    tale.write("a")
    tale.write("b")
    tale.write("c", OTHER)
    tale.write("d", action="compareAndSwap")
    return tale


def test_a_right_history_passes(tale: Tale) -> None:
    """Goal: no false alarm. Method: every kind of op, a cleared history, an unknown write that was
    done, a window that excuses a failure; and the figures say that all of it was checked."""
    tale.read()
    tale.read(OTHER, Kind.READ)
    tale.read(f"{ROOT}/none")
    tale.refused(101, expect_value="nothing like it")
    tale.refused(100, f"{ROOT}/none")
    op = tale.failed("late")
    tale.history.windows.append(Window("cut", op.start - 1, op.end + 1))
    tale.happen("set", KEY, "late")
    brief = tale.write("brief", f"{ROOT}/brief/1", ttl_s=2)
    tale.clock = brief.start + 2.2
    tale.happen("expire", f"{ROOT}/brief/1")
    gap = tale.watchers[1]
    tale.write("unseen by one")
    gap.segments[-1].indexes.pop()
    gap.segments[-1].through -= 1
    gap.segments.append(Segment(tale.index, tale.index))
    tale.write("e")
    tale.happen("delete", KEY)
    tale.end()
    verdict = tale.judged()
    assert verdict.violations == {}
    assert verdict.unsure == 0
    assert verdict.checked["quorum read"] == 2
    assert verdict.checked["ttl"] == 1
    assert verdict.checked["final"] == 3
    assert verdict.checked["chain"] == tale.index - BASE_INDEX


def test_an_acknowledged_write_is_lost_and_its_index_given_away(tale: Tale) -> None:
    """Goal: found as a conflict. Method: a write is acknowledged for an index that watchers know
    for another event."""
    op = tale.write("kept")
    assert op.event is not None
    op.event = replace(op.event, node=replace(op.event.node, value="lost"))
    op.value = "lost"
    assert "conflict" in tale.broken_rules()


def test_an_acknowledged_write_is_lost_without_a_trace(tale: Tale) -> None:
    """Goal: found by those who should have seen it, by reads and at the end. Method: a write is
    acknowledged and then forgotten by the store; nobody saw it."""
    before = dict(tale.nodes)
    tale.write("lost")
    for watcher in tale.watchers:
        watcher.segments[-1].indexes.pop()
    del tale.canon.events[tale.index]
    tale.nodes = before
    tale.write("something else", OTHER)
    tale.read()
    tale.end()
    assert {"watch", "read"} <= tale.broken_rules()


def test_the_next_event_does_not_know_an_acknowledged_write(tale: Tale) -> None:
    """Goal: a lost write is found even if only its successor tells. Method: prevNode of the next
    write is the one before."""
    lost = tale.nodes[KEY]
    tale.write("lost")
    tale.nodes[KEY] = lost
    tale.write("next")
    assert "chain" in tale.broken_rules()


def test_a_member_tells_an_event_differently(tale: Tale) -> None:
    """Goal: members that differ are found. Method: one watcher gets another value."""
    event = tale.canon.events[tale.index]
    other = replace(event, node=replace(event.node, value="z"))
    tale.canon.tell("watcher m3", other, tale.clock)
    assert tale.broken_rules() == {"conflict"}


def test_a_write_is_done_twice(tale: Tale) -> None:
    """Goal: a retry that does it again is found. Method: one value at two indexes."""
    tale.happen("set", KEY, "d")
    assert "twice" in tale.broken_rules()


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOT_SENT])
def test_a_refused_write_is_done(tale: Tale, outcome: Outcome) -> None:
    """Goal: found. Method: what was refused, or never sent, is there."""
    tale.failed("x", outcome)
    tale.happen("set", KEY, "x")
    assert "refused" in tale.broken_rules()


@pytest.mark.parametrize(
    ("error", "expected"),
    [(101, {"expect_value": "d"}), (101, {"expect_index": BASE_INDEX + 4}), (100, {})],
)
def test_a_refusal_without_reason(tale: Tale, error: int, expected: dict[str, str | int]) -> None:
    """Goal: found. Method: the comparison should have succeeded, the key was there."""
    tale.refused(error, KEY, **expected)
    assert tale.broken_rules() == {"write"}


def test_a_comparison_with_something_else(tale: Tale) -> None:
    """Goal: a swap that should have been refused is found. Method: it expected another value."""
    op = tale.write("e", action="compareAndSwap")
    op.expect_value = "not there"
    assert tale.broken_rules() == {"write"}


def test_a_stale_quorum_read(tale: Tale) -> None:
    """Goal: found, also of a key nobody else touches. Method: the answer is right for an index
    that was not the newest acknowledged any more."""
    old = tale.index
    tale.write("new", OTHER)
    op = tale.read()
    op.index = old
    assert tale.broken_rules() == {"order"}


def test_a_quorum_read_of_an_old_value_at_a_new_index(tale: Tale) -> None:
    """Goal: found. Method: the old value with the new X-Etcd-Index."""
    old = tale.nodes[KEY]
    tale.write("new")
    tale.read().node = old
    assert tale.broken_rules() == {"read"}


def test_a_read_of_what_was_never_committed(tale: Tale) -> None:
    """Goal: found, for plain reads too. Method: a value nobody acknowledged or saw."""
    op = tale.read(KEY, Kind.READ)
    op.node = replace(tale.nodes[KEY], value="dirty")
    assert tale.broken_rules() == {"read"}


def test_a_plain_read_may_be_old_but_not_go_back(tale: Tale) -> None:
    """Goal: staleness is allowed, going back on one connection is not. Method: both."""
    old_node, old = tale.nodes[KEY], tale.index
    tale.write("new")
    newer = tale.read(KEY, Kind.READ)
    older = tale.read(KEY, Kind.READ)
    older.node, older.index = old_node, old
    newer.connection, older.connection = 1, 2
    assert tale.broken_rules() == set()
    older.connection = 1
    assert tale.broken_rules() == {"read"}


def test_a_write_gets_an_index_below_one_known_before(tale: Tale) -> None:
    """Goal: writes out of their order in time are found. Method: one was sent after the other had
    been answered."""
    first, second = tale.write("x", OTHER), tale.write("y", KEY)
    first.start, first.end = second.end + 1, second.end + 2
    assert tale.broken_rules() == {"order"}


@pytest.mark.parametrize("lie", ["missed", "twice", "order", "outside"])
def test_a_watcher_sees_wrong(tale: Tale, lie: str) -> None:
    """Goal: a missed, doubled, exchanged or foreign event is found. Method: each in turn."""
    indexes = tale.watchers[0].segments[0].indexes
    match lie:
        case "missed":
            del indexes[1]
        case "twice":
            indexes.insert(1, indexes[1])
        case "order":
            indexes[1], indexes[2] = indexes[2], indexes[1]
        case "outside":
            tale.watchers[0].segments[0].after += 1
    assert tale.broken_rules() == {"watch"}


def test_a_watcher_of_a_part_sees_that_part_only(tale: Tale) -> None:
    """Goal: what is outside its prefix is neither asked of it nor allowed. Method: both."""
    part = Seen("part", f"{ROOT}/d1", segments=[Segment(BASE_INDEX, tale.index, [BASE_INDEX + 3])])
    tale.history.watchers.append(part)
    assert tale.broken_rules() == set()
    part.segments[0].indexes.append(tale.index)
    assert tale.broken_rules() == {"watch"}


def test_nothing_is_claimed_across_a_hole(tale: Tale) -> None:
    """Goal: what all watchers may have missed is not held against anybody, and is counted.
    Method: every watcher's history was cleared, and an unknown write was done meanwhile."""
    op = tale.failed("unseen")
    tale.history.windows.append(Window("all paused", op.start, op.end))
    tale.happen("set", KEY, "unseen")
    for watcher in tale.watchers:
        watcher.segments[-1].indexes.pop()
        watcher.segments[-1].through -= 1
        watcher.segments.append(Segment(tale.index, tale.index))
    del tale.canon.events[tale.index]
    tale.read()
    verdict = tale.judged()
    assert verdict.violations == {}
    assert verdict.unsure == 1


@pytest.mark.parametrize("lie", ["value", "index"])
def test_members_differ_at_the_end(tale: Tale, lie: str) -> None:
    """Goal: found. Method: one member has another value, or another index."""
    tale.end()
    last = tale.history.finals["m3"]
    if lie == "value":
        assert last.listing is not None
        last.listing[KEY] = replace(last.listing[KEY], value="z")
    else:
        last.index -= 1
    assert "final" in tale.broken_rules()


def test_all_members_are_wrong_in_the_same_way(tale: Tale) -> None:
    """Goal: agreement is not enough. Method: all list a key that no event made."""
    tale.nodes[f"{ROOT}/ghost"] = Node("boo", 3, 3)
    tale.end()
    assert tale.broken_rules() == {"read"}


@pytest.mark.parametrize(
    ("window", "is_excused"),
    [
        (Window("a", 0, 1000), True),
        (Window("a", 0, 1), False),
        (Window("a", 0, 1000, stalled=frozenset({"m1"})), True),
        (Window("a", 0, 1000, stalled=frozenset({"m2"})), False),
        (Window("a", 0, 1000, silent=frozenset({"m1"}), stalled=frozenset()), True),
    ],
)
def test_failures_of_writes_outside_of_windows(
    tale: Tale, window: Window, is_excused: bool
) -> None:
    """Goal: a window excuses what it names and nothing else. Method: several windows, one
    failure."""
    tale.failed()
    tale.history.windows.append(window)
    assert tale.broken_rules() == (set() if is_excused else {"served"})


def test_plain_reads_have_no_excuse_but_a_silent_member(tale: Tale) -> None:
    """Goal: local reads are served without a quorum. Method: one fails while writes may fail."""
    op = tale.read(KEY, Kind.READ)
    op.outcome, op.index = Outcome.UNKNOWN, 0
    tale.history.windows.append(Window("a", 0, 1000))
    assert tale.broken_rules() == {"served"}
    tale.history.windows[0].silent = frozenset({"m1"})
    assert tale.broken_rules() == set()


def test_no_answer_at_all_has_no_excuse_either(tale: Tale) -> None:
    """Goal: without a quorum a write is answered with 300 in time. Method: the client gave up."""
    tale.failed().late = True
    tale.history.windows.append(Window("a", 0, 1000))
    assert tale.broken_rules() == {"served"}


@pytest.mark.parametrize("after_s", [1.5, 9.0])
def test_a_key_expires_early_or_late(tale: Tale, after_s: float) -> None:
    """Goal: both are found. Method: a key to live for 3 s."""
    op = tale.write("brief", ttl_s=3)
    tale.clock = op.start + after_s
    tale.happen("expire", KEY)
    assert tale.broken_rules() == {"ttl"}


def test_a_key_expires_because_of_an_outage(tale: Tale) -> None:
    """Goal: found where the cluster's own time is promised. Method: the key's time passed while
    there was no majority."""
    op = tale.write("brief", ttl_s=5)
    tale.history.outages.append((op.end + 0.5, op.end + 8.5))
    tale.history.windows.append(Window("all killed", op.end + 0.5, op.end + 9.5))
    tale.clock = op.end + 9.0
    tale.happen("expire", KEY)
    assert tale.broken_rules() == {"ttl"}
    assert tale.broken_rules(cluster_time=False) == set()


@pytest.mark.parametrize(("stall_s", "is_excused"), [(4.0, True), (2.0, False)])
def test_a_stall_excuses_as_much_as_it_took(tale: Tale, stall_s: float, is_excused: bool) -> None:
    """Goal: a busy machine is no violation, and excuses nothing else. Method: a key that expires
    6 s late, and a write that took so long meanwhile."""
    op = tale.write("brief", f"{ROOT}/brief/1", ttl_s=2)
    slow = tale.write("slow")
    slow.end = slow.start + stall_s
    tale.clock = op.end + 8.0
    tale.happen("expire", f"{ROOT}/brief/1")
    assert tale.broken_rules() == (set() if is_excused else {"ttl"})


def test_a_key_never_expires(tale: Tale) -> None:
    """Goal: found. Method: a brief key is there long after its time."""
    tale.write("brief", ttl_s=2)
    tale.clock += 60
    tale.end()
    assert tale.broken_rules() == {"ttl"}


def test_a_trouble_is_a_violation(tale: Tale) -> None:
    """Goal: a member that ended by itself is told. Method: the nemesis noted it."""
    tale.history.troubles.append("m1 has ended with 1")
    assert tale.broken_rules() == {"trouble"}
