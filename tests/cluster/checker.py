"""Holds every observation against the one sequence of events.

The index of an answer says of which state it tells, so nothing need be searched: each answer is
right or wrong by itself. The rules, each with a name that begins its violations:

* conflict: one index, one event, whoever tells it (a lost write's index is given to another).
* chain: each event follows from the state before it (prevNode, createdIndex, nothing gone twice).
* twice: a value is written once, whoever retried it; refused: a refused write is never seen.
* order: an answer's index is not below anything known to anyone before the request was sent: for
  writes, refusals and quorum reads this is linearizability, on all keys at once.
* read: what was read is what was there at the answer's index; a connection never goes back.
* watch: a watcher saw every event of its prefix, once, in order, over all its connections.
* final: at the end all members have the same state, and it is that of all events.
* served: outside the windows of trouble every request succeeds; none is left without an answer.
* ttl: nothing expires early, nor for an outage; nothing stays for long, times apart in which the
  cluster was so busy that answers took long: cluster time may stand still then, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.cluster.canon import Canon
from tests.cluster.history import (
    ROOT,
    Event,
    History,
    Kind,
    Node,
    Op,
    Outcome,
    Seen,
    Segment,
    Window,
)

TTL_EARLY_S = 0.1
"""What clocks and rounding may take off."""
TTL_LATE_S = 3.0
STALL_S = 0.3
"""An answer that takes longer tells of a stall: a disk or a processor that others have."""
OUTAGE_UNNOTICED_S = 2.0
"""So long a leader without followers may believe that time goes on."""
EXAMPLES_MAX = 4


@dataclass(slots=True)
class Verdict:
    """What was checked, and what was wrong."""

    violations: dict[str, list[str]] = field(default_factory=dict)
    checked: dict[str, int] = field(default_factory=dict)
    unsure: int = 0
    """Observations that could not be judged because of a hole."""

    def wrong(self, rule: str, words: str) -> None:
        """Note a violation."""
        self.violations.setdefault(rule, []).append(words)

    def count(self, rule: str) -> None:
        """Note that something was checked."""
        self.checked[rule] = self.checked.get(rule, 0) + 1

    @property
    def total(self) -> int:
        """How many violations there are."""
        return sum(len(found) for found in self.violations.values())

    def examples(self) -> Iterator[str]:
        """Some of each."""
        for rule, found in self.violations.items():
            for words in found[:EXAMPLES_MAX]:
                yield f"{rule}: {words}"
            if len(found) > EXAMPLES_MAX:
                yield f"{rule}: ... and {len(found) - EXAMPLES_MAX} more"


def check(history: History, canon: Canon, *, cluster_time: bool) -> Verdict:
    """Apply all rules. `canon` has been told every watcher's events; writes are told here."""
    verdict = Verdict()
    for op in history.ops:
        if op.event is not None:
            canon.tell(f"the answer of {op.member}", op.event, op.end)
    canon.seal(
        segment
        for watcher in history.watchers
        if watcher.prefix == ROOT
        for segment in watcher.segments
    )
    for words in canon.conflicts:
        verdict.wrong("conflict", words)
    for trouble in history.troubles:
        verdict.wrong("trouble", trouble)
    _chain(canon, history, verdict)
    _values(canon, history, verdict)
    _order(canon, history, verdict)
    _answers(canon, history, verdict)
    _connections(history, verdict)
    for watcher in history.watchers:
        _watcher(canon, watcher, verdict)
    _finals(canon, history, verdict)
    _served(history, verdict)
    _ttl(canon, history, verdict, cluster_time=cluster_time)
    return verdict


def _chain(canon: Canon, history: History, verdict: Verdict) -> None:
    state = dict(history.base)
    last: dict[str, int] = {}
    for index in canon.order:
        event = canon.events[index]
        verdict.count("chain")
        there = state.get(event.key)
        if event.removes:
            state.pop(event.key, None)
        else:
            state[event.key] = event.node
        known_at = last.get(event.key, there.modified if there else canon.base_index)
        last[event.key] = index
        if (words := _breaks(event, there)) is None:
            continue
        if canon.sure(known_at, index - 1):
            verdict.wrong("chain", f"index {index}, {event.action} {event.key}: {words}")
        else:
            verdict.unsure += 1


def _breaks(event: Event, there: Node | None) -> str | None:
    """What does not follow in an event from what was there."""
    if event.before != there:
        return f"follows {event.before}, but {there} was there"
    created = there.created if there and event.action in KEEPING else event.index
    if event.node.modified != event.index or event.node.created != created:
        return f"createdIndex {event.node.created} instead of {created}"
    if there is None and event.action in KEEPING:
        return "of nothing"
    if there is not None and event.action == "create":
        return f"over {there}"
    return None


KEEPING = frozenset({"update", "compareAndSwap", "delete", "compareAndDelete", "expire"})
"""The actions that need a node and keep its createdIndex."""


