"""The documented differences from etcd, each as one narrow rule with a name.

A rule says about one pair of answers whether the documented difference is all there is. What no
rule explains is a difference. docs/compatibility.md tells users about the same ones.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from tests.differential.steps import is_unsorted
from tests.oracle import Request, Response
from tests.oracle.normalise import differences, text_of

Judge: TypeAlias = Callable[[Request, Response, Response], bool]

SNIFFED_LINE_BYTES = 4000
REMOVALS = (b'{"action":"delete"', b'{"action":"compareAndDelete"', b'{"action":"expire"')
COUNTED_ALIKE = ("setsSuccess", "createSuccess", "createFail", "expireCount", "watchers")
COUNTED_HIGHER = ("getsSuccess", "getsFail", "setsFail")
"""etcd counts other things with them: look-ups of its own, creates that met a file."""
FAILURES_AS_SUCCESS = ("delete", "update", "compareAndSwap", "compareAndDelete")
"""etcd takes some failures, of which it counts each once, for successes (contract, cluster.md)."""
_CLOCKS = re.compile(rb'"(startTime|uptime)":"[^"]*"')


@dataclass(frozen=True, slots=True)
class Rule:
    """A documented difference of a single answer."""

    name: str
    explains: Judge


def _long_line(request: Request, expected: Response, got: Response) -> bool:
    """etcd resets a new connection whose first line is over 4 KiB; pyetcd serves it."""
    return expected.status == 0 and got.status > 0 and len(request.target) > SNIFFED_LINE_BYTES


def _start_times(request: Request, expected: Response, got: Response) -> bool:
    """/v2/stats/self tells when the process started."""
    if not request.target.endswith(b"/v2/stats/self"):
        return False
    plain, ours = (
        replace(one, body=_CLOCKS.sub(rb'"\1":"<time>"', one.body)) for one in (expected, got)
    )
    return not differences(plain, ours, ignore=frozenset({"content-length"}))


def _counters(request: Request, expected: Response, got: Response) -> bool:
    """/v2/stats/store: pyetcd's counters count one thing each."""
    if not request.target.endswith(b"/v2/stats/store") or expected.status != 200:
        return False
    bare = replace(got, body=expected.body)
    if differences(expected, bare, ignore=frozenset({"content-length"})):
        return False
    theirs, ours = json.loads(expected.body), json.loads(got.body)
    return (
        list(theirs) == list(ours)
        and all(theirs[name] == ours[name] for name in COUNTED_ALIKE)
        and all(theirs[name] >= ours[name] for name in COUNTED_HIGHER)
        and all(
            theirs[name + "Success"] >= ours[name + "Success"]
            and theirs[name + "Success"] + theirs[name + "Fail"]
            == ours[name + "Success"] + ours[name + "Fail"]
            for name in FAILURES_AS_SUCCESS
        )
    )


RULES: tuple[Rule, ...] = (
    Rule("a long first request line is served", _long_line),
    Rule("start times in /v2/stats/self", _start_times),
    Rule("counters in /v2/stats/store", _counters),
)

STREAM_REMOVAL_ONCE = "stream: a delete is delivered once"
STREAM_FROM_PAST = "stream from the past: all events, then live"
EXPIRED_LATE = "an expired node's ttl in the event"


def explain(request: Request, expected: Response, got: Response) -> str | None:
    """The name of the rule that covers the whole difference."""
    for rule in RULES:
        if rule.explains(request, expected, got):
            return rule.name
    return None


def explain_stream(expected: list[bytes], got: list[bytes], *, from_past: bool) -> str | None:
    """The rule that covers the difference between the events of two stream watches."""
    once = without_repeated_removals(expected)
    if _same(once, got):
        return STREAM_REMOVAL_ONCE
    if from_past and len(expected) <= 1 and _same(once, got[: len(once)]):
        return STREAM_FROM_PAST
    return None


def without_repeated_removals(events: list[bytes]) -> list[bytes]:
    """The events with each removal that is told twice in a row told once."""
    out: list[bytes] = []
    for event in events:
        if not (out and out[-1] == event and event.startswith(REMOVALS)):
            out.append(event)
    return out


def same_expired(expected: bytes, got: bytes) -> bool:
    """Whether two events are equal but for the ttl (absent, 0 or negative) of an expired node."""
    late = re.compile(rb',"ttl":-?\d+')
    return b'"action":"expire"' in expected and text_of(late.sub(b"", expected)).equals(
        text_of(late.sub(b"", got))
    )


def _same(left: list[bytes], right: list[bytes]) -> bool:
    return len(left) == len(right) and all(
        text_of(a).equals(text_of(b)) for a, b in zip(left, right, strict=True)
    )


def answers_differ(request: Request, expected: Response, got: Response) -> list[str]:
    """The plain differences of two answers to a request."""
    return differences(expected, got, unsorted=is_unsorted(request))
