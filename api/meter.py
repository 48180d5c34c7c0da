"""Counts of what the HTTP side does, kept as plain numbers so that counting costs nothing.

/metrics turns them into Prometheus text when somebody asks (`api.metrics`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

# etcd's buckets for requests and syncs: 0.5 ms x 2^k and 1 ms x 2^k.
REQUEST_BUCKETS_S: Final = tuple(0.0005 * 2**k for k in range(13))
SYNC_BUCKETS_S: Final = tuple(0.001 * 2**k for k in range(14))


class Histogram:
    """Counts observations by bucket."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus wants them."""
        buckets, seen = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            seen += count
            buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(seen)))
        return buckets


class Meter:
    """Everything counted per process."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.failed: Counter[tuple[str, int]] = Counter()
        self.durations: dict[str, Histogram] = {}
        self.health: Counter[bool] = Counter()
        self.watch_requests = 0
        self.syncs = Histogram(SYNC_BUCKETS_S)
        self.snapshots = Histogram(SYNC_BUCKETS_S)

    def succeeded(self, method: str, took_s: float) -> None:
        histogram = self.durations.get(method)
        if histogram is None:
            histogram = self.durations[method] = Histogram(REQUEST_BUCKETS_S)
        histogram.observe(took_s)
