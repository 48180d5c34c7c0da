"""Which nodes run out, and when: a heap of deadlines in cluster time.

Law: the heap may hold entries that no longer hold true (the node was rewritten or removed); `due`
asks the tree before it believes one. So setting, refreshing and dropping a TTL cost one push.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kvstore.node import Node
    from kvstore.node_map import NodeMap

# Below this size stale entries are not worth a sweep.
_SWEEP_MIN: Final = 1024


class Deadlines:
    """The deadlines of all nodes with a TTL."""

    def __init__(self) -> None:
        # (deadline, modifiedIndex, key): nodes that run out at one instant go oldest first.
        self._heap: list[tuple[int, int, bytes]] = []
        self.count = 0

    def add(self, node: Node, nodes: NodeMap) -> None:
        """Note the deadline of a node that has just been put into the tree."""
        self.count += 1
        heapq.heappush(self._heap, (node.deadline, node.modified, node.key))
        if len(self._heap) > max(_SWEEP_MIN, 2 * self.count):
            self._heap = [entry for entry in self._heap if _holds(entry, nodes)]
            heapq.heapify(self._heap)

    def drop(self, node: Node) -> None:
        """Note that a node with a TTL has left the tree or was replaced."""
        self.count -= 1

    def is_due(self, now_ns: int) -> bool:
        """Tell whether some deadline may have come."""
        return bool(self._heap) and self._heap[0][0] <= now_ns

    def next_due(self, now_ns: int, nodes: NodeMap) -> Node | None:
        """Return the node whose deadline has come first, if any has."""
        heap = self._heap
        while heap and heap[0][0] <= now_ns:
            entry = heapq.heappop(heap)
            if _holds(entry, nodes):
                return nodes[entry[2]]
        return None


def _holds(entry: tuple[int, int, bytes], nodes: NodeMap) -> bool:
    deadline, modified, key = entry
    node = nodes.get(key)
    return (
        node is not None
        and node.expiration != 0
        and node.deadline == deadline
        and node.modified == modified
    )
