"""What the server answers, as values.

Laws: nothing is taken for granted: what is no answer of an etcd is BadAnswer. Names are matched
exactly. A `ttl` of 0 and an `expiration` of "" mean that there is none.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pyetcdctl.errors import BadAnswer, EtcdError


class Node(NamedTuple):
    """A key or a directory; `nodes` is None unless its children were asked for."""

    key: str
    value: str = ""
    dir: bool = False
    nodes: tuple[Node, ...] | None = None
    created_index: int = 0
    modified_index: int = 0
    ttl: int = 0
    expiration: str = ""

    def walk(self) -> list[Node]:
        """All nodes below, parents before their children."""
        below: list[Node] = []
        for child in self.nodes or ():
            below.append(child)
            below += child.walk()
        return below


# A tuple has an index() of its own, which nobody wants here; dataclasses would take the command
# line a tenth of its time to import.
class Result(NamedTuple):
    """The outcome of a request, or an event; `index` is the X-Etcd-Index of the answer."""

    action: str
    node: Node
    prev_node: Node | None = None
    index: int = 0  # type: ignore[assignment]


class Member(NamedTuple):
    """A member of the cluster; one that has never run has no name yet."""

    id: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]

    @property
    def number(self) -> int:
        """The id as a number, for ordering."""
        return int(self.id, 16) if self.id else 0


def load(body: bytes) -> Any:
    """Read JSON; BadAnswer if it is none, or nothing."""
    if not body.strip():
        raise BadAnswer(BadAnswer.EMPTY)
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except ValueError:
        raise BadAnswer(BadAnswer.INVALID) from None


def result(body: bytes, index: str | None) -> Result:
    """Read the answer to a request for keys."""
    answer = load(body)
    try:
        prev = answer.get("prevNode")
        return Result(
            answer.get("action", ""),
            _node(answer.get("node") or {}),
            _node(prev) if prev is not None else None,
            int(index) if index and index.isdecimal() else 0,
        )
    except (AttributeError, TypeError, ValueError):
        raise BadAnswer(BadAnswer.INVALID) from None


def _node(value: dict[str, Any]) -> Node:
    children = value.get("nodes")
    return Node(
        str(value.get("key", "")),
        str(value.get("value") or ""),
        bool(value.get("dir", False)),
        tuple([_node(child) for child in children]) if children is not None else None,
        int(value.get("createdIndex", 0)),
        int(value.get("modifiedIndex", 0)),
        int(value.get("ttl", 0)),
        str(value.get("expiration") or ""),
    )


def error(body: bytes) -> EtcdError:
    """Read an error of the key space."""
    try:
        answer = json.loads(body.decode("utf-8", "replace"))
        return EtcdError.of(
            int(answer.get("errorCode", 0)),
            str(answer.get("message", "")),
            str(answer.get("cause", "")),
            int(answer.get("index", 0)),
        )
    except (AttributeError, TypeError, ValueError):
        raise BadAnswer(BadAnswer.INVALID) from None


def member(value: Any) -> Member:
    """Read one member."""
    try:
        return Member(
            str(value.get("id", "")),
            str(value.get("name") or ""),
            tuple(str(url) for url in value.get("peerURLs") or ()),
            tuple(str(url) for url in value.get("clientURLs") or ()),
        )
    except (AttributeError, TypeError):
        raise BadAnswer(BadAnswer.INVALID) from None


def members(body: bytes) -> list[Member]:
    """Read the list of members."""
    answer = load(body)
    if not isinstance(answer, dict):
        raise BadAnswer(BadAnswer.INVALID)
    listed = answer.get("members") or []
    if not isinstance(listed, list):
        raise BadAnswer(BadAnswer.INVALID)
    return [member(value) for value in listed]
