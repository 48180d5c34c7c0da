"""All nodes by key, in many small dictionaries instead of one large one.

One dictionary would do but for two pauses: growing past 1.4 million entries takes Python 0.2 s, and
copying a million entries for a snapshot 40 ms. Laws:

* A view is of one moment, costs next to nothing to take, and copies nothing that is not changed
  while it is read: a shard is copied at the first write to it that a view has not seen.
* No dictionary here is known to the garbage collector: they hold bytes and nodes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvstore.node import Node

# A million keys make about a thousand a shard: copying one takes 10 microseconds.
_SHARDS: Final = 1024
_MASK: Final = _SHARDS - 1


class View:
    """The nodes as they were when the view was taken; to be read once.

    A view that is dropped unread is forgotten by its map.
    """

    def __init__(self, node_map: NodeMap) -> None:
        self._node_map = node_map
        self.size = len(node_map)
        self._next = 0
        self._saved: dict[int, dict[bytes, Node]] = {}

    def save(self, shard: int, nodes: dict[bytes, Node]) -> None:
        """Keep a shard as it is, before it is written to."""
        if shard >= self._next and shard not in self._saved:
            self._saved[shard] = nodes.copy()

    def read(self) -> Iterator[list[Node]]:
        """Return the nodes shard by shard; the map may change between one and the next."""
        while self._next < _SHARDS:
            shard = self._next
            nodes = self._saved.pop(shard, None)
            if nodes is None:
                nodes = self._node_map.shards[shard]
            self._next += 1
            yield list(nodes.values())


class NodeMap:
    """A dictionary of nodes, in what the store needs of one."""

    __slots__ = ("_size", "_viewed", "_views", "shards")

    def __init__(self) -> None:
        self.shards: list[dict[bytes, Node]] = [{} for _ in range(_SHARDS)]
        self._views: WeakSet[View] = WeakSet()
        self._viewed = False
        self._size = 0

    def view(self) -> View:
        """Take a view of how things are now."""
        view = View(self)
        self._views.add(view)
        self._viewed = True
        return view

    def _save(self, number: int, shard: dict[bytes, Node]) -> None:
        self._viewed = False
        for view in self._views:
            view.save(number, shard)
            self._viewed = True

    def get(self, key: bytes) -> Node | None:
        return self.shards[hash(key) & _MASK].get(key)

    def __getitem__(self, key: bytes) -> Node:
        return self.shards[hash(key) & _MASK][key]

    def __contains__(self, key: object) -> bool:
        return key in self.shards[hash(key) & _MASK]

    def __len__(self) -> int:
        return self._size

    def __setitem__(self, key: bytes, node: Node) -> None:
        number = hash(key) & _MASK
        shard = self.shards[number]
        if self._viewed:
            self._save(number, shard)
        before = len(shard)
        shard[key] = node
        self._size += len(shard) - before

    def __delitem__(self, key: bytes) -> None:
        number = hash(key) & _MASK
        shard = self.shards[number]
        if self._viewed:
            self._save(number, shard)
        del shard[key]
        self._size -= 1

    def values(self) -> Iterator[Node]:
        """Return all nodes, in no order to rely on; the map must not change meanwhile."""
        for shard in self.shards:
            yield from shard.values()
