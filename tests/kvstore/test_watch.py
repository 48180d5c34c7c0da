"""Watchers against a model, and the rules that need a drawn picture."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore import Event, Machine
from kvstore import commands as c
from tests.kvstore.driving import Batch, drive
from tests.kvstore.strategies import BATCHES, KEYS


def told(machine: Machine, path: bytes, *, recursive: bool, stream: bool = True) -> list[Event]:
    """Register a watch from now on; return the list its events will be in."""
    events: list[Event] = []
    machine.store.watch(path, events.append, since=0, recursive=recursive, stream=stream)
    return events


@given(BATCHES, BATCHES, KEYS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_stream_hears_in_order_at_most_once_and_only_what_concerns_it(
    before: list[Batch], after: list[Batch], path: bytes, recursive: bool
) -> None:
    """Goal: contract/keys.md section 9.2. Method: a stream on a random path; its events must be
    part of the history, in order, without doubles, and lie at, below or above the path."""
    machine = Machine()
    _replies, now_ms = drive(machine, before)
    events = told(machine, path, recursive=recursive)
    start = machine.store.index
    drive(machine, after, now_ms)
    indexes = [event.index for event in events]
    assert indexes == sorted(set(indexes))
    assert all(index > start for index in indexes)
    for event in events:
        at = event.key == path
        below = recursive and (path == b"/" or event.key.startswith(path + b"/"))
        above = event.removed_dir and path.startswith(event.key + b"/")
        assert at or below or above
        assert not event.refresh
    missed = [
        event.index
        for event in machine.store.history.events
        if event.index > start and event.key == path and not event.refresh
    ]
    assert set(missed) <= set(indexes)


@given(BATCHES, KEYS, st.booleans(), st.integers(1, 20))
@settings(max_examples=300, deadline=None)
def test_history_and_stream_from_the_past_tell_the_same(
    batches: list[Batch], path: bytes, recursive: bool, since: int
) -> None:
    """Goal: a stream from the past loses nothing that a loop of one-shot watches would find.
    Method: run the loop over the history and compare with what one stream is given at once."""
    machine = Machine()
    drive(machine, batches)
    looped: list[Event] = []
    index = since
    while index <= machine.store.index:
        found: list[Event] = []
        watcher = machine.store.watch(
            path, found.append, since=index, recursive=recursive, stream=False
        )
        watcher.cancel()
        if not found:
            break
        looped += found
        index = found[0].index + 1
    streamed: list[Event] = []
    machine.store.watch(path, streamed.append, since=since, recursive=recursive, stream=True)
    if since <= machine.store.index:
        assert streamed == looped
    assert machine.store.watchers.count == 1


def test_a_one_shot_watch_fires_once_and_is_gone() -> None:
    """Goal: one event, then nothing. Method: two writes to the watched key."""
    machine = Machine()
    events = told(machine, b"/a", recursive=False, stream=False)
    drive(machine, [(0, [c.Set(b"/a", b"1"), c.Set(b"/a", b"2")])])
    assert [event.index for event in events] == [1]
    assert machine.store.watchers.count == 0


def test_removing_a_directory_tells_watchers_of_what_was_in_it_and_nobody_else() -> None:
    """Goal: the ancestor rule (contract/keys.md section 9.2). Method: watches on a child that
    exists, on one that never did, and on a sibling with the same prefix."""
    machine = Machine()
    drive(machine, [(0, [c.Set(b"/d/a", b"1"), c.Set(b"/dz", b"1")])])
    child = told(machine, b"/d/a", recursive=False)
    never = told(machine, b"/d/zzz", recursive=False)
    sibling = told(machine, b"/dz", recursive=True)
    drive(machine, [(0, [c.Delete(b"/d", recursive=True)])])
    assert [event.key for event in child] == [b"/d"]
    assert never == []
    assert sibling == []


def test_cancelled_watchers_leave_nothing_behind() -> None:
    """Goal: disconnects free memory. Method: register and cancel, twice each."""
    machine = Machine()
    watchers = [
        machine.store.watch(b"/a/b", lambda _event: None, since=0, recursive=True, stream=True)
        for _ in range(10)
    ]
    for watcher in watchers + watchers:
        watcher.cancel()
    assert machine.store.watchers.count == 0
    drive(machine, [(0, [c.Set(b"/a/b/c", b"1")])])
