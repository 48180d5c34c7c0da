"""A frozen machine comes in chunks of bounded size, whatever it holds; so does its history."""

from unittest import mock

import pytest

from kvstore import EtcdError, Machine
from kvstore.commands import Command, Delete, Set
from tests.kvstore.driving import check_tree, drive

CHUNK_BYTES = 1 << 20
# Keys, indexes and what msgpack needs, for the rows of one chunk.
OVERHEAD_BYTES = 200_000
MIB = 1 << 20


def _loads() -> dict[str, list[Command]]:
    return {
        "40 values of 1 MiB": [Set(b"/v/%d" % i, b"x" * MIB) for i in range(40)],
        "history of 200 kB": [Set(b"/h", b"%d" % i + b"y" * 100_000) for i in range(300)],
        "one of 9 MiB": [Set(b"/a", b"1"), Set(b"/b", b"z" * (9 * MIB)), Set(b"/c", b"2")],
        "large and gone": [
            *(Set(b"/d/%d" % i, b"x" * 700_000) for i in range(10)),
            Delete(b"/d", dir=True, recursive=True),
        ],
        "many small": [Set(b"/s/%d/%d" % (i % 7, i), b"v", ttl=1000) for i in range(20_000)],
        "nothing": [],
    }


@pytest.mark.parametrize("name", _loads())
def test_chunks_are_bounded_and_complete(name: str) -> None:
    """Goal: no chunk is much larger than 1 MiB or the largest item, and a machine restored from
    them is equal, also if the store moves on while they are read. Method: large values, large
    events, many small nodes; write between the chunks; compare digests."""
    machine = Machine()
    _replies, now_ms = drive(machine, [(1, [command]) for command in _loads()[name]])
    store = machine.store
    items = [len(event.body) for event in store.history.events]
    items += [len(node.key) + len(node.value) for node in store.tree.nodes.values()]
    chunk_bytes_max = max(CHUNK_BYTES, *items) + OVERHEAD_BYTES
    digest = machine.digest()
    chunks: list[bytes] = []
    for chunk in machine.freeze():
        chunks.append(chunk)
        now_ms += 1
        drive(machine, [(1, [Set(b"/meanwhile/%d" % len(chunks), b"v")])], start_ms=now_ms)
        drive(machine, [(1, [Delete(b"/v/%d" % (len(chunks) % 40))])], start_ms=now_ms + 1)
    assert max(map(len, chunks)) <= chunk_bytes_max
    assert machine.digest() != digest
    again = Machine()
    again.adopt(Machine.thaw(chunks))
    assert again.digest() == digest
    check_tree(again)


def test_history_is_bounded_by_bytes() -> None:
    """Goal: the history holds at most BYTES_MAX bytes, the newest events, consecutive; a watch that
    begins before them is told 401; a single larger event is kept. Method: a small limit; events of
    all sizes; a snapshot of it restores to the same."""
    limit = 50_000
    with mock.patch("kvstore.history.BYTES_MAX", limit):
        machine = Machine()
        history = machine.store.history
        now_ms = 0
        for number in range(400):
            value = b"x" * (number * 37 % 9000)
            _replies, now_ms = drive(machine, [(1, [Set(b"/k", value)])], start_ms=now_ms)
            sizes = [len(event.body) for event in history.events]
            assert sum(sizes) <= limit
            assert history._size_bytes == sum(sizes)
            assert history.events[-1].index == machine.store.index
        check_tree(machine)
        first = history.events[0].index
        index = machine.store.index
        assert 1 < len(history.events) < 400
        with pytest.raises(EtcdError) as refused:
            history.scan(b"/k", recursive=False, since=first - 1, index=index)
        assert refused.value.code == 401
        found = list(history.scan(b"/k", recursive=False, since=first, index=index))
        assert [event.index for event in found] == list(range(first, index + 1))

        again = Machine()
        again.adopt(Machine.thaw(list(machine.freeze())))
        assert again.digest() == machine.digest()
        assert again.store.history._size_bytes == history._size_bytes

        drive(machine, [(1, [Set(b"/big", b"x" * (2 * limit))])], start_ms=now_ms)
        assert [event.key for event in history.events] == [b"/big"]
        again.adopt(Machine.thaw(list(machine.freeze())))
        assert again.digest() == machine.digest()
        drive(machine, [(2, [Set(b"/k", b"v")])], start_ms=now_ms)
        assert [event.key for event in history.events] == [b"/k"]
        assert history._size_bytes == sum(len(event.body) for event in history.events)
