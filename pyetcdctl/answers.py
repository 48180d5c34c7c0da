"""What the server answers, as values.

Laws: nothing is taken for granted: what is no answer of an etcd is BadAnswer, also where etcdctl
crashes (no node at all) or prints nothing (a node without a key), and names are matched exactly.
What is said of members, users and roles etcdctl reads with another decoder, which takes names in
any case and leaves empty what is not said (golang.structs). A `ttl` of 0 and an `expiration` of ""
mean that there is none.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple, TypeVar

from golang.json_text import BadJson, refuse_constant
from golang.structs import TEXT, List, Struct, unmarshal
from golang.times import rewritten
from pyetcdctl import requests
from pyetcdctl.errors import BadAnswer, EmptyAnswer, EtcdError

_T = TypeVar("_T")
# An escape of one half of a surrogate pair, with or without the other.
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_DECODER: Final = json.JSONDecoder(parse_constant=refuse_constant)

_MEMBER: Final = Struct(
    "client.Member",
    {"id": TEXT, "name": TEXT, "peerURLs": List(TEXT), "clientURLs": List(TEXT)},
)
_MEMBERS: Final = Struct("struct { Members []client.Member }", {"Members": List(_MEMBER)})


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
        ahead = [*reversed(self.nodes or ())]
        while ahead:
            node = ahead.pop()
            below.append(node)
            ahead += reversed(node.nodes or ())
        return below

    def by_key(self) -> dict[str, Node]:
        """It and all nodes below, without their `nodes`. The root directory, which was never
        created, is left out.
        """
        return {
            node.key: node._replace(nodes=None)
            for node in (self, *self.walk())
            if node.created_index
        }


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


def load(body: bytes) -> Any:
    """Read JSON; BadAnswer if it is none, or nothing."""
    if not body.strip():
        raise EmptyAnswer
    return parsed(body)


def parsed(body: bytes) -> Any:
    """Read JSON as Go does: what is no UTF-8 and no whole character becomes U+FFFD."""
    try:
        document = _DECODER.decode(body.decode("utf-8", "replace"))
        if _HALF.search(body):
            text = json.dumps(document, ensure_ascii=False)
            document = json.loads(re.sub("[\ud800-\udfff]", "\ufffd", text))
    except ValueError:
        raise BadAnswer(BadAnswer.INVALID) from None
    except RecursionError:
        raise BadAnswer(BadAnswer.TOO_DEEP) from None
    return document


def unmarshalled(body: bytes, shape: Struct) -> Any:
    """What Go makes of an answer that is not about keys; raises BadAnswer in its words."""
    try:
        return unmarshal(body, shape)
    except BadJson as bad:
        raise BadAnswer(str(bad)) from None


def field(value: Any, name: str, default: _T) -> _T:
    """A field as Go reads it: absent or null it is the default, and of another type than that it is
    BadAnswer.
    """
    if type(value) is not dict:
        raise BadAnswer(BadAnswer.INVALID)
    found = value.get(name)
    if found is None:
        return default
    if type(found) is not type(default):
        raise BadAnswer(BadAnswer.INVALID)
    return found


def _index(value: Any, name: str) -> int:
    index = field(value, name, 0)
    if not 0 <= index < requests.UINT64:
        raise BadAnswer(BadAnswer.INVALID)
    return index


def _time(value: Any, name: str) -> str:
    if value.get(name) is None:
        return ""
    try:
        return rewritten(field(value, name, ""))
    except ValueError:
        raise BadAnswer(BadAnswer.INVALID) from None


def result(body: bytes, index: int) -> Result:
    """Read the answer to a request for keys; `index` is its header's."""
    answer = load(body)
    try:
        prev: dict[str, Any] = field(answer, "prevNode", {})
        return Result(
            field(answer, "action", ""),
            _node(field(answer, "node", {}), is_top=True),
            _node(prev, is_top=True) if prev else None,
            index,
        )
    except RecursionError:
        raise BadAnswer(BadAnswer.TOO_DEEP) from None


def _node(value: Any, *, is_top: bool = False) -> Node:
    key, is_dir = field(value, "key", ""), field(value, "dir", False)
    # Only the root has no key, and it is a directory: whatever else has none is no node.
    if not key and not (is_top and is_dir):
        raise BadAnswer(BadAnswer.INVALID)
    children: list[Any] = field(value, "nodes", [])
    return Node(
        key,
        field(value, "value", ""),
        is_dir,
        tuple([_node(child) for child in children]) if value.get("nodes") is not None else None,
        _index(value, "createdIndex"),
        _index(value, "modifiedIndex"),
        field(value, "ttl", 0),
        _time(value, "expiration"),
    )


def error(body: bytes) -> EtcdError:
    """Read an error of the key space."""
    answer = parsed(body)
    return EtcdError.of(
        field(answer, "errorCode", 0),
        field(answer, "message", ""),
        field(answer, "cause", ""),
        _index(answer, "index"),
    )


def member(body: bytes) -> Member:
    """Read one member."""
    return _member(unmarshalled(body, _MEMBER))


def members(body: bytes) -> list[Member]:
    """Read the list of members."""
    return [_member(said) for said in unmarshalled(body, _MEMBERS)["Members"] or ()]


def _member(said: dict[str, Any]) -> Member:
    peer_urls, client_urls = (tuple(said[name] or ()) for name in ("peerURLs", "clientURLs"))
    return Member(said["id"], said["name"], peer_urls, client_urls)
