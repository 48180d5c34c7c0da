"""Driving a machine through batches, and what must hold of its tree at any moment."""

from collections.abc import Iterable

from kvstore import Machine, Reply
from kvstore.commands import Command, encode
from kvstore.paths import ROOTS, parent

WALL_START_NS = 1_800_000_000_000_000_000

Batch = tuple[int, list[Command]]


def drive(machine: Machine, batches: Iterable[Batch], start_ms: int = 0) -> tuple[list[Reply], int]:
    """Apply the batches; return all replies and the cluster time reached, in ms."""
    replies: list[Reply] = []
    now_ms = start_ms
    for step_ms, commands in batches:
        now_ms += step_ms
        stamp_ns = now_ms * 1_000_000
        encoded = [encode(command) for command in commands]
        replies += machine.apply(stamp_ns, WALL_START_NS + stamp_ns, encoded)
    return replies, now_ms


def check_tree(machine: Machine) -> None:
    """Every node is its parent's child and every child a node; history is consecutive."""
    store = machine.store
    nodes = store.tree.nodes
    for node in nodes.values():
        key = node.key
        assert nodes[key] is node
        if key not in ROOTS:
            directory = nodes[parent(key)].children
            assert directory is not None
            assert key in directory
        for child in node.children or ():
            assert parent(child) == key
            assert child in nodes
        assert node.created <= max(node.modified, store.index)
    with_ttl = sum(1 for node in nodes.values() if node.expiration)
    assert store.tree.deadlines.count == with_ttl
    indexes = [event.index for event in store.history.events]
    assert indexes == list(range(store.index - len(indexes) + 1, store.index + 1))