def _values(canon: Canon, history: History, verdict: Verdict) -> None:
    written: dict[str, int] = {}
    for index in canon.order:
        event = canon.events[index]
        value = event.node.value
        if event.removes or value is None:
            continue
        verdict.count("twice")
        other = written.setdefault(value, index)
        if other != index:
            verdict.wrong("twice", f"{value!r} was written at {other} and at {index}")
    for op in history.ops:
        if op.kind is not Kind.WRITE or op.value is None:
            continue
        if op.outcome in (Outcome.REFUSED, Outcome.NOT_SENT) and op.value in written:
            verdict.wrong("refused", f"{_words(op)}, yet it was done at {written[op.value]}")


def _order(canon: Canon, history: History, verdict: Verdict) -> None:
    known = [(seen, index) for index, seen in canon.first_seen.items()]
    known += [(op.end, op.index) for op in history.ops if op.index]
    known.sort()
    place, floor = 0, history.base_index
    strict = (Kind.WRITE, Kind.QUORUM)
    for op in sorted(history.ops, key=lambda one: one.start):
        while place < len(known) and known[place][0] < op.start:
            floor = max(floor, known[place][1])
            place += 1
        if not op.index or op.kind not in strict:
            continue
        verdict.count("order")
        least = floor + 1 if op.event else floor
        if op.index < least:
            verdict.wrong("order", f"{_words(op)}, but {floor} was known before it was asked")


def _answers(canon: Canon, history: History, verdict: Verdict) -> None:
    for op in history.ops:
        if op.outcome is Outcome.UNKNOWN or op.outcome is Outcome.NOT_SENT:
            continue
        if op.kind is Kind.WRITE:
            verdict.count("write")
            if words := _wrong_write(canon, op):
                verdict.wrong("write", f"{_words(op)}: {words}")
        elif op.kind in (Kind.READ, Kind.QUORUM):
            _read(canon, op, verdict)
        elif op.listing is not None:
            _listing(canon, op, verdict)


def _wrong_write(canon: Canon, op: Op) -> str | None:
    """What is wrong with a definite answer to a write."""
    if op.event is not None:
        if op.event.index != op.index:
            return f"X-Etcd-Index is not the event's {op.event.index}"
        if op.action != "post" and op.event.key != op.key:
            return f"it answers for {op.event.key}"
        if not op.event.removes and op.event.node.value != op.value:
            return f"it answers with {op.event.node.value!r}"
        if op.action == "post" and int(op.event.key.rpartition("/")[2]) != op.index:
            return f"the key's name is {op.event.key}"
        if (op.expect_index or op.expect_value) and not _agrees(op, op.event.before):
            return f"it compared with {op.event.before}"
        return None
    changed, there = canon.at(op.key, op.index)
    if canon.sure(changed, op.index):
        if op.error == KEY_NOT_FOUND and there is not None:
            return f"not found, but {there} was there"
        if op.error == COMPARE_FAILED and _agrees(op, there):
            return f"the comparison failed, but {there} was there"
    return None


KEY_NOT_FOUND, COMPARE_FAILED = 100, 101


def _agrees(op: Op, there: Node | None) -> bool:
    return (
        there is not None
        and op.expect_index in (0, there.modified)
        and op.expect_value in (None, there.value)
    )


def _read(canon: Canon, op: Op, verdict: Verdict) -> None:
    changed, there = canon.at(op.key, op.index)
    if not canon.sure(changed, op.index):
        verdict.unsure += 1
        return
    verdict.count(op.kind.value)
    if op.node != there:
        verdict.wrong("read", f"{_words(op)}: got {op.node}, but {there} was there")


def _listing(canon: Canon, op: Op, verdict: Verdict) -> None:
    if not canon.sure(canon.base_index, op.index) or op.listing is None:
        verdict.unsure += 1
        return
    verdict.count("listing")
    there = {
        key: node for key, node in canon.state(op.index).items() if key.startswith(op.key + "/")
    }
    if op.listing != there:
        verdict.wrong("read", f"{_words(op)}: {_difference(op.listing, there)}")


def _difference(found: dict[str, Node], there: dict[str, Node]) -> str:
    keys = [key for key in found.keys() | there.keys() if found.get(key) != there.get(key)]
    some = "; ".join(f"{key}: {found.get(key)} for {there.get(key)}" for key in sorted(keys)[:3])
    return f"{len(keys)} keys differ: {some}"


def _connections(history: History, verdict: Verdict) -> None:
    newest: dict[int, int] = {}
    for op in history.ops:
        if not op.connection or not op.index:
            continue
        if op.index < newest.get(op.connection, 0):
            verdict.wrong("read", f"{_words(op)} went back from {newest[op.connection]}")
        newest[op.connection] = max(op.index, newest.get(op.connection, 0))


