"""The tree: one flat map from key to node, and each directory's list of its children.

Laws:

* Finding a node is one lookup; nothing here is proportional to the number of keys, save
  the removal or listing of a subtree, which is proportional to that subtree.
* A key is in `nodes` if and only if it is in its parent's `children` (roots excepted).
* Errors carry the path etcd names: the first missing one, or the file that is in the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore.errors import KEY_NOT_FOUND, NOT_DIR, EtcdError
from kvstore.expiry import Deadlines
from kvstore.node import Node
from kvstore.node_map import NodeMap
from kvstore.paths import ROOTS, ancestors, is_hidden, parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Tree:
    """All nodes of all namespaces."""

    def __init__(self) -> None:
        self.nodes = NodeMap()
        self.deadlines = Deadlines()
        for root in ROOTS:
            self.nodes[root] = Node(root, b"", 0, 0, children={})

    def missing(self, key: bytes, index: int) -> EtcdError:
        """Return the error for a key that has no node."""
        missing = key
        for above in ancestors(key)[1:]:
            node = self.nodes.get(above)
            if node is None:
                missing = above
            elif node.children is None:
                return EtcdError(NOT_DIR, above, index)
            else:
                break
        return EtcdError(KEY_NOT_FOUND, missing, index)

    def require(self, key: bytes, index: int) -> Node:
        node = self.nodes.get(key)
        if node is None:
            raise self.missing(key, index)
        return node

    def put(self, node: Node, old: Node | None) -> None:
        """Put a node in the place of `old`, or into a directory that is already there."""
        if old is None:
            directory = self.nodes[parent(node.key)].children
            assert directory is not None
            directory[node.key] = None
        elif old.expiration:
            self.deadlines.drop(old)
        self.nodes[node.key] = node
        if node.expiration:
            self.deadlines.add(node, self.nodes)

    def make_parents(self, key: bytes, made_at: int, index: int) -> None:
        """Create the missing directories above `key`, or none: a file in the way is NOT_DIR."""
        above = parent(key)
        absent = []
        while (directory := self.nodes.get(above)) is None:
            absent.append(above)
            above = parent(above)
        if directory.children is None:
            raise EtcdError(NOT_DIR, above, index)
        for path in reversed(absent):
            self.put(Node(path, b"", made_at, made_at, children={}), None)

    def remove(self, node: Node) -> None:
        """Take a node, and everything below it, out of the tree."""
        directory = self.nodes[parent(node.key)].children
        assert directory is not None
        del directory[node.key]
        doomed = [node]
        while doomed:
            gone = doomed.pop()
            del self.nodes[gone.key]
            if gone.expiration:
                self.deadlines.drop(gone)
            if gone.children:
                doomed.extend(map(self.nodes.__getitem__, gone.children))

    def load(self, nodes: Iterable[Node]) -> None:
        """Fill an empty tree from a snapshot's nodes, in any order."""
        for node in nodes:
            self.nodes[node.key] = node
        for node in self.nodes.values():
            if node.key not in ROOTS:
                directory = self.nodes[parent(node.key)].children
                assert directory is not None
                directory[node.key] = None
            if node.expiration:
                self.deadlines.add(node, self.nodes)

    def listing(self, top: Node, now_ns: int, *, recursive: bool, in_order: bool) -> bytes:
        """Return a directory's JSON with `nodes`: its children or, recursively, all below it.

        Hidden nodes are left out. Written with a stack of its own: a path may be deeper than
        Python's recursion allows.
        """
        parts: list[bytes] = []
        open_directories: list[tuple[Iterator[Node], bytes]] = []
        head, tail = top.listing_parts(now_ns)
        parts.append(head)
        open_directories.append((self._visible(top, in_order), tail))
        first = True
        while open_directories:
            children, tail = open_directories[-1]
            node = next(children, None)
            if node is None:
                parts.append(b"]" + tail if not first else tail)
                first = False
                open_directories.pop()
                continue
            parts.append(b',"nodes":[' if first else b",")
            if recursive and node.children is not None:
                head, tail = node.listing_parts(now_ns)
                parts.append(head)
                open_directories.append((self._visible(node, in_order), tail))
                first = True
            else:
                parts.append(node.json_at(now_ns))
                first = False
        return b"".join(parts)

    def _visible(self, directory: Node, in_order: bool) -> Iterator[Node]:
        children = directory.children or {}
        keys = [key for key in children if not is_hidden(key)]
        if in_order:
            keys.sort()
        return map(self.nodes.__getitem__, keys)
