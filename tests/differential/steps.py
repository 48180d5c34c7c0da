"""The steps of a differential run: plain values that can be replayed and printed."""

import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from tests.oracle import Request

TRUE_WORDS = frozenset({b"1", b"t", b"T", b"TRUE", b"true", b"True"})
_SORTED = re.compile(rb"[?&]sorted=([^&;]*)")
_BODY_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Ask:
    """One request on the kept connection, or on a `fresh` one; its complete answer counts."""

    request: Request
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Several requests sent at once on one connection, answered in order."""

    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """A long poll on a connection of its own; it stays open until the next `Settle`."""

    request: Request
    key: bytes
    recursive: bool
    stream: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """Pokes the keys of all open watches, compares what they got, and closes them."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Compares the whole tree, hidden directories included, and the counters."""


@dataclass(frozen=True, slots=True)
class Expire:
    """Requests that leave short TTLs behind; waits until both servers have expired the keys."""

    requests: tuple[Request, ...]
    keys: tuple[bytes, ...]
    base: bytes
    """The directory above the keys."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Writes one key many times, so that the history of events is full; not counted."""

    writes: int


Step: TypeAlias = Ask | Pipeline | Watch | Settle | Tree | Expire | Fill


def is_unsorted(request: Request) -> bool:
    """Whether the order of a listing in the answer is free."""
    found = _SORTED.search(request.target)
    return found is None or unquote_to_bytes(found[1]) not in TRUE_WORDS


def show(step: Step) -> str:
    """A step as a person would write it down."""
    match step:
        case Ask(request, fresh):
            return show_request(request) + ("   (new connection)" if fresh else "")
        case Watch(request):
            return "watch " + show_request(request)
        case Pipeline(requests):
            return "pipelined: " + " | ".join(map(show_request, requests))
        case Expire(requests, keys, _):
            lines = [show_request(request) for request in requests]
            return "\n".join([*lines, f"wait until expired: {keys}"])
        case Fill(writes):
            return f"PUT /v2/keys/fill value=x   ({writes} times)"
        case _:
            return type(step).__name__.lower()


def show_request(request: Request) -> str:
    """A request in one line; bytes that are not printable as Python shows them."""
    words = [request.method, _text(request.target)]
    if request.version != "HTTP/1.1":
        words.append(request.version)
    if not request.host:
        words.append("(no Host)")
    words += [f"[{name}: {value}]" for name, value in request.headers]
    if request.chunk_bytes:
        words.append(f"(chunks of {request.chunk_bytes})")
    if request.body:
        words.append(_text(request.body[:_BODY_SHOWN_MAX]))
    if len(request.body) > _BODY_SHOWN_MAX:
        words.append(f"… ({len(request.body)} bytes)")
    return " ".join(words)


def _text(data: bytes) -> str:
    return repr(data)[2:-1]
