"""The entrance of the peer port: tells members from everyone else.

Laws:

* A connection stays here until its first bytes say whose it is. A request that begins as no
  member's does is handed to the HTTP server behind, with all that was read, and never comes back.
* A member's request is read whole (HEAD_BYTES_MAX) and judged once; then the connection is a link,
  or gets one answer and is closed.
* Who dawdles is cut off after HEAD_S, and at most WAITING_MAX can: one more, and the one that came
  first goes. A member needs a round trip, so those who only sit here cannot keep it out.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, cast

from raft.peers import handshake
from raft.peers.handshake import HEAD_BYTES_MAX, HEAD_END, REQUEST_START, Hello, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.records import Identity

HEAD_S: Final = 5.0
WAITING_MAX: Final = 64

_NOBODY_SERVES: Final = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_logger = logging.getLogger("rafthttp")


class Host(Protocol):
    """Who decides about a member that asks to be let in."""

    def admit(self, hello: Hello, transport: asyncio.Transport) -> None:
        """Answer and take the connection over; or raise Refusal."""


class Entrance:
    """Everyone who has connected and not yet said what for."""

    def __init__(
        self, identity: Identity, host: Host, fallback: Callable[[], asyncio.Protocol] | None
    ) -> None:
        self._identity = identity
        self._host = host
        self._fallback = fallback
        # In the order in which they came.
        self._waiting: dict[Visitor, None] = {}
        self._is_closed = False
        self._last_words = ""

    def protocol(self) -> Visitor:
        """Return the protocol of a new connection."""
        return Visitor(self)

    def close(self) -> None:
        """Let nobody in any more."""
        self._is_closed = True
        for visitor in list(self._waiting):
            visitor.cut_off()

    def came(self, visitor: Visitor) -> None:
        """Take note of one more; the one that has waited longest makes room."""
        if self._is_closed:
            visitor.cut_off()
            return
        self._waiting[visitor] = None
        if len(self._waiting) > WAITING_MAX:
            next(iter(self._waiting)).cut_off()

    def left(self, visitor: Visitor) -> None:
        """Strike a visitor off the list."""
        self._waiting.pop(visitor, None)

    def let_in(self, head: bytes, transport: asyncio.Transport) -> None:
        """Judge a member's request, and make a link of its connection or close it."""
        try:
            self._host.admit(handshake.read_request(head), transport)
        except Refusal as refusal:
            self.turn_away(refusal, transport)

    def turn_away(self, refusal: Refusal, transport: asyncio.Transport) -> None:
        """Say no, and say it in the log unless the last one was told the same."""
        words = f"{refusal.status.value}: {refusal.text}"
        if words != self._last_words and refusal.status != HTTPStatus.CONFLICT:
            _logger.warning("refused a connection on the peer port: %s", words)
            self._last_words = words
        identity = self._identity
        transport.write(handshake.decline(refusal, identity.cluster_id, identity.member_id))
        transport.close()

    def hand_on(self, data: bytes, transport: asyncio.Transport) -> None:
        """Give a connection that is no member's to the HTTP server, bytes replayed."""
        if self._fallback is None:
            transport.write(_NOBODY_SERVES)
            transport.close()
            return
        server = self._fallback()
        transport.set_protocol(server)
        server.connection_made(transport)
        if not transport.is_closing():
            server.data_received(data)


class Visitor(asyncio.Protocol):
    """One connection that has not said enough."""

    __slots__ = ("_deadline", "_entrance", "_head", "_transport")

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(HEAD_S, self.cut_off)
        self._entrance.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def data_received(self, data: bytes) -> None:
        transport, head = self._transport, self._head
        if transport is None:
            return
        searched = max(0, len(head) - len(HEAD_END) + 1)
        head += data
        if head[: len(REQUEST_START)] != REQUEST_START[: len(head)]:
            self._leave()
            self._entrance.hand_on(bytes(head), transport)
            return
        end = head.find(HEAD_END, searched, HEAD_BYTES_MAX)
        if end < 0 and len(head) < HEAD_BYTES_MAX:
            return
        self._leave()
        if end < 0:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            words = f"a head of more than {HEAD_BYTES_MAX} bytes"
            self._entrance.turn_away(Refusal(status, words), transport)
        elif len(head) > end + len(HEAD_END):
            words = "more than a handshake, before it was answered"
            self._entrance.turn_away(Refusal(HTTPStatus.BAD_REQUEST, words), transport)
        else:
            self._entrance.let_in(bytes(head), transport)

    def cut_off(self) -> None:
        """Close a connection that has not said what it is for."""
        transport = self._transport
        self._leave()
        if transport is not None:
            transport.abort()

    def _leave(self) -> None:
        self._transport = None
        self._entrance.left(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
