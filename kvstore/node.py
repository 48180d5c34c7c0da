"""A node of the tree, and the JSON that shows it.

Laws:

* A node never changes what it says: a write replaces it. (`children` of a directory does change;
  it is an index over the flat dictionary of nodes, not part of what a snapshot saves.) So a
  snapshot is a list of nodes, and events, replies and listings can share one rendering.
* The garbage collector does not know nodes: a full collection over a million of them costs next to
  nothing. That is allowed because nodes only point at bytes, numbers and a dictionary of bytes.
* `ttl` is the one thing that is different each time it is looked at, so the kept JSON leaves room
  for it, and for a directory's `nodes`, at `cut`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvstore.gojson import quote, rfc3339
from kvstore.paths import ROOTS

NS_PER_S: Final = 1_000_000_000
_INT64_MIN: Final = -(1 << 63)


class Node(msgspec.Struct, gc=False):
    """A file (`children` is None) or a directory (`value` is empty).

    `expiration` is the wall-clock instant shown to clients in Unix ns, 0 for a permanent node;
    `deadline` is the same instant in cluster time (ns), which is what counts.
    """

    key: bytes
    value: bytes
    created: int
    modified: int
    expiration: int = 0
    deadline: int = 0
    children: dict[bytes, None] | None = None
    _json: bytes = b""
    _cut: int = 0

    def json(self) -> bytes:
        """The node without `ttl` and `nodes`."""
        if not self._json:
            head, tail = _head(self), _tail(self.modified, self.created, self.key)
            self._json = head + tail
            self._cut = len(head)
        return self._json

    def json_at(self, now_ns: int) -> bytes:
        """The node as it looks at cluster time `now_ns`, without `nodes`."""
        json = self._json or self.json()
        if not self.expiration:
            return json
        return json[: self._cut] + ttl_json(self.deadline, now_ns) + json[self._cut :]

    def listing_parts(self, now_ns: int) -> tuple[bytes, bytes]:
        """What comes before and after a directory's `nodes` member."""
        json = self._json or self.json()
        head = json[: self._cut]
        if self.expiration:
            head += ttl_json(self.deadline, now_ns)
        return head, json[self._cut :]


def _head(node: Node) -> bytes:
    if node.key in ROOTS:
        return b'{"dir":true'
    shown = b'{"key":' + quote(node.key)
    shown += b',"dir":true' if node.children is not None else b',"value":' + quote(node.value)
    if node.expiration:
        shown += b',"expiration":"%b"' % rfc3339(node.expiration)
    return shown


def _tail(modified: int, created: int, key: bytes) -> bytes:
    if key in ROOTS:
        return b"}"
    return b',"modifiedIndex":%d,"createdIndex":%d}' % (modified, created)


def ttl_json(deadline_ns: int, now_ns: int) -> bytes:
    """The `ttl` member with its comma: seconds left, rounded up; nothing when none are left."""
    # DEVIATES: etcd shows a negative ttl between a node's expiration and its removal.
    seconds = -((now_ns - deadline_ns) // NS_PER_S)
    return b',"ttl":%d' % seconds if seconds > 0 else b""


def written_ttl_json(expiration_ns: int, wall_ns: int) -> bytes:
    """The `ttl` member in the reply to the write that set it.

    Only here can it be negative: a ttl beyond the year 2262 wraps around in etcd, and an update
    or compareAndSwap says so in its reply (keys.md section 5.9).
    """
    left_ns = max(expiration_ns - wall_ns, _INT64_MIN)
    seconds = -(-left_ns // NS_PER_S)
    return b',"ttl":%d' % seconds if seconds else b""


def removed_json(node: Node, index: int) -> bytes:
    """What a delete or expire event shows as `node`: the key and its indexes, no value."""
    is_dir = b',"dir":true' if node.children is not None else b""
    return b'{"key":%b%b,"modifiedIndex":%d,"createdIndex":%d}' % (
        quote(node.key),
        is_dir,
        index,
        node.created,
    )
