"""Determinism, and save and restore, as properties over random batches of commands."""

from hypothesis import given, settings

from kvstore import Machine
from kvstore.commands import RemoveMember
from tests.kvstore.driving import Batch, check_tree, drive
from tests.kvstore.strategies import BATCHES


@given(BATCHES)
@settings(max_examples=300, deadline=None)
def test_equal_commands_make_equal_stores(batches: list[Batch]) -> None:
    """Goal: members that apply the same log agree. Method: two machines, one list of batches; their
    replies and digests must be equal, and the tree's own rules must hold."""
    first, second = Machine(), Machine()
    assert drive(first, batches) == drive(second, batches)
    assert first.digest() == second.digest()
    check_tree(first)


@given(BATCHES, BATCHES)
@settings(max_examples=300, deadline=None)
def test_a_restored_store_goes_on_like_the_one_that_was_saved(
    before: list[Batch], after: list[Batch]
) -> None:
    """Goal: nothing is missing from a snapshot: tree, index, TTLs, history, counters. Method:
    freeze a machine, let another one adopt it, then give both the same further commands."""
    saved, restored = Machine(), Machine()
    _replies, now_ms = drive(saved, before)
    restored.adopt(Machine.thaw(saved.freeze()))
    assert restored.digest() == saved.digest()
    assert drive(restored, after, now_ms) == drive(saved, after, now_ms)
    assert restored.digest() == saved.digest()
    check_tree(restored)


@given(BATCHES, BATCHES)
@settings(max_examples=200, deadline=None)
def test_a_frozen_store_does_not_see_what_comes_later(
    before: list[Batch], after: list[Batch]
) -> None:
    """Goal: a snapshot is of one moment although it is encoded while the store moves on. Method:
    freeze, change the store, and only then read the frozen chunks."""
    machine, restored = Machine(), Machine()
    _replies, now_ms = drive(machine, before)
    digest, frozen = machine.digest(), machine.freeze()
    drive(machine, after, now_ms)
    restored.adopt(Machine.thaw(frozen))
    assert restored.digest() == digest


@given(BATCHES)
@settings(max_examples=300, deadline=None)
def test_only_a_successful_write_moves_the_index_and_by_one(batches: list[Batch]) -> None:
    """Goal: index accounting (contract/keys.md section 8). Method: apply commands one at a time and
    compare each reply with the index before and after."""
    machine = Machine()
    for step_ms, commands in batches:
        for command in commands:
            before = machine.store.index
            expired = machine.store.stats.expire_count
            (reply,), _now = drive(machine, [(step_ms, [command])], machine.store.now_ns // 10**6)
            moved = machine.store.index - before
            expired = machine.store.stats.expire_count - expired
            if reply.body:
                assert moved == (1 if reply.ok else 0)
            elif isinstance(command, RemoveMember):
                assert moved in (0, 1, 2)  # less where there was nothing to remove
            else:  # another internal command: members, version, or expiry
                assert moved in (0, 1) or moved == expired
            assert reply.index in (machine.store.index, before)
