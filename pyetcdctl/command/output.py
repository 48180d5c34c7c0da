"""What comes from stdin and goes to stdout and stderr, in bytes.

Laws (contract/etcdctl.md, sections 7 and 8): values are printed as they are; JSON is written as
Go's encoding/json does, field by field in its order; no colour and no look at the terminal here.
All is read and written whole, also where a parent has made a stream non-blocking or unbuffered.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from pyetcdctl.answers import Node, Result

_PIECE_BYTES: Final = 1 << 16
_SPECIAL: Final = re.compile('[\\x00-\\x1f"\\\\<>&\u2028\u2029]')
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def out(text: str) -> None:
    """Write to stdout; nobody to read it ends the process, by SIGPIPE as any program."""
    out_bytes(_encoded(text))


def out_bytes(data: bytes) -> None:
    """The same for what is in bytes already."""
    _write(sys.stdout, data)


def err(text: str) -> None:
    """Write to stderr, likewise; there is nobody to tell that it cannot be written to."""
    with suppress(OSError):
        _write(sys.stderr, _encoded(text))


def stdin() -> bytes:
    """All of stdin; nothing if it is closed."""
    if sys.stdin is None:
        return b""
    return b"".join(iter(lambda: _read(_PIECE_BYTES), b""))


def stdin_line() -> bytes:
    """The next line of stdin, without its end, and not a byte more: what follows may be a value."""
    return b"".join(iter(lambda: _read(1).rstrip(b"\n"), b""))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _read(bytes_max: int) -> bytes:
    while True:
        try:
            return os.read(0, bytes_max)
        except BlockingIOError:
            _wait(0, select.POLLIN)


def _write(stream: TextIO | None, data: bytes) -> None:
    if stream is None:  # it was closed before we began
        return
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(stream.fileno(), left) :]
        except BlockingIOError:
            _wait(stream.fileno(), select.POLLOUT)
        except BrokenPipeError:
            # Python ignores the signal, so that a server's end is an error and not ours.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGPIPE)
            return  # the signal is blocked, and there is nobody to print for


def _wait(descriptor: int, event: int) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    poll.poll()


def counted(count: int, one: str, many: str) -> str:
    """A number of things, in words for a person."""
    return f"{count} {one if count == 1 else many}"


def go_json(text: str) -> str:
    """A JSON string as Go writes it."""
    return '"' + _SPECIAL.sub(lambda found: _escaped(found[0]), text) + '"'


def _escaped(character: str) -> str:
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def node_json(node: Node) -> str:
    """A node as etcdctl prints it."""
    parts = [f'"key":{go_json(node.key)}']
    if node.dir:
        parts.append('"dir":true')
    parts.append(f'"value":{go_json(node.value)}')
    nodes = "null"
    if node.nodes is not None:
        nodes = f"[{','.join(node_json(child) for child in node.nodes)}]"
    parts.append(f'"nodes":{nodes}')
    parts.append(f'"createdIndex":{node.created_index},"modifiedIndex":{node.modified_index}')
    if node.expiration:
        parts.append(f'"expiration":{go_json(node.expiration)}')
    if node.ttl:
        parts.append(f'"ttl":{node.ttl}')
    return "{" + ",".join(parts) + "}"


def result_json(result: Result) -> str:
    """An answer as etcdctl prints it."""
    prev = node_json(result.prev_node) if result.prev_node is not None else "null"
    return (
        f'{{"action":{go_json(result.action)},"node":{node_json(result.node)},"prevNode":{prev}}}'
    )


def extended(result: Result) -> str:
    """An answer with all that is known of its node."""
    node, prev = result.node, result.prev_node
    lines = [
        f"Key: {node.key}",
        f"Created-Index: {node.created_index}",
        f"Modified-Index: {node.modified_index}",
    ]
    if prev is not None:
        lines.append(f"PrevNode.Value: {prev.value}")
    lines += [f"TTL: {node.ttl}", f"Index: {result.index}"]
    if result.action != "delete":
        lines += ["", node.value]
    return "".join(f"{line}\n" for line in lines)


def simple(result: Result) -> str:
    """An answer's value, or the one that was deleted."""
    if result.action == "delete":
        prev = result.prev_node.value if result.prev_node is not None else ""
        return f"PrevNode.Value: {prev}\n"
    return f"{result.node.value}\n"
