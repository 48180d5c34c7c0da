"""The express lane: plain requests on /v2/keys, answered without aiohttp.

aiohttp's request objects and tasks cost more than the store does. Nine of ten requests need nothing
of them: HTTP/1.1, kept alive, a known method, a short body with a length. For those the front door
asks this lane; the handlers and the bytes are the same, and whatever is out of the ordinary goes to
aiohttp. Laws:

* Admitting a request has no effect; it may still be turned away to the other lane.
* One request of a connection at a time, and never while aiohttp owes an answer on it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from api import target

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.exchange import Response

# A longer body takes long enough for the lane not to matter.
BODY_BYTES_MAX: Final = 64 * 1024

_LINE: Final = re.compile(rb"(GET|PUT|POST|DELETE) (/v2/keys(?:[/?][!-~]*)?) HTTP/1\.1\r\n")
# Header lines that every reader reads alike; others are for aiohttp to refuse.
_HEADERS: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9a-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*\r\n")
# Headers that change what happens to the connection or the answer.
_SPECIAL: Final = re.compile(
    rb"\n(?:(?:expect|upgrade|te|trailer):|connection:(?![ \t]*keep-alive[ \t]*\r?\n))"
)
_CONTENT_TYPE: Final = re.compile(rb"\ncontent-type:[ \t]*([^\r\n]*)")


class Ticket(NamedTuple):
    """An admitted request, its body apart."""

    method: str
    path: bytes
    query: bytes
    content_type: str


class Asks(Protocol):
    """The handler behind the lane."""

    def ask(self, ticket: Ticket, body: bytes, done: Callable[[Response], None]) -> bool:
        """Have `done` called with the answer, now or later; False if this lane can't serve it."""


def admit(head: bytes, lowered: bytes) -> Ticket | None:
    """Return the ticket of a request that may take the lane.

    `lowered` is the head in lower case.
    """
    line = _LINE.match(head)
    if line is None or _HEADERS.fullmatch(lowered, line.end()) is None:
        return None
    if _SPECIAL.search(lowered) is not None:
        return None
    path, query = target.split(line[2])
    if target.clean(path) != path:
        return None
    found = _CONTENT_TYPE.search(lowered)
    content_type = ""
    if found is not None:
        # As it was sent: what is wrong with it may be quoted.
        content_type = head[found.start(1) : found.end(1)].decode("latin-1").rstrip(" \t")
    return Ticket(line[1].decode(), path, query, content_type)
