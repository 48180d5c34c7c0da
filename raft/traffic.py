"""What goes to and fro between members, counted as etcd counts it for /v2/stats.

Laws:

* Only appends count: heartbeats, votes and snapshots do not.
* A rate is over the last MESSAGES_MAX messages, from the first of them to the last, and nothing
  once the last is older than IDLE_NS: etcd's arithmetic, so that dashboards show what they always
  did.
* Pure: the clock is handed in.
"""

from __future__ import annotations

from collections import deque
from math import sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES_MAX: Final = 200
IDLE_NS: Final = 1_000_000_000
_NS_PER_S: Final = 1_000_000_000


class Flow:
    """Appends in one direction."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        # (when, size in bytes) of the newest messages.
        self._recent: deque[tuple[int, int]] = deque()
        self._recent_bytes = 0
        self.count = 0

    def add(self, size_bytes: int) -> None:
        """Count a message."""
        self.count += 1
        self._recent.append((self._now_ns(), size_bytes))
        self._recent_bytes += size_bytes
        if len(self._recent) > MESSAGES_MAX:
            self._recent_bytes -= self._recent.popleft()[1]

    def rates(self) -> tuple[float, float]:
        """Return messages and bytes a second; zeros while there is nothing to go by."""
        if not self._recent or self._now_ns() - self._recent[-1][0] > IDLE_NS:
            # What comes after a pause says nothing about the time before it.
            self._recent.clear()
            self._recent_bytes = 0
            return 0.0, 0.0
        took_ns = self._recent[-1][0] - self._recent[0][0]
        if not took_ns:
            return 0.0, 0.0  # etcd divides by zero here and then answers nothing
        seconds = took_ns / _NS_PER_S
        return len(self._recent) / seconds, self._recent_bytes / seconds


class Follower:
    """How well a member follows: latencies of its acknowledgements in ms, and counts."""

    def __init__(self) -> None:
        self.success = 0
        self.fail = 0
        self.current_ms = 0.0
        self.average_ms = 0.0
        self.minimum_ms: float | None = None  # None: never reached
        self.maximum_ms = 0.0
        self._average_square = 0.0

    def acknowledged(self, latency_ms: float) -> None:
        """Count an acknowledgement."""
        total = self.success * self.average_ms + latency_ms
        total_square = self.success * self._average_square + latency_ms * latency_ms
        self.success += 1
        self.current_ms = latency_ms
        self.average_ms = total / self.success
        self._average_square = total_square / self.success
        lowest = latency_ms if self.minimum_ms is None else self.minimum_ms
        self.minimum_ms = min(lowest, latency_ms)
        self.maximum_ms = max(self.maximum_ms, latency_ms)

    @property
    def standard_deviation_ms(self) -> float:
        """Of all latencies so far."""
        # Rounding may make this a little less than nothing.
        return sqrt(max(0.0, self._average_square - self.average_ms * self.average_ms))


class Traffic:
    """All that a member has sent to, received from and heard of the others."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """`now_ns` is a monotonic clock."""
        self.sending = Flow(now_ns)
        self.receiving = Flow(now_ns)
        self._followers: dict[int, Follower] = {}

    def sent(self, size_bytes: int) -> None:
        """As the leader, an append was sent."""
        self.sending.add(size_bytes)

    def received(self, leader: int, size_bytes: int) -> None:
        """As a follower, an append has come."""
        self.receiving.add(size_bytes)

    def acknowledged(self, member: int, latency_s: float) -> None:
        """As the leader, an append was acknowledged so long after it was sent."""
        # In whole ns, as etcd measures: 15.776162 rather than 15.776162999999999.
        self._counted(member).acknowledged(round(latency_s * _NS_PER_S) / 1e6)

    def failed(self, member: int) -> None:
        """As the leader, an append could not be sent."""
        self._counted(member).fail += 1

    def follower(self, member: int) -> Follower:
        """What is known of a member; all zeros if nothing is."""
        return self._followers.get(member) or Follower()

    def _counted(self, member: int) -> Follower:
        return self._followers.setdefault(member, Follower())
