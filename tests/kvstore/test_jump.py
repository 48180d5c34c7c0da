"""A store that jumps by a snapshot tells its watchers what a store that applied it all tells."""

from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore import Event, Machine, Watcher
from kvstore import commands as c
from tests.kvstore.driving import WALL_START_NS, Batch, check_tree, drive
from tests.kvstore.strategies import BATCHES, KEYS

# (path, recursive, stream, how far behind the present it begins: negative for one yet to come)
WATCHES = st.lists(
    st.tuples(KEYS, st.booleans(), st.booleans(), st.integers(-6, 3)), min_size=1, max_size=6
)
Watch = tuple[bytes, bool, bool, int]


class Told:
    """A watch and all it is told."""

    def __init__(self, machine: Machine, watch: Watch) -> None:
        path, recursive, stream, behind = watch
        self.events: list[Event] = []
        self.lost = 0
        self.machine = machine
        self.watcher: Watcher = machine.store.watch(
            path,
            self._deliver,
            since=max(1, machine.store.index + 1 - behind),
            recursive=recursive,
            stream=stream,
            lost=self._lose,
        )

    def _deliver(self, event: Event) -> None:
        assert not self.lost
        self.events.append(event)

    def _lose(self) -> None:
        self.lost += 1


def jump(machine: Machine, ahead: Machine) -> None:
    """Let a machine adopt the state of one that is ahead of it."""
    machine.adopt(Machine.thaw(list(ahead.freeze())))


@given(BATCHES, BATCHES, BATCHES, WATCHES)
@settings(max_examples=250, deadline=None)
def test_a_jump_tells_what_applying_tells(
    before: list[Batch], missed: list[Batch], after: list[Batch], watches: list[Watch]
) -> None:
    """Goal: no watcher can tell a snapshot from a log. Method: two equal machines with equal
    watches; one applies what the other gets by a snapshot; both then apply more. Path, hidden rule,
    recursive or not, stream or one-shot, since, parents removed: whatever is told must be equal."""
    applying, jumping = Machine(), Machine()
    _replies, now_ms = drive(applying, before)
    drive(jumping, before)
    expected = [Told(applying, watch) for watch in watches]
    got = [Told(jumping, watch) for watch in watches]
    _replies, now_ms = drive(applying, missed, now_ms)
    jump(jumping, applying)
    assert [told.events for told in got] == [told.events for told in expected]
    assert jumping.digest() == applying.digest()
    drive(applying, after, now_ms)
    drive(jumping, after, now_ms)
    assert [told.events for told in got] == [told.events for told in expected]
    assert not any(told.lost for told in got)
    assert jumping.store.watchers.count == applying.store.watchers.count
    check_tree(jumping)


@given(BATCHES, BATCHES, BATCHES, WATCHES, st.integers(1, 8))
@settings(max_examples=250, deadline=None)
def test_what_is_lost_is_said_and_nothing_else_is_wrong(
    before: list[Batch],
    missed: list[Batch],
    after: list[Batch],
    watches: list[Watch],
    history: int,
) -> None:
    """Goal: never a silent gap. Method: the same with a history of a few events: a watcher was told
    exactly what it should have been, or was told a beginning of it and then that it is lost, once;
    and it is lost only if something between its `since` and now is not in the history."""
    with mock.patch("kvstore.history.EVENTS_MAX", history):
        applying, jumping = Machine(), Machine()
        _replies, now_ms = drive(applying, before)
        drive(jumping, before)
        index = jumping.store.index
        expected = [Told(applying, watch) for watch in _recent(watches, history)]
        got = [Told(jumping, watch) for watch in _recent(watches, history)]
        registered = [told.watcher for told in got if told.watcher in _live(jumping)]
        _replies, now_ms = drive(applying, missed, now_ms)
        jump(jumping, applying)
        events = applying.store.history.events
        first = events[0].index if events else 0
        drive(applying, after, now_ms)
        drive(jumping, after, now_ms)
        for mine, theirs in zip(got, expected, strict=True):
            if not mine.lost:
                assert mine.events == theirs.events
                continue
            assert mine.watcher in registered
            assert mine.lost == 1
            assert mine.events == theirs.events[: len(mine.events)]
            assert first > index + 1
            assert mine.watcher.since <= applying.store.index
        live = _live(jumping)
        assert not any(told.watcher in live for told in got if told.lost)
        assert jumping.store.watchers.count == len(live)


def _recent(watches: list[Watch], history: int) -> list[Watch]:
    """Watches that the history reaches back to."""
    return [(p, r, s, min(behind, 0 if history < 4 else 3)) for p, r, s, behind in watches]


