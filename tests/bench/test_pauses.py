"""What the ticker notes comes back whole, and a step is timed where it happens."""

import gc
import json
import threading
import time
from collections.abc import Iterator

from bench.pauses import Late, Record
from bench.spans import LONG_NS, Spans


def late(pause_ms: float, *, cpu_ms: float = 0.0, runnable_ms: float = 0.0) -> Late:
    """A long pause."""
    return Late(pause_ms, cpu_ms, runnable_ms, [("freeze", 12.0)], [])


def test_a_record_survives_the_wire() -> None:
    """Goal: nothing is lost between the processes. Method: there and back as JSON."""
    record = Record(pauses_us=[10, 60_000], late=[late(60.0, cpu_ms=50.0)], snapshots=1)
    assert Record.from_json(json.loads(json.dumps(record.as_json()))) == record


def test_where_a_pause_went() -> None:
    """Goal: others' use of the core is told from ours. Method: the three parts of a pause."""
    record = Record(pauses_us=[60_000, 40_000, 100])
    record.late = [late(60.0, cpu_ms=10.0, runnable_ms=45.0), late(40.0, cpu_ms=40.0)]
    assert record.max_ms == 60.0
    assert record.own_max_ms == 40.0
    assert record.late[0].blocked_ms == 5.0
    assert [one.pause_ms for one in record.worst(1)] == [60.0]


def test_only_long_steps_of_the_main_thread_are_kept() -> None:
    """Goal: steps name the loop's own time. Method: a short one, a long one, one elsewhere."""
    spans = Spans()

    def busy(duration_ns: int) -> None:
        end_ns = time.perf_counter_ns() + duration_ns
        while time.perf_counter_ns() < end_ns:
            pass

    timed = spans.timed("busy", busy)
    timed(0)
    timed(2 * LONG_NS)
    other = threading.Thread(target=timed, args=(2 * LONG_NS,))
    other.start()
    other.join()
    assert [name for name, _took_ns in spans.take()] == ["busy"]
    assert spans.counts["busy"] == 2
    assert spans.longest_ns["busy"] >= 2 * LONG_NS
    assert spans.take() == []


def test_each_step_of_an_iterator_is_timed() -> None:
    """Goal: a snapshot's slices are timed one by one. Method: a generator of three."""
    spans = Spans()

    def slices(count: int) -> Iterator[int]:
        yield from range(count)

    assert list(spans.timed_steps("slice", slices)(3)) == [0, 1, 2]
    assert spans.counts == {"slice": 3, "slice, the last": 1}


def test_collections_are_timed() -> None:
    """Goal: the collector's pauses have a name. Method: one full collection."""
    spans = Spans()
    spans.watch_collector()
    try:
        gc.collect()
    finally:
        gc.callbacks.pop()
    assert spans.counts["full collection"] == 1
