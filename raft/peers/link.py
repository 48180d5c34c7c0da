"""One connection with one member, from the handshake to its end.

Laws:

* Both directions: what is sent arrives in order until the link is over, and nothing after it.
* What one turn of the event loop sends goes out in one write, in a callback that the first `send`
  has scheduled: whoever schedules one afterwards, say to sync a disk, finds it sent.
* Bounded: of what was sent and is not on its way yet, QUEUE_BYTES_MAX; of what has arrived and is
  not complete, one frame.
* A link is over once, and says so once, unless its owner ended it. Bytes that are no frame or no
  message end it; so does a peer that says nothing for SILENT_CHECKS_MAX looks at it in a row. Looks
  are counted, not seconds, so that a pause of this process is not taken for one of the peer.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from raft.errors import in_words
from raft.messages import BadMessage, decode
from raft.peers.frames import HEADER_BYTES, PAYLOAD_BYTES_MAX, PING, BadFrame, FrameReader, header

if TYPE_CHECKING:
    from raft.messages import Message
    from raft.peers.collision import Origin
    from raft.peers.pace import Pace

QUEUE_BYTES_MAX: Final = 32 << 20
# More than this is not held back to the end of the turn.
_TOGETHER_BYTES_MAX: Final = 256 << 10
# With looks half an election time-out apart: two time-outs and a bit.
SILENT_CHECKS_MAX: Final = 5
# How long what is queued may take to go out when a link is let go of.
FINISH_S: Final = 1.0


@dataclass(slots=True)
class Counters:
    """Of all connections with a member: bytes in frames, and attempts to connect that failed."""

    sent_bytes: int = 0
    received_bytes: int = 0
    connect_failures: int = 0


class Owner(Protocol):
    """Who is told what happens on a link; never from inside `send`, `flush`, `abort`, `finish`."""

    def received(self, link: Link, message: Message) -> None: ...

    def lost(self, link: Link, reason: str) -> None: ...


class TooLarge(ValueError):
    """The message does not fit into a frame."""


class Link(asyncio.Protocol):
    """A connection that has been taken up."""

    __slots__ = (
        "_finished",
        "_flushing",
        "_heard",
        "_is_over",
        "_loop",
        "_owner",
        "_pace",
        "_queued",
        "_queued_bytes",
        "_reader",
        "_said",
        "_silent_checks",
        "_timer",
        "_transport",
        "counters",
        "member",
        "origin",
        "since_s",
    )

    def __init__(
        self, member: int, origin: Origin, owner: Owner, *, pace: Pace, counters: Counters
    ) -> None:
        self.member = member
        self.origin = origin
        self.counters = counters
        self._owner = owner
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        # The loop's time at which the link came to be.
        self.since_s = self._loop.time()
        self._transport: asyncio.Transport | None = None
        self._is_over = False
        self._finished: asyncio.Future[None] | None = None

        # Frames that wait for the end of this turn.
        self._queued: list[bytes] = []
        self._queued_bytes = 0
        self._flushing: asyncio.Handle | None = None

        self._reader = FrameReader()

        # Whether anything was received, and sent, since the last look.
        self._heard = True
        self._said = True
        self._silent_checks = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Take over a transport whose handshake is done."""
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio leaves this out for sockets that were made without a protocol number.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_protocol(self)
        self._timer = self._loop.call_later(self._pace.check_s, self._look)

    # -- sending ------------------------------------------------------------------------------

    def send(self, payload: bytes) -> bool:
        """Queue a payload, or answer False for want of room; raises TooLarge."""
        size = HEADER_BYTES + len(payload)
        if size > HEADER_BYTES + PAYLOAD_BYTES_MAX:
            raise TooLarge(f"a message of {len(payload)} bytes; {PAYLOAD_BYTES_MAX} are possible")
        if self._is_over or self.waiting_bytes + size > QUEUE_BYTES_MAX:
            return False
        self._queued += (header(payload), payload)
        self._queued_bytes += size
        if self._queued_bytes >= _TOGETHER_BYTES_MAX:
            self.flush()
        elif self._flushing is None:
            self._flushing = self._loop.call_soon(self.flush)
        return True

    @property
    def waiting_bytes(self) -> int:
        """What was sent and has not been taken by the kernel."""
        if self._transport is None:
            return self._queued_bytes
        return self._queued_bytes + self._transport.get_write_buffer_size()

    def flush(self) -> None:
        """Write what is queued."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._queued and self._transport is not None:
            data = b"".join(self._queued)
            self._queued.clear()
            self._queued_bytes = 0
            self._write(data)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._said = True
        self.counters.sent_bytes += len(data)
        self._transport.write(data)

    # -- receiving ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._heard = True
        self.counters.received_bytes += len(data)
        try:
            for payload in self._reader.feed(data):
                if payload:
                    self._owner.received(self, decode(payload))
                    if self._is_over:
                        return
        except (BadFrame, BadMessage) as error:
            self._lose(f"it sent what is no message: {error}")

    def eof_received(self) -> None:
        self._lose("closed by the peer")

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(in_words(exc) if exc is not None else "closed")
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _look(self) -> None:
        """Look whether the peer lives, and let it see that we do."""
        assert self._transport is not None
        self._silent_checks = 0 if self._heard else self._silent_checks + 1
        if self._silent_checks >= SILENT_CHECKS_MAX:
            silent_s = SILENT_CHECKS_MAX * self._pace.check_s
            self._lose(f"nothing was heard from it for {silent_s:.1f} s")
            return
        if not self._said and not self.waiting_bytes:
            self._write(PING)
        self._heard = self._said = False
        self._timer = self._loop.call_later(self._pace.check_s, self._look)

    # -- the end ------------------------------------------------------------------------------

    def _lose(self, reason: str) -> None:
        if not self._is_over:
            self.abort()
            self._owner.lost(self, reason)

    def _end(self) -> None:
        self._is_over = True
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abort(self) -> None:
        """End at once; what is queued is dropped."""
        self._end()
        self._queued.clear()
        self._queued_bytes = 0
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> asyncio.Future[None]:
        """End, but first send what is queued, for FINISH_S at the most; done when it is closed.

        Nothing is received any more. Our half is closed first and the peer's awaited: closing both
        while the peer still sends would cut off what it has not read yet.
        """
        self._finished = self._loop.create_future()
        transport = cast("asyncio.Transport", self._transport)
        self.flush()
        self._end()
        self._timer = self._loop.call_later(FINISH_S, transport.abort)
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
        return self._finished
