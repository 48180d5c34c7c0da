"""The state machine the log drives: batches in, replies out; snapshots; the digest.

Laws:

* Time enters only here and only with a batch: its stamp, in cluster time, and the leader's wall
  clock.
* `freeze` is quick and may be read at leisure, in chunks, while the store moves on; each chunk
  takes about a millisecond.
* What `thaw` makes of a frozen state is equal to it: the tree, the index, the TTLs, the history and
  the counters. Watchers are not state: they belong to connections, and live on when a thawed state
  takes the place of an old one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from kvstore.commands import Sync, decode, encode
from kvstore.event import Event
from kvstore.node import Node
from kvstore.stats import Counters  # noqa: TC001 - msgspec reads the annotation
from kvstore.store import Reply, Store
from kvstore.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kvstore.node_map import View

FORMAT_VERSION: Final = 1

_SYNC: Final = encode(Sync())

# A chunk is closed at whichever comes first; encoding that much takes about a millisecond. A node
# or event that is larger goes alone.
_CHUNK_ROWS: Final = 1500
_CHUNK_BYTES: Final = 1 << 20

_Row = tuple[bytes, bytes, int, int, int, int, bool]


class UnknownFormat(Exception):
    """A snapshot of a format this version does not know."""


class _Head(msgspec.Struct, array_like=True):
    """The first chunk of a snapshot; fields may be added at the end."""

    version: int
    index: int
    now_ns: int
    wall_ns: int
    stats: Counters
    events: int
    nodes: int


_encoder: Final = msgspec.msgpack.Encoder()
_head_decoder: Final = msgspec.msgpack.Decoder(_Head)
_events_decoder: Final = msgspec.msgpack.Decoder(list[Event])
_rows_decoder: Final = msgspec.msgpack.Decoder(list[_Row])


class Machine:
    """A store behind the interface that raft/ asks of a state machine."""

    def __init__(self) -> None:
        self.store = Store()
        # What is left of stores that were replaced. Letting go of a million nodes takes half a
        # second, so it is done piece by piece, one with each batch.
        self._outdated: list[dict[bytes, Node]] = []

    def apply(self, stamp_ns: int, wall_ns: int, commands: Sequence[bytes]) -> list[Reply]:
        """Apply a batch; one reply for each command, in order."""
        if self._outdated:
            self._outdated.pop()
        store = self.store
        # Cluster time never runs backwards, whatever a stamp says.
        store.now_ns, store.wall_ns = max(stamp_ns, store.now_ns), wall_ns
        return [store.apply(decode(command)) for command in commands]

    def tick_command(self) -> bytes | None:
        """The command that lets time pass, while some node has a TTL (etcd's SYNC)."""
        return _SYNC if self.store.tree.deadlines.count > 0 else None

    def is_behind(self) -> bool:
        """Whether the last such command left something to do."""
        return self.store.tree.deadlines.is_due(self.store.now_ns)

    def freeze(self) -> Iterator[bytes]:
        """Capture the state now; the chunks are encoded as they are asked for."""
        store = self.store
        nodes = store.tree.nodes.view()
        head = _Head(
            FORMAT_VERSION,
            store.index,
            store.now_ns,
            store.wall_ns,
            store.stats,
            len(store.history.events),
            nodes.size,
        )
        return _chunks(_encoder.encode(head), list(store.history.events), nodes)

    @staticmethod
    def thaw(chunks: Iterable[bytes]) -> Store:
        """Make a store of a frozen state; in any thread, since it touches nothing else.

        Raises UnknownFormat.
        """
        chunks = iter(chunks)
        head = _head_decoder.decode(next(chunks))
        if head.version != FORMAT_VERSION:
            raise UnknownFormat(
                f"snapshot format {head.version}, this server knows {FORMAT_VERSION}"
            )
        store = Store()
        store.index, store.now_ns, store.wall_ns = head.index, head.now_ns, head.wall_ns
        store.stats = head.stats
        # Counted as they come: a history with narrower bounds may keep fewer.
        events = 0
        while events < head.events:
            for event in _events_decoder.decode(next(chunks)):
                store.history.append(event)
                events += 1
        store.tree.load(_node(row) for chunk in chunks for row in _rows_decoder.decode(chunk))
        return store

    def adopt(self, store: Store) -> None:
        """Go on with a thawed store in place of the old one. Takes milliseconds.

        Live watchers are told what they missed, or that it is lost (see WatcherHub.jump).
        """
        old, self.store = self.store, store
        store.take_over(old)
        self._outdated += old.tree.nodes.shards
        old.tree = Tree()

    def digest(self) -> str:
        """A fingerprint of everything that must be equal on members that applied the same log."""
        store = self.store
        counters = store.stats.as_etcd()
        counters.pop("getsSuccess")
        counters.pop("getsFail")
        rows = sorted(map(_row, store.tree.nodes.values()))
        history = list(store.history.events)
        state = (store.index, store.now_ns, store.wall_ns, counters, history, rows)
        return hashlib.sha256(_encoder.encode(state)).hexdigest()


def _chunks(head: bytes, events: list[Event], nodes: View) -> Iterator[bytes]:
    """Yield the head, then all events, then all nodes."""
    yield head
    yield from _grouped((event, len(event.body)) for event in events)
    yield from _grouped(
        (_row(node), len(node.key) + len(node.value)) for shard in nodes.read() for node in shard
    )


def _grouped(sized: Iterable[tuple[object, int]]) -> Iterator[bytes]:
    group: list[object] = []
    size_bytes = 0
    for item, item_bytes in sized:
        if group and (len(group) >= _CHUNK_ROWS or size_bytes + item_bytes > _CHUNK_BYTES):
            yield _encoder.encode(group)
            group, size_bytes = [], 0
        group.append(item)
        size_bytes += item_bytes
    if group:
        yield _encoder.encode(group)


def _row(node: Node) -> _Row:
    return (
        node.key,
        node.value,
        node.created,
        node.modified,
        node.expiration,
        node.deadline,
        node.children is not None,
    )


def _node(row: _Row) -> Node:
    key, value, created, modified, expiration, deadline, is_dir = row
    return Node(key, value, created, modified, expiration, deadline, {} if is_dir else None)
