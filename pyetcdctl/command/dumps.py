"""The document that `dump` writes and `load` reads.

    {"pyetcdctl-dump": 1, "key": "/app", "index": 120,
     "nodes": [{"key": "/app", "dir": true}, {"key": "/app/a", "value": "1", "ttl": 30}]}

Laws: nodes stand in the order in which they were created, a directory in front of what is in it.
Each is the document's own key or below it, and none is there twice. A TTL is what is left of it, in
s. JSON and YAML say the same. What is no such document is
Unusable, with a sentence that names the field, its value and what is allowed; pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyetcdctl import requests
from pyetcdctl.arguments import TTL_MAX_S

if TYPE_CHECKING:
    from pyetcdctl.answers import Result

MARK: Final = "pyetcdctl-dump"
VERSION: Final = 1
_FIELDS: Final = ("key", "dir", "value", "ttl")


class Unusable(Exception):
    """What is to be loaded is no dump."""


class Entry(NamedTuple):
    """A key or a directory to be created."""

    key: str
    value: str
    is_dir: bool
    ttl: int | None


def document(result: Result) -> dict[str, Any]:
    """The document of a key and all that was read below it."""
    root = result.node
    nodes = [node for node in (root, *root.walk()) if node.key not in ("", "/")]
    nodes.sort(key=lambda node: (node.created_index, node.key.count("/"), node.key))
    entries: list[dict[str, Any]] = []
    for node in nodes:
        entry: dict[str, Any] = {"key": node.key}
        entry |= {"dir": True} if node.dir else {"value": node.value}
        entries.append(entry | ({"ttl": node.ttl} if node.ttl > 0 else {}))
    return {MARK: VERSION, "key": root.key or "/", "index": result.index, "nodes": entries}


def as_json(document: dict[str, Any]) -> str:
    """The document as JSON, a line for each node."""
    head = {name: value for name, value in document.items() if name != "nodes"}
    lines = ",\n".join(json.dumps(node, ensure_ascii=False) for node in document["nodes"])
    body = f"[\n{lines}\n]" if lines else "[]"
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "nodes": {body}}}\n'


def read(text: str) -> Any:
    """JSON or YAML."""
    try:
        if text.lstrip()[:1] == "{":
            return json.loads(text)
    except ValueError as error:
        raise Unusable(f"this is no JSON: {error}") from None
    except RecursionError:
        raise Unusable("this is nested too deeply") from None
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except UnicodeEncodeError as error:
        at, byte = len(text[: error.start].encode()), ord(text[error.start]) & 0xFF
        raise Unusable(
            f"this is neither JSON nor YAML: the byte 0x{byte:02x} at {at} is no UTF-8"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        said = " ".join(str(error).split())
        raise Unusable(f"this is neither JSON nor YAML: {said}") from None
    except RecursionError:
        raise Unusable("this is nested too deeply") from None


def entries(document: Any, prefix: str | None) -> list[Entry]:
    """What to create, in order, below `prefix` if there is one. The root is there already."""
    if not isinstance(document, dict) or MARK not in document:
        raise Unusable(f'this is no dump: it has no field "{MARK}"')
    if document[MARK] != VERSION:
        raise Unusable(f"{MARK} is {document[MARK]!r}, but has to be {VERSION}")
    root, nodes = document.get("key"), document.get("nodes")
    if not isinstance(root, str) or not root.startswith("/"):
        raise Unusable(f"key is {root!r}, but has to be a key that begins with /")
    if not isinstance(nodes, list):
        raise Unusable(f"nodes is {_kind(nodes)}, but has to be a list")
    read = [_entry(f"nodes[{position}]", node) for position, node in enumerate(nodes)]
    root = root.rstrip("/")
    _check_keys(read, root)
    if prefix is None:
        return read
    below = requests.clean(prefix).rstrip("/")
    for position, entry in enumerate(read):
        if not below and entry.key == root and not entry.is_dir:
            raise Unusable(
                f"nodes[{position}].key is {root!r}, but a key with a value cannot be loaded as /"
            )
    moved = [entry._replace(key=below + entry.key[len(root) :]) for entry in read]
    return [entry for entry in moved if entry.key]


def _check_keys(entries: list[Entry], root: str) -> None:
    positions: dict[str, int] = {}
    for position, entry in enumerate(entries):
        key = f"nodes[{position}].key is {entry.key!r}"
        if not (entry.key + "/").startswith(root + "/"):
            raise Unusable(f"{key}, but has to be {root} or below it")
        first = positions.setdefault(entry.key, position)
        if first != position:
            raise Unusable(f"{key}, as that of nodes[{first}] is already")


def _entry(where: str, node: Any) -> Entry:
    if not isinstance(node, dict):
        raise Unusable(f"{where} is {_kind(node)}, but has to be a mapping")
    for name in node:
        if name not in _FIELDS:
            raise Unusable(f"{where} has a field {name!r}, but only {', '.join(_FIELDS)} are known")
    key, value = node.get("key"), node.get("value", "")
    is_dir, ttl = node.get("dir", False), node.get("ttl")
    if not isinstance(key, str) or requests.clean(key) != key or key == "/":
        raise Unusable(f"{where}.key is {key!r}, but has to be a key such as /a/b")
    if not isinstance(is_dir, bool):
        raise Unusable(f"{where}.dir is {is_dir!r}, but has to be true or false")
    if is_dir and "value" in node:
        raise Unusable(f"{where} has both dir and value, but a directory has no value")
    if not isinstance(value, str):
        raise Unusable(f"{where}.value is {value!r}, but has to be a text (in quotes)")
    for name, text in (("key", key), ("value", value)):
        if not requests.is_text(text):
            raise Unusable(f"{where}.{name} is {text!r}, but has to be a text: it is no UTF-8")
    is_whole = isinstance(ttl, int) and not isinstance(ttl, bool)
    if ttl is not None and not (is_whole and 1 <= ttl <= TTL_MAX_S):
        raise Unusable(
            f"{where}.ttl is {ttl!r}, but has to be a whole number of seconds, 1 to {TTL_MAX_S}"
        )
    return Entry(key, value, is_dir, ttl)


def _kind(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"
