"""What a watch makes of answers, without a server."""

from __future__ import annotations

import pytest

from pyetcdctl import RESYNC, Change, EventIndexCleared, Node, Result
from pyetcdctl.watching import Watch

CLEARED = EventIndexCleared(401, "The event in requested index is outdated and cleared", "", 90)


def directory(key: str, index: int, *nodes: Node) -> Node:
    """A directory and what is in it."""
    return Node(key, "", True, nodes or None, index, index)


def file(key: str, value: str, index: int) -> Node:
    """A key with a value."""
    return Node(key, value, created_index=index, modified_index=index)


def resynced(before: Node, after: Node, *events: Result) -> Change | None:
    """What a watch that knew one subtree, and was told some events, says of another one."""
    watch = Watch("/w", recursive=True, known=Result("get", before, None, 50))
    for event in events:
        assert watch.took(watch.request(), event) is not None
    assert watch.took(watch.request(), CLEARED) is None
    return watch.took(watch.request(), Result("get", after, None, 99))


def leaves(nodes: dict[str, Node]) -> dict[str, Node]:
    """Keys with a value and empty directories."""
    return {
        key: node
        for key, node in nodes.items()
        if not any(other.startswith(f"{key}/") for other in nodes)
    }


def told(change: Change | None) -> list[tuple[str, str, str, bool]]:
    """What a resync says that has happened."""
    assert change is not None
    assert change.action == RESYNC
    return [
        (each.action, each.node.key, each.node.value, each.node.dir) for each in change.differences
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            [file("/w/a", "1", 5)],
            [directory("/w/a", 60, file("/w/a/b", "2", 60))],
            [("delete", "/w/a", "", False), ("set", "/w/a/b", "2", False)],
        ),
        (
            [directory("/w/a", 5, file("/w/a/b", "1", 5))],
            [file("/w/a", "2", 60)],
            [
                ("delete", "/w/a", "", True),
                ("delete", "/w/a/b", "", False),
                ("set", "/w/a", "2", False),
            ],
        ),
        ([], [directory("/w/empty", 60)], [("set", "/w/empty", "", True)]),
    ],
)
def test_differences_lead_to_what_is_there(
    before: list[Node], after: list[Node], expected: list[tuple[str, str, str, bool]]
) -> None:
    """Goal: the differences, applied one after the other, make of what was there what is there,
    but for directories with something in them. Method: a key becomes a directory, a directory a
    key, an empty one comes.
    """
    one, other = directory("/w", 4, *before), directory("/w", 4, *after)
    change = resynced(one, other)
    assert told(change) == expected
    assert change is not None
    nodes = one.by_key()
    for each in change.differences:
        each.apply(nodes)
    assert leaves(nodes) == leaves(other.by_key())


def test_a_directory_with_another_ttl_keeps_what_is_in_it() -> None:
    """Goal: nothing is told twice. Method: its update, and then a resync to the same."""
    tree = directory("/w", 4, directory("/w/a", 5, file("/w/a/b", "1", 6)))
    updated = Result("update", directory("/w/a", 60)._replace(created_index=5))
    after = directory("/w", 4, updated.node._replace(nodes=(file("/w/a/b", "1", 6),)))
    assert resynced(tree, after, updated) is None


def test_a_directory_that_goes_takes_all_with_it() -> None:
    """Goal: an event of a directory above or inside is applied to what is below. Method: each."""
    nodes = directory("/w", 4, directory("/w/a", 5, file("/w/a/b", "1", 6))).by_key()
    Change("delete", directory("/w/a", 5), None, 70).apply(nodes)
    assert list(nodes) == ["/w"]
    Change("expire", directory("/w", 4), None, 71).apply(nodes)
    assert nodes == {}


def test_a_watch_begins_at_one_place() -> None:
    """Goal: two beginnings are a mistake that is told. Method: give both."""
    known = Result("get", directory("/w", 4), None, 50)
    with pytest.raises(ValueError, match="known and after_index"):
        Watch("/w", recursive=True, after_index=5, known=known)
