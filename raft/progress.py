"""What a leader knows of one follower, and how much it may send it (etcd's `Progress`).

Laws:

* *Probing*: nobody knows where the logs agree, so one append is sent and its answer awaited.
* *Replicating*: appends follow each other without waiting, up to a window of bytes on their way.
* *Installing*: the log no longer reaches back to what the follower lacks; a snapshot is on its way
  and no append is.
* What was on its way is lost with the connection: a new one begins with probing.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# Bytes of entries on their way to one follower.
WINDOW_BYTES: Final = 4 << 20

PROBING: Final = "StateProbe"
REPLICATING: Final = "StateReplicate"
INSTALLING: Final = "StateSnapshot"


class Progress:
    """One follower of a leader."""

    __slots__ = (
        "_in_flight",
        "_in_flight_bytes",
        "_probed",
        "_sent_ns",
        "is_full",
        "probe_index",
        "state",
        "told_commit",
    )

    def __init__(self) -> None:
        self.state = PROBING
        # The entry before the latest probe.
        self.probe_index = 0
        # The commit index that it was sent last.
        self.told_commit = 0
        # It has no room for what it was sent.
        self.is_full = False
        self._probed = False
        # (last index, bytes) of appends that have no answer yet.
        self._in_flight: deque[tuple[int, int]] = deque()
        self._in_flight_bytes = 0
        self._sent_ns = 0

    @property
    def may_send(self) -> bool:
        """Whether another append may be sent."""
        if self.state == REPLICATING:
            return self._in_flight_bytes < WINDOW_BYTES
        return self.state == PROBING and not self._probed

    def sent(self, prev_index: int, last_index: int, size_bytes: int, now_ns: int) -> None:
        """An append with the entries behind `prev_index` up to `last_index` has been sent."""
        if self.state == PROBING:
            self._probed, self.probe_index = True, prev_index
        if size_bytes:
            if not self._in_flight:
                self._sent_ns = now_ns
            self._in_flight.append((last_index, size_bytes))
            self._in_flight_bytes += size_bytes

    def acknowledged(self, index: int, now_ns: int) -> int | None:
        """The follower has all up to `index`; return how long the oldest answer took, in ns."""
        self.is_full = False
        if self.state == PROBING:
            self.state, self._probed = REPLICATING, False
        took_ns = None
        while self._in_flight and self._in_flight[0][0] <= index:
            self._in_flight_bytes -= self._in_flight.popleft()[1]
            took_ns = now_ns - self._sent_ns
        if took_ns is not None:
            self._sent_ns = now_ns
        return took_ns

    def probe(self) -> None:
        """Find out anew where the logs agree."""
        self.state, self._probed = PROBING, False
        self._in_flight.clear()
        self._in_flight_bytes = 0

    def install(self) -> None:
        """A snapshot is needed."""
        self.probe()
        self.state = INSTALLING

    def is_stuck(self, since_ns: int) -> bool:
        """Whether what is on its way has had no answer since a moment."""
        return bool(self._in_flight) and self._sent_ns < since_ns

    def beat(self) -> None:
        """A heartbeat has gone by: a probe without an answer may be repeated."""
        self._probed = False
