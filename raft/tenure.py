"""Who leads, as this member has noticed, and what begins and ends with a leader.

Laws:

* A leader's cluster time goes on from the newest stamp in its log, committed or not.
* Each leader is noticed once, and told in the log.
* Who hands leadership over waits until it leads no more, but not for ever.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from raft import batch

if TYPE_CHECKING:
    from raft.clock import Clock, ClusterClock
    from raft.engine import Engine
    from raft.log import Log

_logger = logging.getLogger("raft")


class Tenure:
    """The leader as last noticed; how many came, and when the last one did (wall clock, ns)."""

    def __init__(
        self, engine: Engine, log: Log, *, clock: Clock, cluster_clock: ClusterClock
    ) -> None:
        self._engine = engine
        self._log = log
        self._clock = clock
        self._cluster_clock = cluster_clock
        self._leader = 0
        self.changes = 0
        self.since_ns = clock.wall_ns()
        self._led_term = 0
        self._handed_over: asyncio.Future[None] | None = None

    def notice(self, applied_index: int) -> None:
        """Look at what the engine has come to, with so much of the log applied."""
        engine = self._engine
        if engine.is_leader and self._led_term != engine.term:
            self._led_term = engine.term
            self._cluster_clock.lead(self._last_stamp(applied_index))
        handed_over = self._handed_over
        if not engine.is_leader and handed_over is not None and not handed_over.done():
            handed_over.set_result(None)
        if engine.leader != self._leader:
            self._tell(engine.leader)

    def _tell(self, leader: int) -> None:
        engine, before, self._leader = self._engine, self._leader, leader
        if not leader:
            _logger.info("%x lost leader %x at term %d", engine.me, before, engine.term)
            return
        self.changes += 1
        self.since_ns = self._clock.wall_ns()
        if leader == engine.me:
            _logger.info("%x became leader at term %d", leader, engine.term)
        else:
            _logger.info("%x elected leader %x at term %d", engine.me, leader, engine.term)

    def _last_stamp(self, applied_index: int) -> int:
        for data, index, _term in reversed(self._log.entries):
            if index <= applied_index:
                break
            entry = batch.decode(data)
            if entry is not None:
                return max(entry.stamp_ns, self._cluster_clock.applied_ns)
        return self._cluster_clock.applied_ns

    async def handed_over(self, timeout_s: float) -> None:
        """Wait until this member, whose leadership is being handed over, leads no more."""
        self._handed_over = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._handed_over], timeout=timeout_s)
