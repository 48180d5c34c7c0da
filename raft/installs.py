"""Snapshots on their way from a leader to a member that the log can no longer help.

Laws:

* The newest finished snapshot is sent, in parts of bounded size, a few of them ahead of the
  receiver's answers; if none reaches up to where the log begins, one is taken first.
* The receiver writes a file of its own and acts on it only when all of it is there, checked and
  durable: file, then the mark in the journal, then log and state (raft/snapshots, raft/driver).
* Reading, writing and decoding happen in threads; the event loop only passes parts on.
* One transfer a member at a time; it ends with the term, the connection or a mistake, and leaves
  nothing behind. The leader then begins a new one.
* A member that cannot write one, for its disk is full, is tried less and less often, and either
  side's log says so once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from crc32c import crc32c

from raft.errors import in_words
from raft.messages import (
    GIVEN_UP,
    PART_BYTES_MAX,
    UNABLE,
    SnapshotBegin,
    SnapshotPart,
    SnapshotTaken,
)
from raft.snapshots import CHUNK_MAX_BYTES, SnapshotMeta

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from raft.engine import Engine
    from raft.log import Log
    from raft.machine import StateMachine
    from raft.messages import Message
    from raft.snapshots import SnapshotStore, SnapshotWriter

# Parts sent ahead of the answers.
_AHEAD: Final = 16
# A transfer that failed is not begun again at once, and one without an answer is given up.
_RETRY_S: Final = 0.5
_PAUSE_MAX_S: Final = 8.0
_SILENCE_S: Final = 30.0

_logger = logging.getLogger("raft")


class _GivenUp(Exception):
    """The transfer has no future; the message says why."""


class Sender:
    """The leader's side."""

    def __init__(
        self,
        engine: Engine,
        log: Log,
        snapshots: SnapshotStore,
        *,
        send: Callable[[int, Message], bool],
        take_snapshot: Callable[[], Awaitable[None]],
    ) -> None:
        """`take_snapshot` comes back when one has been taken, or could not be."""
        self._engine = engine
        self._log = log
        self._snapshots = snapshots
        self._send = send
        self._take_snapshot = take_snapshot
        self._transfers: dict[int, _Transfer] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._number = 0
        # By member that could not write one: how long it is left alone, and until when, in s of
        # the loop's time.
        self._pauses: dict[int, tuple[float, float]] = {}

    def update(self) -> None:
        """Begin the transfers that are wanted, and end those that are not."""
        wanted = self._engine.leading.wants_snapshot() if self._engine.is_leader else []
        loop = asyncio.get_running_loop()
        for member in wanted:
            if member not in self._tasks and self._pauses.get(member, (0, 0))[1] <= loop.time():
                self._number += 1
                transfer = _Transfer(self._engine.term, self._number)
                self._transfers[member] = transfer
                self._tasks[member] = loop.create_task(self._run(member, transfer))
        for member, transfer in self._transfers.items():
            if member not in wanted or transfer.term != self._engine.term:
                transfer.end("it is not wanted any more")

    def disconnected(self, member: int) -> None:
        """What was on its way to a member is lost."""
        self._pauses.pop(member, None)
        if member in self._transfers:
            self._transfers[member].end("the connection is gone")

    def taken(self, member: int, message: SnapshotTaken) -> None:
        """The receiver has taken parts, or gives up."""
        transfer = self._transfers.get(member)
        if transfer is not None and transfer.is_that_of(message):
            if message.number == UNABLE:
                self._leave_alone(member)
            if message.number < 0:
                transfer.end("the receiver gave it up")
            else:
                transfer.taken(message.number)

    def _leave_alone(self, member: int) -> None:
        if member not in self._pauses:
            words = "member %x cannot write the snapshot, its own log says why: it is tried again"
            _logger.warning(words, member)
        pause_s = min(2 * self._pauses.get(member, (_RETRY_S, 0))[0], _PAUSE_MAX_S)
        self._pauses[member] = pause_s, asyncio.get_running_loop().time() + pause_s

    @property
    def needed_from(self) -> int | None:
        """The index from which on the log must stay for those who are being sent a snapshot."""
        return min((transfer.index for transfer in self._transfers.values()), default=None)

    async def stop(self) -> None:
        """End all transfers."""
        for transfer in self._transfers.values():
            transfer.end("the server stops")
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _run(self, member: int, transfer: _Transfer) -> None:
        try:
            meta = await self._transmit(member, transfer)
            _logger.info("sent the snapshot at index %d to member %x", meta.index, member)
            self._pauses.pop(member, None)
            await transfer.wait_for_end()
        except _GivenUp as reason:
            if member not in self._pauses:
                _logger.info("stopped sending a snapshot to member %x: %s", member, reason)
        except Exception as error:
            _logger.error("could not send a snapshot to member %x: %s", member, error)
        finally:
            del self._transfers[member]
            await asyncio.sleep(_RETRY_S)
            del self._tasks[member]

    async def _transmit(self, member: int, transfer: _Transfer) -> SnapshotMeta:
        newest = await asyncio.to_thread(self._snapshots.newest)
        if newest is None or newest[0].index < self._log.first_index:
            await self._take_snapshot()
            newest = await asyncio.to_thread(self._snapshots.newest)
        if newest is None or newest[0].index < self._log.first_index:
            raise _GivenUp("there is none to send yet")
        meta, chunks = newest
        transfer.index = meta.index
        begin = SnapshotBegin(
            transfer.term, transfer.number, meta.index, meta.term, meta.config, meta.commands
        )
        self._pass_on(member, begin)
        crc = number = 0
        while (chunk := await asyncio.to_thread(_next, chunks)) is not None:
            for offset in range(0, len(chunk) or 1, PART_BYTES_MAX):
                data = chunk[offset : offset + PART_BYTES_MAX]
                await transfer.wait_for_room(number)
                ends_chunk = offset + PART_BYTES_MAX >= len(chunk)
                part = SnapshotPart(transfer.term, transfer.number, number, data, ends_chunk)
                self._pass_on(member, part)
                crc = crc32c(data, crc)
                number += 1
        last = SnapshotPart(
            transfer.term, transfer.number, number, b"", ends_chunk=False, last=True, crc=crc
        )
        self._pass_on(member, last)
        await transfer.wait_for(number)
        return meta

    def _pass_on(self, member: int, message: Message) -> None:
        if not self._send(member, message):
            raise _GivenUp("the connection takes no more")