def _watcher(canon: Canon, watcher: Seen, verdict: Verdict) -> None:
    below = watcher.prefix + "/"
    for segment in watcher.segments:
        expected = [
            index
            for index in canon.between(segment.after, segment.through)
            if canon.events[index].key.startswith(below)
        ]
        verdict.checked["watch"] = verdict.checked.get("watch", 0) + len(segment.indexes)
        if segment.indexes == expected:
            continue
        got, wanted = set(segment.indexes), set(expected)
        if missed := sorted(wanted - got):
            verdict.wrong("watch", f"{watcher.name} missed {_some(missed)} in {_span(segment)}")
        if extra := sorted(got - wanted):
            verdict.wrong("watch", f"{watcher.name} got {_some(extra)} outside {_span(segment)}")
        if len(got) < len(segment.indexes):
            verdict.wrong("watch", f"{watcher.name} got an event twice in {_span(segment)}")
        elif got == wanted:
            verdict.wrong("watch", f"{watcher.name} got events out of order in {_span(segment)}")


def _some(indexes: list[int]) -> str:
    return f"{len(indexes)} events ({', '.join(map(str, indexes[:5]))})"


def _span(segment: Segment) -> str:
    return f"({segment.after}, {segment.through}]"


def _finals(canon: Canon, history: History, verdict: Verdict) -> None:
    listings = list(history.finals.items())
    for name, op in listings:
        verdict.count("final")
        first_name, first = listings[0]
        if (op.index, op.listing) != (first.index, first.listing):
            assert op.listing is not None
            assert first.listing is not None
            verdict.wrong(
                "final",
                f"{name} at {op.index} and {first_name} at {first.index}: "
                f"{_difference(op.listing, first.listing)}",
            )
        _listing(canon, op, verdict)


def _served(history: History, verdict: Verdict) -> None:
    windows = sorted(history.windows, key=lambda one: one.start)
    for op in history.ops:
        if op.outcome in (Outcome.OK, Outcome.REFUSED):
            verdict.count("served")
            continue
        if op.late and not _excused(op, windows, silent=True):
            verdict.wrong("served", f"{_words(op)}: no answer at all, {_around(op, windows)}")
        elif not _excused(op, windows, silent=op.kind in (Kind.READ, Kind.LIST, Kind.WATCH)):
            verdict.wrong("served", f"{_words(op)}: failed without excuse, {_around(op, windows)}")


def _around(op: Op, windows: list[Window]) -> str:
    """The trouble it happened in, or after."""
    before = [window for window in windows if window.start <= op.end]
    if not before:
        return "before any trouble"
    last = before[-1]
    if op.start <= last.end:
        return f"{op.end - last.start:.2f} s into '{last.fault}'"
    return f"{op.start - last.end:.2f} s after '{last.fault}'"


def _excused(op: Op, windows: list[Window], *, silent: bool) -> bool:
    for window in windows:
        if window.start > op.end:
            return False
        if window.end < op.start:
            continue
        if op.member in window.silent:
            return True
        if not silent and (window.stalled is None or op.member in window.stalled):
            return True
    return False


def _ttl(canon: Canon, history: History, verdict: Verdict, *, cluster_time: bool) -> None:
    stalls = _stalls(history)
    last = max((final.start for final in history.finals.values()), default=0.0)
    for op in history.ops:
        if not op.ttl_s or op.event is None:
            continue
        end = _end_of(canon, op.event)
        if end is not None and end.action != "expire":
            continue
        verdict.count("ttl")
        due = op.start + op.ttl_s
        seen = last if end is None else canon.first_seen[end.index]
        late = seen - (op.end + op.ttl_s)
        if late > TTL_LATE_S and not _troubled(history, op.start, seen):
            excused_s = sum(_common(stall, (op.end, seen)) for stall in stalls)
            if late > TTL_LATE_S + excused_s:
                what = "has never expired" if end is None else f"expired {late:.2f} s late"
                verdict.wrong("ttl", f"{_words(op)} {what}")
        if end is None:
            continue
        if cluster_time:
            due += sum(_unpassed(outage, op.end, seen) for outage in history.outages)
        if seen < due - TTL_EARLY_S:
            verdict.wrong("ttl", f"{_words(op)} expired {due - seen:.2f} s too early")


def _stalls(history: History) -> list[tuple[float, float]]:
    """The times in which answers took long, without overlaps."""
    found: list[tuple[float, float]] = []
    for op in sorted(history.ops, key=lambda op: op.start):
        if op.end - op.start <= STALL_S:
            continue
        if found and op.start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], op.end)
        else:
            found.append((op.start, op.end))
    return found


def _common(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How long two times overlap."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _end_of(canon: Canon, event: Event) -> Event | None:
    """The next event of an event's key."""
    return next(
        (canon.events[index] for index in canon.of_key(event.key) if index > event.index), None
    )


def _unpassed(outage: tuple[float, float], start: float, end: float) -> float:
    """How much of an outage within a key's life certainly did not count."""
    return max(0.0, min(outage[1], end) - max(outage[0], start) - OUTAGE_UNNOTICED_S)


def _troubled(history: History, start: float, end: float) -> bool:
    return any(window.start < end and start < window.end for window in history.windows)


def _words(op: Op) -> str:
    what = f"{op.kind.value} {op.action} {op.key}".replace("  ", " ")
    told = f" at index {op.index}" if op.index else ""
    note = f" ({op.note})" if op.note else ""
    return f"{what} on {op.member} [{op.start:.3f}, {op.end:.3f}] {op.outcome.value}{told}{note}"
