"""Dialing one member, as often as it takes.

Laws:

* One attempt at a time: the member's URLs in turn, then a pause that doubles from round to round,
  with jitter, and starts anew behind a connection that lasted.
* An attempt that is given up is over at once: nothing that arrives on it afterwards counts.
* What goes wrong is logged when it changes, not each time.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

from raft.errors import in_words
from raft.peers import address, handshake
from raft.peers.address import Address, BadAddress
from raft.peers.handshake import HEAD_BYTES_MAX, HEAD_END, BadAnswer, Declined, Hello, Welcome

if TYPE_CHECKING:
    import random
    import ssl

    from raft.peers.link import Counters
    from raft.peers.pace import Pace

_logger = logging.getLogger("rafthttp")


class Caller(Protocol):
    """On whose behalf a member is dialed."""

    def hello(self, member: int) -> Hello:
        """Return what to say to the member, with a dial number of its own."""

    def welcomed(
        self, hello: Hello, welcome: Welcome, transport: asyncio.Transport, data: bytes
    ) -> None:
        """Take over a connection that is taken up; `data` has arrived on it already."""

    def disowned(self, member: int) -> None:
        """The member says that we have been removed."""


class Dialer:
    """Dials a member from `start` until there is a connection, or until `stop`."""

    def __init__(
        self,
        member: int,
        caller: Caller,
        *,
        pace: Pace,
        chance: random.Random,
        context: ssl.SSLContext | None,
        counters: Counters,
    ) -> None:
        # The next round uses these.
        self.urls: tuple[str, ...] = ()
        self._member = member
        self._caller = caller
        self._pace = pace
        self._chance = chance
        self._context = context
        self._counters = counters
        self._is_wanted = False
        self._task: asyncio.Task[None] | None = None
        self._attempt: Attempt | None = None
        # Rounds in a row without a connection that lasted.
        self._failures = 0
        self._trouble = ""

    @property
    def asked(self) -> int | None:
        """The number of the attempt whose request is out and not answered."""
        attempt = self._attempt
        return attempt.hello.dial if attempt is not None and attempt.is_asked else None

    def start(self) -> None:
        """Dial, unless that goes on already."""
        self._is_wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._dial())
            self._task.add_done_callback(self._ended)

    def stop(self) -> asyncio.Task[None] | None:
        """Give up what is under way; returns the task that ends with it."""
        self._is_wanted = False
        if self._attempt is not None:
            self._attempt.give_up()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    def lost(self, lasted_s: float) -> None:
        """Take note that a connection with the member, however it came to be, is no more."""
        self._failures = 0 if lasted_s >= self._pace.lived_s else self._failures + 1

    def welcomed(self, attempt: Attempt, welcome: Welcome, data: bytes) -> None:
        """Hand a connection over."""
        self._is_wanted = False
        self._trouble = ""
        self._caller.welcomed(attempt.hello, welcome, attempt.take(), data)

    def disowned(self) -> None:
        """Pass on that this member has been removed."""
        self._caller.disowned(self._member)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            words = f"a bug: peer {self._member:x} is not dialed any more"
            _logger.error(words, exc_info=error)
            context = {"message": words, "exception": error, "task": task}
            asyncio.get_running_loop().call_exception_handler(context)

    async def _dial(self) -> None:
        while self._is_wanted:
            await asyncio.sleep(self._pace.backoff_s(self._failures, self._chance.random()))
            self._failures += 1
            for url in self.urls:
                answer = await self._try(url)
                if isinstance(answer, Welcome):
                    break
                if answer is not None and answer.status == HTTPStatus.CONFLICT:
                    # It is just connecting to us, so it lives: look again soon.
                    self._failures = 1
                    break

    async def _try(self, url: str) -> Welcome | Declined | None:
        """Try one URL; None without an answer."""
        try:
            where = address.parse(url)
        except BadAddress as error:
            self._failed(url, str(error))
            return None
        attempt = self._attempt = Attempt(self, self._caller.hello(self._member), where)
        answer: Welcome | Declined | None = None
        try:
            async with asyncio.timeout(self._pace.timeout_s):
                await address.connect(where, lambda: attempt, self._context)
                answer = await attempt.answer
        except TimeoutError:
            attempt.trouble = f"no answer within {self._pace.timeout_s:.1f} s"
        except (OSError, BadAddress) as error:
            attempt.trouble = in_words(error)
        finally:
            attempt.give_up()
            if self._attempt is attempt:
                self._attempt = None
        if not isinstance(answer, Welcome):
            self._failed(url, attempt.trouble)
        return answer

    def _failed(self, url: str, trouble: str) -> None:
        self._counters.connect_failures += 1
        if trouble and trouble != self._trouble:
            _logger.warning("failed to connect to peer %x at %s: %s", self._member, url, trouble)
            self._trouble = trouble


class Attempt(asyncio.Protocol):
    """One attempt: connects, asks, and reads the answer."""

    def __init__(self, dialer: Dialer, hello: Hello, where: Address) -> None:
        self.hello = hello
        # What came of it, None if nothing did; `trouble` says why it was no welcome.
        self.answer: asyncio.Future[Welcome | Declined | None]
        self.answer = asyncio.get_running_loop().create_future()
        self.trouble = "the connection was closed without an answer"
        self.is_asked = False
        self._dialer = dialer
        self._where = where
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_over = False

    def give_up(self) -> None:
        """Close the connection, unless somebody has taken it over."""
        self._is_over = True
        self.is_asked = False
        if self._transport is not None:
            self.take().abort()

    def take(self) -> asyncio.Transport:
        """Take the connection over."""
        transport = cast("asyncio.Transport", self._transport)
        self._transport = None
        return transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._is_over:
            self.give_up()
            return
        self._transport.write(handshake.request(self.hello, self._where.authority))
        self.is_asked = True

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self.answer.done():
            self.trouble = in_words(exc)
        self._transport = None
        self._settle(None)

    def data_received(self, data: bytes) -> None:
        if self._is_over or self.answer.done():
            return
        head = self._head
        searched = max(0, len(head) - len(HEAD_END) + 1)
        head += data
        end = head.find(HEAD_END, searched, HEAD_BYTES_MAX)
        if end >= 0:
            end += len(HEAD_END)
            self._answered(bytes(head[:end]), bytes(head[end:]))
        elif len(head) >= HEAD_BYTES_MAX:
            self.trouble = "its answer is too long"
            self._settle(None)

    def _answered(self, head: bytes, rest: bytes) -> None:
        try:
            answer = handshake.read_answer(head)
        except BadAnswer as error:
            self.trouble = f"its answer makes no sense: {error}"
            self._settle(None)
            return
        self.trouble = self._trouble_with(answer)
        self._settle(answer if not self.trouble or isinstance(answer, Declined) else None)
        if isinstance(answer, Welcome):
            if not self.trouble:
                self._dialer.welcomed(self, answer, rest)
        elif self._is_from_whom_we_want(answer) and answer.status == HTTPStatus.GONE:
            self._dialer.disowned()

    def _is_from_whom_we_want(self, answer: Welcome | Declined) -> bool:
        hello = self.hello
        return (answer.cluster_id, answer.sender) == (hello.cluster_id, hello.wanted)

    def _trouble_with(self, answer: Welcome | Declined) -> str:
        """Say in what way this is not the connection we want; "" if it is, or soon will be."""
        hello = self.hello
        if answer.cluster_id is None or answer.sender is None:
            return "what answers there is no member"
        if answer.cluster_id != hello.cluster_id:
            got, want = answer.cluster_id, hello.cluster_id
            return f"request cluster ID mismatch (got {got:x} want {want:x})"
        if answer.sender != hello.wanted:
            return f"request member ID mismatch (got {answer.sender:x} want {hello.wanted:x})"
        if isinstance(answer, Welcome):
            return "" if answer.wanted == hello.sender else "its answer is meant for another member"
        if answer.status == HTTPStatus.GONE:
            return "it says that this member has been removed"
        if answer.status == HTTPStatus.CONFLICT:
            return ""
        if answer.status == HTTPStatus.LOCKED:
            return (
                "it says that another process is this member, and serves that one: stop this one,"
                " for what the other one acknowledges is in its data directory only"
            )
        return f"it declined with status {answer.status}"

    def _settle(self, answer: Welcome | Declined | None) -> None:
        self.is_asked = False
        if not self.answer.done():
            self.answer.set_result(answer)
