"""Two servers side by side: carries out steps on both and compares what comes back.

The first server is the reference. Requests go to both at the same time, one after another, so
both see the same order; a server that does not answer gives an answer with status 0. A
difference is either explained by a rule, and counted, or kept with the step that showed it.
"""

import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from tests.differential.deviations import answers_differ, explain
from tests.differential.faults import Fault
from tests.differential.polls import Poll, compare_polls
from tests.differential.steps import Ask, Expire, Fill, Pipeline, Settle, Step, Tree, Watch, show
from tests.oracle import Closed, Connection, Late, Request, Response, Server
from tests.oracle.normalise import CHUNKED_ABOVE_BYTES, FRAMING_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_S = 15.0
EXPIRED_S = 15.0
CLOSING_S = 1.0
FILL_AT_ONCE = 50
WATCHERS_GONE_S = 3.0
TREES = (b"/v2/keys/", b"/v2/keys/_h", b"/v2/keys/a/_h", b"/v2/keys/b/_h", b"/v2/keys/_h/_h")
STATS = Request("GET", b"/v2/stats/store")


@dataclass(frozen=True, slots=True)
class Difference:
    """What two servers do not agree about, and the step that showed it."""

    number: int
    step: Step
    request: str
    lines: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What many differences with one reason have in common."""
        method = self.request.split(" ")[0]
        return " ".join([method, *(re.sub(r"[0-9]+", "N", line[:60]) for line in self.lines)])

    def __str__(self) -> str:
        return "\n    ".join([f"step {self.number}: {self.request}", *self.lines])


@dataclass(slots=True)
class Tally:
    """What a run has counted."""

    requests: int = 0
    events: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


class Side:
    """One server with its kept connection, and perhaps a planted fault in front of it."""

    def __init__(self, server: Server, fault: Fault) -> None:
        self.server = server
        self.fault = fault
        self._connection: Connection | None = None

    def start(self, data: bytes, *, fresh: bool) -> None:
        """Sends bytes on the kept connection, on a new one if asked for or needed."""
        if fresh:
            self.close()
        if self._connection is None:
            self._connection = self.server.connect()
        self._connection.send(data)

    def answer(self, method: str) -> Response:
        """The next answer; status 0 when there is none."""
        if self._connection is None:
            return _no_answer("connection ended before", b"")
        try:
            response = self._connection.answer(method, timeout_s=ANSWER_S)
            interim = []
            while response.status // 100 == 1:
                interim.append(("(interim)", f"{response.status} {response.reason}"))
                response = self._connection.answer(method, timeout_s=ANSWER_S)
            response = replace(response, headers=(*interim, *response.headers))
        except Closed as error:
            response = _no_answer("closed without a complete answer", error.got)
        except Late:
            response = _no_answer("no answer in time", b"")
        return self.fault.answer(response)

    def is_ended(self, *, timeout_s: float = 0.0) -> bool:
        """Whether the server has ended the kept connection."""
        return self._connection is None or self._connection.ended(timeout_s=timeout_s)

    def close(self) -> None:
        """Ends the kept connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Pair:
    """The reference and the server under test, through one run of steps."""

    def __init__(self, reference: Server, tested: Server, *, fault: Fault | None = None) -> None:
        self._left = Side(reference, Fault())
        self._right = Side(tested, fault or Fault())
        self._polls: list[Poll] = []
        self.number = 0
        self.index = 0
        self.tally = Tally()
        self.on_answer: Callable[[Response], None] = lambda _: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for poll in self._polls:
            poll.close()
        self._left.close()
        self._right.close()

    def do(self, step: Step) -> None:
        """Carries out one step on both servers."""
        self.number += 1
        match step:
            case Ask(request, fresh):
                self.ask(step, request, fresh=fresh)
            case Pipeline(requests):
                self._pipeline(step, requests)
            case Watch():
                self._watch(step)
            case Settle():
                self._settle(step)
            case Tree():
                self._tree(step)
            case Expire():
                self._expire(step)
            case Fill(writes):
                self._fill(step, writes)

    def ask(self, step: Step, request: Request, *, fresh: bool = False) -> Response:
        """One request to both; gives the reference's answer."""
        for side in (self._left, self._right):
            side.start(request.encoded(), fresh=fresh)
        return self._answers(step, request)

    def _answers(self, step: Step, request: Request) -> Response:
        expected = self._left.answer(request.method)
        got = self._right.answer(request.method)
        # An end that is not announced may be seen a moment later on one side.
        if expected.connection_open and not got.connection_open:
            expected = replace(
                expected, connection_open=not self._left.is_ended(timeout_s=CLOSING_S)
            )
        if got.connection_open and not expected.connection_open:
            got = replace(got, connection_open=not self._right.is_ended(timeout_s=CLOSING_S))
        for side, answer in ((self._left, expected), (self._right, got)):
            if not answer.connection_open:
                side.close()
        self._compare(step, request, expected=expected, got=got)
        return expected

    def _compare(self, step: Step, request: Request, *, expected: Response, got: Response) -> None:
        self.tally.requests += 1
        self.tally.statuses[expected.status] += 1
        self.on_answer(expected)
        self.index = int(expected.header("X-Etcd-Index") or 0) or self.index
        found = answers_differ(request, expected, got)
        if found and request.method == "HEAD":
            found = self._head_without_times(request, expected, got) or found
            found = [] if found == ["equal"] else found
        if not found:
            return
        rule = explain(request, expected, got)
        if rule:
            self.tally.explained[rule] += 1
        else:
            self.report(step, found, request)

    def has_drifted(self) -> bool:
        """Whether the trees, or the indexes, have become different."""
        answers = []
        for side in (self._left, self._right):
            if not side.server.running:
                return True
            with side.server.connect() as connection:
                answers.append(
                    connection.ask(Request("GET", TREES[0] + b"?recursive=true&sorted=1"))
                )
        return bool(answers_differ(Request("GET", b"?sorted=1"), answers[0], answers[1]))

    def report(self, step: Step, lines: list[str], request: Request | None = None) -> None:
        """Keeps a difference."""
        name = show(step) if request is None else show(Ask(request))
        self.tally.differences.append(Difference(self.number, step, name, tuple(lines)))

    def _head_without_times(self, request: Request, expected: Response, got: Response) -> list[str]:
        # HEAD's Content-Length counts the digits of times: it is held against each server's own
        # GET of the same moment, and the two GETs against each other.
        twin = replace(request, method="GET")
        lengths = []
        bodies = []
        for side, head in ((self._left, expected), (self._right, got)):
            with side.server.connect() as connection:
                body = connection.ask(twin).body
            length = head.header("Content-Length")
            is_long = len(body) > CHUNKED_ABOVE_BYTES
            lengths.append(length is None if is_long else length == str(len(body)))
            headers = tuple(p for p in head.headers if p[0].lower() not in FRAMING_HEADERS)
            bodies.append(replace(head, headers=headers, body=body))
        same = not answers_differ(request, bodies[0], bodies[1])
        return ["equal"] if all(lengths) and same and b'"expiration"' in bodies[0].body else []

    def _pipeline(self, step: Step, requests: tuple[Request, ...]) -> None:
        data = b"".join(request.encoded() for request in requests)
        for side in (self._left, self._right):
            side.start(data, fresh=False)
        for request in requests:
            self._answers(step, request)

    def _watch(self, step: Watch) -> None:
        poll = Poll(step, self.number)
        for side in (self._left, self._right):
            poll.open(side.server.connect())
        expected, got = poll.heads(ANSWER_S)
        got = self._right.fault.answer(got)
        self._compare(step, step.request, expected=expected, got=got)
        if expected.complete or got.complete:
            poll.close()
        else:
            self._polls.append(poll)

    def _settle(self, step: Step) -> None:
        polls, self._polls = self._polls, []
        try:
            for poll in polls:
                self._poke(step, poll)
            for poll in polls:
                outcome = compare_polls(poll, self._right.fault)
                self.tally.events += outcome.events
                self.tally.explained.update(outcome.explained)
                if outcome.found:
                    lines = [f"watch opened at step {poll.number}", *outcome.found]
                    self.report(step, lines, poll.step.request)
        finally:
            for poll in polls:
                poll.close()

    def _poke(self, step: Step, poll: Poll) -> None:
        """Writes the watched key until the write succeeds, a few times for a waitIndex ahead."""
        for request in poll.pokes():
            answer = self.ask(step, request)
            poll.poked(request, answer)
            if poll.is_poked:
                break

    def _tree(self, step: Step) -> None:
        for target in TREES:
            self.ask(step, Request("GET", target + b"?recursive=true&sorted=true"))
        if not self._polls:
            self._stats(step)

    def _stats(self, step: Step) -> None:
        # A closed poll leaves the counter of watchers a moment later.
        until = time.monotonic() + WATCHERS_GONE_S
        gone = b'"watchers":0}'
        while time.monotonic() < until:
            bodies = []
            for side in (self._left, self._right):
                with side.server.connect() as connection:
                    bodies.append(connection.ask(STATS).body)
            if all(body.endswith(gone) for body in bodies):
                break
        self.ask(step, STATS)

    def _fill(self, step: Step, writes: int) -> None:
        write = Request.form("PUT", b"/v2/keys/fill", b"value=x")
        for side in (self._left, self._right):
            with side.server.connect() as connection:
                for _ in range(writes // FILL_AT_ONCE):
                    connection.send(write.encoded() * FILL_AT_ONCE)
                    for _ in range(FILL_AT_ONCE):
                        connection.answer(write.method)
        self.ask(step, Request("GET", b"/v2/keys/fill"))

    def _expire(self, step: Expire) -> None:
        # A stream above the keys tells when they are gone, without a request that counts.
        target = b"/v2/keys%s?wait=true&stream=true&recursive=true" % step.base
        stream = Request("GET", target)
        with self._left.server.connect() as left, self._right.server.connect() as right:
            for connection in (left, right):
                connection.start(stream)
                connection.head()
            for request in step.requests:
                self.ask(step, request)
            for connection in (left, right):
                missing = _await_expiry(connection, step.keys)
                if missing:
                    self.report(step, [f"not expired after {EXPIRED_S} s: {missing!r}"])
        for index in range(self.index - len(step.requests) - len(step.keys), self.index + 1):
            past = b"/v2/keys/?wait=true&recursive=true&waitIndex=%d" % max(index, 1)
            self._watch(Watch(Request("GET", past), b"/", True, False))
        self._settle(step)
        for key in step.keys:
            self.ask(step, Request("GET", b"/v2/keys" + key))


def _await_expiry(connection: Connection, keys: tuple[bytes, ...]) -> list[bytes]:
    """Listens for the expiry of the keys; gives those that were not heard of in time."""
    missing = list(keys)
    until = time.monotonic() + EXPIRED_S
    while missing:
        try:
            event = connection.chunk(until=until) or b""
        except (Late, Closed):
            break
        if event.startswith(b'{"action":"expire"'):
            missing = [key for key in missing if b'"key":"%s"' % key not in event]
    return missing


def _no_answer(reason: str, got: bytes) -> Response:
    return Response(0, reason, (), got, None, False, False)
