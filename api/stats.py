"""/v2/stats: self, leader, store (contract/cluster.md section 5.1)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from api.answers import json, message, method_not_allowed
from kvstore.gojson import rfc3339

if TYPE_CHECKING:
    from api.backend import Backend
    from api.exchange import Answer, Request

METHODS: Final = ("GET",)
_NS_PER_S: Final = 1_000_000_000


class Stats:
    """The handlers of the three statistics."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def self_(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        backend = self._backend
        status = backend.node.status
        # DEVIATES: etcd says StateLeader on a follower that has lost its leader.
        state = "StateLeader" if status.is_leader else "StateFollower"
        uptime_ns = time.time_ns() - backend.leader_since_ns
        return json(
            {
                "name": backend.name,
                "id": backend.member_id,
                "state": state,
                "startTime": local_time(backend.started_ns),
                "leaderInfo": {
                    "leader": f"{status.leader:x}" if status.leader else "",
                    "uptime": go_duration(max(0, uptime_ns)),
                    "startTime": local_time(backend.leader_since_ns),
                },
                "recvAppendRequestCnt": 0,
                "sendAppendRequestCnt": 0,
            },
            newline=False,
        )

    async def leader(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        if not self._backend.node.status.is_leader:
            return message(403, "not current leader")
        return json({"leader": self._backend.member_id, "followers": {}}, newline=False)

    async def store(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        store = self._backend.machine.store
        return json({**store.stats.as_etcd(), "watchers": store.watchers.count}, newline=False)


def local_time(unix_ns: int) -> str:
    """An instant in the local time zone, as Go's RFC3339Nano."""
    offset = datetime.fromtimestamp(unix_ns / _NS_PER_S, UTC).astimezone().utcoffset()
    seconds = int(offset.total_seconds()) if offset else 0
    text = rfc3339(unix_ns + seconds * _NS_PER_S).decode()
    if not seconds:
        return text
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{text[:-1]}{'-' if seconds < 0 else '+'}{hours:02d}:{minutes:02d}"


def go_duration(duration_ns: int) -> str:
    """A duration as Go's time.Duration prints it: 39.16443844s, 2.139961ms, 1h2m3.5s."""
    if duration_ns == 0:
        return "0s"
    for unit, unit_ns in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if duration_ns < unit_ns * 1000:
            return _decimal(duration_ns, unit_ns) + unit
    minutes, rest_ns = divmod(duration_ns, 60 * _NS_PER_S)
    hours, minutes = divmod(minutes, 60)
    text = _decimal(rest_ns, _NS_PER_S) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = f"{fraction:0{len(str(unit)) - 1}d}".rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
