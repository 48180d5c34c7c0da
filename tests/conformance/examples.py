"""The captured exchanges as values.

A line of examples.jsonl has: `name`; `setup` (requests sent first, in order; `repeat` sends one
N times); `request`; optional `during` (requests sent once the head of a watch has arrived);
`response` (`status`, `reason`, ordered `headers` without Connection, de-chunked `body`, `chunks`,
`connection_still_open_at_end`); optional `volatile` (why a literal comparison must be relaxed).
Each was captured on a fresh single member with the URLs of `tests.oracle.Identity`, so indexes
start at 3 and ids are those of the capture. Requests were sent with `Connection: close`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from tests.oracle.wire import Request, Response

EXAMPLES = Path(__file__).with_name("examples.jsonl")
READS = frozenset({"GET", "HEAD", "OPTIONS"})


class _RequestJson(TypedDict, total=False):
    method: str
    path: str
    headers: dict[str, str]
    body: str
    repeat: int
    sleep_before: float


class _ResponseJson(TypedDict, total=False):
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: str
    chunks: list[str]
    connection_still_open_at_end: bool


class _ExampleJson(TypedDict, total=False):
    name: str
    setup: list[_RequestJson]
    request: _RequestJson
    during: list[_RequestJson]
    response: _ResponseJson
    volatile: list[str]


@dataclass(frozen=True, slots=True)
class Example:
    """One captured exchange."""

    name: str
    setup: tuple[tuple[Request, int], ...]
    request: Request
    during: tuple[Request, ...]
    expected: Response
    volatile: tuple[str, ...]
    after_expiry: bool
    """The capture waited before the request until the setup's TTL was over."""

    @property
    def is_watch(self) -> bool:
        """Whether the answer is a long poll's: it may stay open."""
        return self.expected.chunked and b"wait=" in self.request.target

    @property
    def leaves_no_trace(self) -> bool:
        """Whether a fresh server is as good as new afterwards: nothing written or counted."""
        if self.setup or self.during or self.is_watch or b"/stats/" in self.request.target:
            return False
        return self.request.method in READS or self.expected.status >= 400


def load() -> list[Example]:
    """All examples, in the order of the file."""
    with EXAMPLES.open(encoding="utf-8") as lines:
        return [_example(json.loads(line)) for line in lines]


def _example(raw: _ExampleJson) -> Example:
    answer = raw["response"]
    chunks = answer.get("chunks")
    expected = Response(
        answer["status"],
        answer["reason"],
        tuple((name, value) for name, value in answer["headers"]),
        answer["body"].encode(),
        None if chunks is None else tuple(chunk.encode() for chunk in chunks),
        not answer["connection_still_open_at_end"],
        answer["connection_still_open_at_end"],
    )
    return Example(
        name=raw["name"],
        setup=tuple((_request(step), step.get("repeat", 1)) for step in raw["setup"]),
        request=_request(raw["request"]),
        during=tuple(_request(step) for step in raw.get("during", [])),
        expected=expected,
        volatile=tuple(raw.get("volatile") or ()),
        after_expiry="sleep_before" in raw["request"],
    )


def _request(raw: _RequestJson) -> Request:
    headers = (*raw["headers"].items(), ("Connection", "close"))
    return Request(raw["method"], raw["path"].encode(), headers, raw.get("body", "").encode())
