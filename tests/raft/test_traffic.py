"""What is counted of the traffic between members, and how it is averaged."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.traffic import IDLE_NS, MESSAGES_MAX, Traffic

SECOND_NS = 1_000_000_000
ONE, TWO = 0x25D6CE33763C5524, 0x6AE27F9FA2984B1D


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now_ns = 5 * SECOND_NS

    def __call__(self) -> int:
        return self.now_ns


def test_rates_are_over_the_time_between_the_first_and_the_last_message() -> None:
    """Goal: etcd's arithmetic: messages, and bytes, by the time from the first to the last. Method:
    five messages of 100 bytes in 0.4 s; both directions are apart."""
    clock = Clock()
    traffic = Traffic(clock)
    for _ in range(5):
        traffic.sent(100)
        clock.now_ns += SECOND_NS // 10
    assert traffic.sending.count == 5
    assert traffic.sending.rates() == (12.5, 1250.0)
    assert (traffic.receiving.count, traffic.receiving.rates()) == (0, (0.0, 0.0))
    traffic.received(ONE, 7)
    clock.now_ns += SECOND_NS // 2
    traffic.received(TWO, 9)
    assert (traffic.receiving.count, traffic.receiving.rates()) == (2, (4.0, 32.0))


def test_only_the_newest_messages_count_for_a_rate() -> None:
    """Goal: at most 200 messages are averaged. Method: a slow beginning that falls out of them."""
    clock = Clock()
    traffic = Traffic(clock)
    for _ in range(50):
        traffic.sent(10_000)
        clock.now_ns += SECOND_NS
    for _ in range(MESSAGES_MAX):
        clock.now_ns += SECOND_NS // 1000
        traffic.sent(10)
    messages, size_bytes = traffic.sending.rates()
    assert messages == pytest.approx(MESSAGES_MAX / 0.199)
    assert size_bytes == pytest.approx(10 * messages)
    assert traffic.sending.count == 50 + MESSAGES_MAX
    assert len(traffic.sending._recent) == MESSAGES_MAX


def test_a_pause_ends_a_rate_and_nothing_before_it_counts_after() -> None:
    """Goal: 0 when idle for more than a second, and no average over the pause. Method: two
    messages, a pause, one message, another."""
    clock = Clock()
    traffic = Traffic(clock)
    traffic.sent(10)
    assert traffic.sending.rates() == (0.0, 0.0)  # a single one has no rate
    clock.now_ns += SECOND_NS // 2
    traffic.sent(10)
    clock.now_ns += IDLE_NS
    assert traffic.sending.rates() == (4.0, 40.0)
    clock.now_ns += 1
    assert traffic.sending.rates() == (0.0, 0.0)
    traffic.sent(10)
    clock.now_ns += SECOND_NS // 4
    traffic.sent(10)
    assert traffic.sending.rates() == (8.0, 80.0)
    assert traffic.sending.count == 4


@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=50), st.integers(0, 5))
def test_latencies_equal_the_textbook(latencies_s: list[float], failures: int) -> None:
    """Goal: current, average, standard deviation, minimum, maximum and counts of a follower.
    Method: against the statistics module."""
    traffic = Traffic(Clock())
    for latency_s in latencies_s:
        traffic.acknowledged(ONE, latency_s)
    for _ in range(failures):
        traffic.failed(ONE)
    in_ms = [round(latency_s * SECOND_NS) / 1e6 for latency_s in latencies_s]
    follower = traffic.follower(ONE)
    assert (follower.success, follower.fail) == (len(in_ms), failures)
    assert follower.current_ms == in_ms[-1]
    assert (follower.minimum_ms, follower.maximum_ms) == (min(in_ms), max(in_ms))
    assert follower.average_ms == pytest.approx(statistics.fmean(in_ms))
    spread = statistics.pstdev(in_ms)
    assert follower.standard_deviation_ms == pytest.approx(spread, rel=1e-3, abs=1e-3)


def test_who_was_never_reached_has_nothing() -> None:
    """Goal: zeros, and no minimum; asking leaves nothing behind. Method: one that failed, one that
    was never tried."""
    traffic = Traffic(Clock())
    traffic.failed(ONE)
    follower = traffic.follower(ONE)
    assert (follower.success, follower.fail, follower.minimum_ms) == (0, 1, None)
    assert follower.standard_deviation_ms == 0.0
    assert traffic.follower(TWO).minimum_ms is None
    assert list(traffic._followers) == [ONE]