class _Transfer:
    """One transfer as its sender sees it."""

    def __init__(self, term: int, number: int) -> None:
        self.term = term
        self.number = number
        # Up to where it reaches; until that is known, everything is needed.
        self.index = 0
        self._taken = -1
        self._ended: str | None = None
        self._changed = asyncio.Event()

    def is_that_of(self, message: SnapshotTaken) -> bool:
        """Whether a message is about it."""
        return (self.term, self.number) == (message.term, message.transfer)

    def taken(self, number: int) -> None:
        """Parts up to `number` have been taken."""
        self._taken = max(self._taken, number)
        self._changed.set()

    def end(self, reason: str) -> None:
        """Stop it."""
        self._ended = self._ended or reason
        self._changed.set()

    async def wait_for_room(self, number: int) -> None:
        """Wait until part `number` may be sent."""
        await self.wait_for(number - _AHEAD)

    async def wait_for(self, number: int) -> None:
        """Wait until part `number` was taken; raises _GivenUp."""
        while True:
            if self._ended is not None:
                raise _GivenUp(self._ended)
            if self._taken >= number:
                return
            await self._wait()

    async def wait_for_end(self) -> None:
        """Wait until the member does not want it any more; raises _GivenUp after a silence."""
        while self._ended is None:
            await self._wait()

    async def _wait(self) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(_SILENCE_S):
                await self._changed.wait()
        except TimeoutError:
            raise _GivenUp(f"no answer for {_SILENCE_S:.0f} s") from None


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)


