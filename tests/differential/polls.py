"""Long polls open on both servers at once, and the comparison of what they deliver.

A poll is ended by a poke: a write to its key. How long to wait for an event is thereby known:
the reference shows whether the poke's event comes, and the other server is given ample time for
the same. Only a poll that stays silent on the reference costs a short fixed wait.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote_from_bytes

from tests.differential.deviations import (
    EXPIRED_LATE,
    explain_stream,
    same_expired,
)
from tests.differential.faults import Fault
from tests.differential.steps import Watch
from tests.oracle import Closed, Connection, Late, Request, Response
from tests.oracle.normalise import text_of

AMPLE_S = 5.0
SILENCE_S = 0.1
LATE_S = 0.5
"""What the reference gets in addition when the other server has said more."""
POKES_MAX = 4
NEVER = 1 << 32
"""No run reaches a waitIndex from here on."""


@dataclass(slots=True)
class Ear:
    """One server's end of a poll."""

    connection: Connection
    head: Response | None = None
    events: list[bytes] = field(default_factory=list)
    ended: bool = False

    def listen(self, fault: Fault, *, until_heard: Callable[[], bool], patience_s: float) -> None:
        """Takes in events until the answer ends, enough was heard, or patience is over."""
        until = time.monotonic() + patience_s
        while not self.ended and not until_heard():
            try:
                chunk = self.connection.chunk(until=until)
            except Late:
                return
            except Closed:
                self.ended = True
                self.events.append(b"(closed)")
                return
            if chunk is None:
                self.ended = True
            elif (heard := fault.event(chunk)) is not None:
                self.events.append(heard)

    def has(self, marker: bytes) -> bool:
        """Whether the last event is the marked one."""
        return bool(marker and self.events and marker in self.events[-1])


@dataclass(slots=True)
class Outcome:
    """What the comparison of a poll has found."""

    events: int = 0
    found: list[str] = field(default_factory=list)
    explained: Counter[str] = field(default_factory=Counter)


class Poll:
    """The same long poll on both servers."""

    def __init__(self, step: Watch, number: int) -> None:
        self.step = step
        self.number = number
        self.ears: list[Ear] = []
        self.is_poked = False
        self.marker = b""

    def open(self, connection: Connection) -> None:
        """Sends the poll to one more server."""
        connection.start(self.step.request)
        self.ears.append(Ear(connection))

    def heads(self, timeout_s: float) -> tuple[Response, Response]:
        """Both heads; an answer that is no poll is read to its end."""
        out = []
        for ear in self.ears:
            until = time.monotonic() + timeout_s
            try:
                head = ear.connection.head(until=until)
                if not head.chunked:
                    head = ear.connection.finish(head, "GET", until=until)
            except Closed as error:
                head = Response(0, "closed without a complete answer", (), error.got)
            except Late:
                head = Response(0, "no answer in time", ())
            ear.head = head
            out.append(head)
        return out[0], out[1]

    def close(self) -> None:
        """Hangs up on both servers."""
        for ear in self.ears:
            ear.connection.close()

    def pokes(self) -> Iterator[Request]:
        """The writes that shall end the poll, to be made until one counts."""
        key = self.step.key
        if _wait_index(self.step.request.target) >= NEVER:
            return
        if key == b"/":
            if self.step.recursive:
                yield _put(b"/poke")
            return
        for _ in range(POKES_MAX):
            yield _put(key)
            yield Request("DELETE", _target(key) + b"?recursive=true")
            yield _put(key)
            # A file stands in the way further up.
            yield Request("DELETE", _target(b"/" + key.split(b"/")[1]) + b"?recursive=true")

    def poked(self, request: Request, answer: Response) -> None:
        """Learns from the answer to a poke what event to wait for."""
        index = answer.header("X-Etcd-Index") or "0"
        reached = int(index) >= _wait_index(self.step.request.target)
        if request.method == "PUT" and answer.status in (200, 201) and reached:
            self.is_poked = True
            self.marker = b'"modifiedIndex":%s,' % index.encode()


def compare_polls(poll: Poll, fault: Fault) -> Outcome:
    """Listens on both servers and compares the events, and whether the answer has ended."""
    left, right = poll.ears
    none = Fault()
    left.listen(none, until_heard=lambda: left.has(poll.marker), patience_s=SILENCE_S)
    if left.ended or left.has(poll.marker):
        right.listen(fault, until_heard=lambda: right.has(poll.marker), patience_s=AMPLE_S)
    else:
        as_many = len(left.events)
        right.listen(fault, until_heard=lambda: len(right.events) >= as_many, patience_s=AMPLE_S)
        right.listen(fault, until_heard=lambda: right.has(poll.marker), patience_s=SILENCE_S)
    if right.ended or right.has(poll.marker):
        left.listen(none, until_heard=lambda: left.has(poll.marker), patience_s=LATE_S)
    outcome = Outcome(events=len(left.events))
    if left.ended != right.ended:
        outcome.found.append(f"answer ended: expected {left.ended}, got {right.ended}")
    if b"quorum=" in poll.step.request.target and left.ended and right.ended:
        left.events, right.events = [b"".join(left.events)], [b"".join(right.events)]
    if _same(left.events, right.events, outcome):
        return outcome
    if poll.step.stream and left.ended == right.ended:
        from_past = b"waitIndex=" in poll.step.request.target
        rule = explain_stream(left.events, right.events, from_past=from_past)
        if rule:
            outcome.explained[rule] += 1
            return outcome
    outcome.found.append(f"events: expected {left.events!r}, got {right.events!r}")
    return outcome


def _same(left: list[bytes], right: list[bytes], outcome: Outcome) -> bool:
    if len(left) != len(right):
        return False
    for one, other in zip(left, right, strict=True):
        if text_of(one, unsorted=True).equals(text_of(other, unsorted=True)):
            continue
        if not same_expired(one, other):
            return False
        outcome.explained[EXPIRED_LATE] += 1
    return True


def _put(key: bytes) -> Request:
    return Request.form("PUT", _target(key), b"value=poke")


def _target(key: bytes) -> bytes:
    return b"/v2/keys" + quote_from_bytes(key, safe="/").encode()


def _wait_index(target: bytes) -> int:
    _, found, rest = target.partition(b"waitIndex=")
    number = rest.split(b"&")[0]
    return int(number) if found and number.isdigit() else 0
