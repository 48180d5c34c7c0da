"""One request and its answer, apart from any HTTP library.

Laws:

* Handlers get a `Request` and return an `Answer`; they neither read nor write a socket. So both the
  aiohttp lane and whatever may come beside it serve the same bytes.
* An answer is complete when it is returned: what it says was true when it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from api.watching import Feed


class Body(Protocol):
    """Reads a request's body."""

    async def read(self, limit_bytes: int) -> bytes | None:
        """Return the whole body, None if it is longer than `limit_bytes`.

        Raises BadBody if what is sent is no body.
        """


class BadBody(Exception):
    """The body's framing is broken, or the client went away in the middle of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose path is decoded and clean."""

    method: str
    path: bytes
    query: bytes
    header: Callable[[str], str | None]
    body: Body


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. `headers` are complete lines, each ended by CR LF."""

    status: int
    headers: bytes = b""
    body: bytes = b""
    close: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on: its head is sent at once, then each event as it happens.

    Whoever sends it must close the feed when the connection is gone. `once`: ends after one event.
    """

    headers: bytes
    feed: Feed
    once: bool


Answer: TypeAlias = Response | Stream
Handler: TypeAlias = "Callable[[Request], Awaitable[Answer]]"