def _live(machine: Machine) -> set[Watcher]:
    return set(machine.store.watchers._all())


def test_a_watch_that_begins_after_the_gap_lives_on() -> None:
    """Goal: what a history that does not reach back far enough loses, and what it does not. Method:
    history of two events; watches from before, within and behind it; a directory goes away whose
    child may or may not have been there."""
    with mock.patch("kvstore.history.EVENTS_MAX", 2):
        ahead, behind = Machine(), Machine()
        for machine in (ahead, behind):
            drive(machine, [(1, [c.Set(b"/d/a", b"1")])])
        from_now = Told(behind, (b"/d/a", False, True, 0))
        from_two = Told(behind, (b"/z", False, False, -2))
        child = Told(behind, (b"/d/a", False, True, -2))
        later = Told(behind, (b"/d/a", False, True, -4))
        missed: list[c.Command] = [
            c.Set(b"/x", b""),
            c.Set(b"/y", b""),
            c.Set(b"/z", b""),
            c.Delete(b"/d", recursive=True),
        ]
        drive(ahead, [(1, missed)], 1)
        jump(behind, ahead)
        assert (from_now.lost, from_now.events) == (1, [])
        assert (from_two.lost, [event.index for event in from_two.events]) == (0, [4])
        # Whether /d/a was there when /d went depends on indexes 2 and 3, which are gone.
        assert (child.lost, child.events) == (1, [])
        assert (later.lost, later.events) == (0, [])
        assert behind.store.watchers.count == 1


def test_what_the_history_makes_clear_loses_nobody() -> None:
    """Goal: a watch is not closed for a doubt that is none. Method: history of three events; the
    watched child goes with its directory, before the watch begins, and the directory goes again."""
    with mock.patch("kvstore.history.EVENTS_MAX", 3):
        ahead, behind = Machine(), Machine()
        for machine in (ahead, behind):
            drive(machine, [(1, [c.Set(b"/d/a", b"1")])])
        child = Told(behind, (b"/d/a", False, True, -3))
        missed: list[c.Command] = [
            c.Set(b"/x", b""),
            c.Delete(b"/d", recursive=True),
            c.Set(b"/d/b", b""),
            c.Delete(b"/d", recursive=True),
        ]
        drive(ahead, [(1, missed)], 1)
        jump(behind, ahead)
        assert child.watcher.since == 5
        assert (child.lost, child.events) == (0, [])


def test_an_expiry_in_the_gap_wakes_like_any_other() -> None:
    """Goal: TTLs that ran out meanwhile are told as expire events. Method: a key with a TTL, and a
    directory with one, expire while the member is away."""
    ahead, behind = Machine(), Machine()
    for machine in (ahead, behind):
        drive(machine, [(1, [c.Set(b"/k", b"1", ttl=1), c.Set(b"/d", dir=True, ttl=1)])])
        drive(machine, [(1, [c.Set(b"/d/child", b"1")])], 1)
    watches = [(b"/k", False, False, 0), (b"/d/child", False, True, 0), (b"/", True, True, 0)]
    told = [Told(behind, watch) for watch in watches]
    drive(ahead, [(5000, [c.Sync()])], 2)
    jump(behind, ahead)
    assert [[(e.action, e.key) for e in one.events] for one in told] == [
        [(b"expire", b"/k")],
        [(b"expire", b"/d")],
        [(b"expire", b"/k"), (b"expire", b"/d")],
    ]


def test_the_old_state_goes_away_bit_by_bit() -> None:
    """Goal: a jump does not hold up the event loop, however large the state it replaces: letting go
    of a million nodes at once takes half a second. Method: 20,000 nodes; what is left of them, and
    the size of each piece; a snapshot that is being read is not disturbed."""
    behind = Machine()
    behind.apply(1, WALL_START_NS, [c.encode(c.Set(b"/%d" % n, b"v")) for n in range(20_000)])
    digest, frozen = behind.digest(), behind.freeze()
    old = behind.store
    jump(behind, Machine())
    assert len(old.tree.nodes) == 2  # the roots: its nodes are in pieces
    sizes = [len(piece) for piece in behind._outdated]
    assert sum(sizes) == 20_002
    assert max(sizes) < 100
    again = Machine()
    again.adopt(Machine.thaw(frozen))
    assert again.digest() == digest
    while left := len(behind._outdated):
        behind.apply(2, WALL_START_NS, [])
        assert len(behind._outdated) == left - 1