class Receiver:
    """The follower's side."""

    def __init__(
        self,
        engine: Engine,
        snapshots: SnapshotStore,
        machine: StateMachine[object],
        *,
        send: Callable[[int, Message], bool],
        install: Callable[[SnapshotMeta, object], bool],
        on_installed: Callable[[SnapshotMeta], None],
    ) -> None:
        """`install` is the driver's; `on_installed` is told of a snapshot that was."""
        self._engine = engine
        self._snapshots = snapshots
        self._machine = machine
        self._send = send
        self._install = install
        self._on_installed = on_installed
        self._reception: _Reception | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        # Why the last one could not be received, as it was told.
        self._trouble = ""

    def received(self, member: int, message: SnapshotBegin | SnapshotPart) -> None:
        """A snapshot begins, or goes on."""
        if message.term < self._engine.term or self._stopping:
            return
        if isinstance(message, SnapshotBegin):
            self._begin(member, message)
            return
        reception = self._reception
        if reception is not None and reception.is_of(member, message):
            reception.take(message)
        else:
            self._send(member, SnapshotTaken(message.term, message.transfer, GIVEN_UP))

    def _begin(self, member: int, begin: SnapshotBegin) -> None:
        if begin.index <= self._engine.commit_index:
            # What it covers is committed here: no need for it.
            self._engine.following.acknowledge(member, begin.index)
            return
        if self._task is not None:
            # Whoever sends this one will send it again when the other has come to its end.
            if self._reception is not None and self._reception.is_of(member, begin):
                return
            self._give_up("another one has begun")
            self._send(member, SnapshotTaken(begin.term, begin.transfer, GIVEN_UP))
            return
        self._reception = _Reception(member, begin)
        self._task = asyncio.get_running_loop().create_task(self._run(self._reception))

    def _give_up(self, reason: str) -> None:
        if self._reception is not None:
            self._reception.parts.put_nowait(reason)

    def disconnected(self, member: int) -> None:
        """What was on its way from a member is lost."""
        if self._reception is not None and self._reception.member == member:
            self._give_up("the connection is gone")

    def expire(self) -> None:
        """Let time pass: a transfer of an earlier term comes to nothing."""
        if self._reception is not None and self._reception.begin.term < self._engine.term:
            self._give_up("another term has begun")

    async def stop(self) -> None:
        """End the transfer that is under way."""
        self._stopping = True
        self._give_up("the server stops")
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self, reception: _Reception) -> None:
        begin = reception.begin
        try:
            meta = SnapshotMeta(begin.index, begin.index_term, begin.config, begin.commands)
            await self._write(reception, meta)
            state = await asyncio.to_thread(self._thaw, meta)
            if self._stopping:
                raise _GivenUp("the server stops")
            if self._install(meta, state):
                self._on_installed(meta)
                _logger.info("installed the snapshot at index %d", meta.index)
            self._trouble = ""
            self._engine.following.acknowledge(reception.member, meta.index)
        except _GivenUp as reason:
            _logger.info("stopped receiving a snapshot: %s", reason)
            self._send(reception.member, SnapshotTaken(begin.term, begin.transfer, GIVEN_UP))
        except Exception as error:
            trouble = in_words(error)
            if trouble != self._trouble:
                _logger.error("could not receive a snapshot: %s", trouble)
                self._trouble = trouble
            self._send(reception.member, SnapshotTaken(begin.term, begin.transfer, UNABLE))
        finally:
            self._reception = self._task = None

    async def _write(self, reception: _Reception, meta: SnapshotMeta) -> None:
        writer = await asyncio.to_thread(self._snapshots.begin, meta)
        try:
            await self._take_parts(reception, writer)
            await asyncio.to_thread(writer.commit)
        except BaseException:
            writer.abort()
            raise

    async def _take_parts(self, reception: _Reception, writer: SnapshotWriter) -> None:
        crc = number = 0
        chunk = bytearray()
        while True:
            part = await reception.next()
            if part.number != number:
                raise _GivenUp(f"part {part.number} came where {number} was due")
            if part.last:
                if part.crc != crc or chunk:
                    raise _GivenUp("its checksum does not match")
                # The answer to this part is that it is installed.
                self._send(reception.member, SnapshotTaken(part.term, part.transfer, part.number))
                return
            crc = crc32c(part.data, crc)
            chunk += part.data
            if len(chunk) > CHUNK_MAX_BYTES:
                raise _GivenUp("a chunk of it is too large")
            if part.ends_chunk:
                await asyncio.to_thread(writer.write, bytes(chunk))
                chunk.clear()
            self._send(reception.member, SnapshotTaken(part.term, part.transfer, number))
            number += 1

    def _thaw(self, meta: SnapshotMeta) -> object:
        """Read the file back: what is acted on is what is on disk."""
        newest = self._snapshots.newest()
        if newest is None or newest[0] != meta:
            raise _GivenUp("another snapshot is newer")
        return self._machine.thaw(newest[1])


class _Reception:
    """One transfer as its receiver sees it."""

    def __init__(self, member: int, begin: SnapshotBegin) -> None:
        self.member = member
        self.begin = begin
        # Parts, or the reason to give up. The sender is at most _AHEAD parts ahead.
        self.parts: asyncio.Queue[SnapshotPart | str] = asyncio.Queue()

    def is_of(self, member: int, message: SnapshotBegin | SnapshotPart) -> bool:
        """Whether a message belongs to it; a leader of a later term numbers anew."""
        begin = self.begin
        return self.member == member and (begin.term, begin.transfer) == (
            message.term,
            message.transfer,
        )

    def take(self, part: SnapshotPart) -> None:
        """Queue a part; a sender that does not wait for answers is not listened to."""
        if self.parts.qsize() < 2 * _AHEAD:
            self.parts.put_nowait(part)

    async def next(self) -> SnapshotPart:
        """The next part; raises _GivenUp."""
        try:
            async with asyncio.timeout(_SILENCE_S):
                part = await self.parts.get()
        except TimeoutError:
            raise _GivenUp(f"nothing came for {_SILENCE_S:.0f} s") from None
        if isinstance(part, str):
            raise _GivenUp(part)
        return part
