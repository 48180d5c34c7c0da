"""/v2/stats: self, leader, store (contract/cluster.md section 5.1)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import orjson

from api.answers import json, message, method_not_allowed
from kvstore.gojson import rfc3339

if TYPE_CHECKING:
    from api.backend import Backend
    from api.exchange import Answer, Request
    from raft.traffic import Flow, Follower

METHODS: Final = ("GET",)
_NS_PER_S: Final = 1_000_000_000
# What etcd begins the search for the lowest latency with.
_NEVER_REACHED_MS: Final = float(1 << 63)


class Stats:
    """The handlers of the three statistics."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def self_(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        backend, node = self._backend, self._backend.node
        status, traffic = node.status, node.traffic
        since_ns = node.leader_since_ns
        return json(
            {
                "name": backend.name,
                "id": backend.member_id,
                # DEVIATES: etcd says StateLeader on a follower that has lost its leader.
                "state": status.state,
                "startTime": local_time(backend.started_ns),
                "leaderInfo": {
                    "leader": f"{status.leader:x}" if status.leader else "",
                    "uptime": go_duration(max(0, time.time_ns() - since_ns)),
                    "startTime": local_time(since_ns),
                },
                **_flow("recv", traffic.receiving),
                **_flow("send", traffic.sending),
            },
            newline=False,
        )

    async def leader(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        node = self._backend.node
        if not node.status.is_leader:
            return message(403, "not current leader")
        me = node.identity.member_id
        followers = {
            f"{peer.id:x}": _follower(node.traffic.follower(peer.id))
            for peer in node.peers
            if peer.id != me
        }
        shown = {"leader": self._backend.member_id, "followers": dict(sorted(followers.items()))}
        return json(shown, newline=False)

    async def store(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        store = self._backend.machine.store
        return json({**store.stats.as_etcd(), "watchers": store.watchers.count}, newline=False)


def _flow(direction: str, flow: Flow) -> dict[str, object]:
    """Appends in one direction; a rate of nothing is left out."""
    messages, size_bytes = flow.rates()
    shown: dict[str, object] = {f"{direction}AppendRequestCnt": flow.count}
    if messages:
        shown[f"{direction}PkgRate"] = go_number(messages)
    if size_bytes:
        shown[f"{direction}BandwidthRate"] = go_number(size_bytes)
    return shown


def _follower(follower: Follower) -> dict[str, object]:
    minimum_ms = _NEVER_REACHED_MS if follower.minimum_ms is None else follower.minimum_ms
    return {
        "latency": {
            "current": go_number(follower.current_ms),
            "average": go_number(follower.average_ms),
            "standardDeviation": go_number(follower.standard_deviation_ms),
            "minimum": go_number(minimum_ms),
            "maximum": go_number(follower.maximum_ms),
        },
        "counts": {"fail": follower.fail, "success": follower.success},
    }


def go_number(value: float) -> orjson.Fragment:
    """A number as Go's encoding/json writes a float64."""
    if value and not 1e-6 <= abs(value) < 1e21:
        return orjson.Fragment(repr(value).replace("e-0", "e-"))
    text = f"{Decimal(repr(value)):f}"
    return orjson.Fragment(text.rstrip("0").rstrip(".") if "." in text else text)


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
