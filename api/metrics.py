"""/metrics: the server's numbers as Prometheus text, under etcd's names where etcd has them.

Law: nothing is computed until somebody asks; the hot paths only count.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from api.exchange import Answer, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from api.backend import Backend
    from api.meter import Histogram

# Store operations whose counters etcd exports by `action`.
_WRITES: Final = {
    "set": "sets",
    "create": "create",
    "update": "update",
    "delete": "delete",
    "compareAndSwap": "compare_and_swap",
    "compareAndDelete": "compare_and_delete",
}


class Metrics:
    """The handler of /metrics."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._registry: CollectorRegistry | None = None

    async def handle(self, request: Request) -> Answer:
        # Imported at the first question: it costs a tenth of the time a start may take.
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import generate_latest

        if self._registry is None:
            self._registry = CollectorRegistry()
            self._registry.register(_Collector(self._backend))
            ProcessCollector(registry=self._registry)
        content_type = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        return Response(200, content_type, generate_latest(self._registry))


class _Collector:
    """Reads the numbers off the backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collect(self) -> Iterator[Metric]:
        yield from self._agreement()
        yield from self._peers()
        yield from self._store()
        yield from self._http()
        yield from self._disk()

    def _agreement(self) -> Iterator[Metric]:
        node, driver = self._backend.node, self._backend.node.driver
        status = node.status
        yield _gauge("etcd_server_has_leader", "Whether a leader exists.", bool(status.leader))
        yield _gauge("etcd_server_is_leader", "Whether this member leads.", status.is_leader)
        seen = node.leader_changes
        yield _counter("etcd_server_leader_changes_seen", "Leader changes seen.", seen)
        committed, applied = status.commit_index, status.applied_index
        # These two are gauges in etcd as well, for all their names.
        yield _gauge("etcd_server_proposals_committed_total", "Entries committed.", committed)
        yield _gauge("etcd_server_proposals_applied_total", "Entries applied.", applied)
        yield _gauge("etcd_server_proposals_pending", "Proposals waiting.", driver.pending)
        failed = driver.proposals_failed
        yield _counter("etcd_server_proposals_failed", "Proposals without a reply.", failed)
        versions = self._backend.versions
        member_id = self._backend.member_id
        yield _labelled("etcd_server_id", "This member's id.", "server_id", member_id)
        yield _labelled("etcd_server_version", "Version.", "server_version", versions.etcd)
        cluster = versions.cluster.rpartition(".")[0]
        yield _labelled("etcd_cluster_version", "Version.", "cluster_version", cluster)
        yield _labelled("pyetcd_version", "Our own version.", "version", versions.ours)

    def _peers(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        sent = CounterMetricFamily("etcd_network_peer_sent_bytes", "Bytes sent.", labels=["To"])
        received = CounterMetricFamily(
            "etcd_network_peer_received_bytes", "Bytes received.", labels=["From"]
        )
        failures = CounterMetricFamily(
            "pyetcd_peer_connect_failures", "Attempts to connect that failed.", labels=["To"]
        )
        for member, counters in sorted(self._backend.peer_counters().items()):
            sent.add_metric([f"{member:x}"], counters.sent_bytes)
            received.add_metric([f"{member:x}"], counters.received_bytes)
            failures.add_metric([f"{member:x}"], counters.connect_failures)
        active = GaugeMetricFamily(
            "etcd_network_active_peers", "Live connections.", labels=["Local", "Remote"]
        )
        node, me = self._backend.node, self._backend.member_id
        for peer in node.peers:
            if peer.id != node.identity.member_id and node.connected_since(peer.id) is not None:
                active.add_metric([me, f"{peer.id:x}"], 1.0)
        yield from (sent, received, failures, active)

    def _store(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        store = self._backend.machine.store
        stats = store.stats
        reads = CounterMetricFamily("etcd_debugging_store_reads", "Reads.", labels=["action"])
        reads.add_metric(["get"], stats.gets_success)
        yield reads
        writes = CounterMetricFamily("etcd_debugging_store_writes", "Writes.", labels=["action"])
        for action, counter in _WRITES.items():
            writes.add_metric([action], getattr(stats, counter + "_success"))
        yield writes
        yield _counter("etcd_debugging_store_expires", "Keys expired.", stats.expire_count)
        asked = self._backend.meter.watch_requests
        yield _counter("etcd_debugging_store_watch_requests", "Watches asked for.", asked)
        yield _gauge("etcd_debugging_store_watchers", "Live watchers.", store.watchers.count)
        yield _gauge("pyetcd_store_nodes", "Nodes in the tree.", len(store.tree.nodes))
        yield _gauge("pyetcd_store_index", "The store's index.", store.index)

    def _http(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        meter = self._backend.meter
        received = CounterMetricFamily("etcd_http_received", "Requests.", labels=["method"])
        for method, count in meter.received.items():
            received.add_metric([method], count)
        yield received
        failed = CounterMetricFamily("etcd_http_failed", "Errors.", labels=["method", "code"])
        for (method, code), count in meter.failed.items():
            failed.add_metric([method, str(code)], count)
        yield failed
        durations = HistogramMetricFamily(
            "etcd_http_successful_duration_seconds", "Time to answer.", labels=["method"]
        )
        for method, histogram in meter.durations.items():
            durations.add_metric([method], histogram.cumulative(), histogram.total)
        yield durations
        for healthy, name in ((True, "success"), (False, "failures")):
            count = meter.health[healthy]
            yield _gauge(f"etcd_server_health_{name}", "Answers of /health.", count)

    def _disk(self) -> Iterator[Metric]:
        meter, journal = self._backend.meter, self._backend.node.journal
        name = "etcd_disk_wal_fsync_duration_seconds"
        yield _histogram(name, "Time of a journal sync.", meter.syncs)
        name = "etcd_debugging_snap_save_total_duration_seconds"
        yield _histogram(name, "Time of a snapshot.", meter.snapshots)
        yield _gauge("pyetcd_journal_bytes", "Bytes in journal files.", journal.size_bytes)
        yield _gauge("os_fd_used", "File descriptors in use.", len(os.listdir("/proc/self/fd")))


def _gauge(name: str, help_text: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, help_text, value=float(value))


def _counter(name: str, help_text: str, value: float) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(name, help_text, value=float(value))


def _labelled(name: str, help_text: str, label: str, value: str) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, help_text, labels=[label])
    family.add_metric([value], 1.0)
    return family


def _histogram(name: str, help_text: str, histogram: Histogram) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, help_text)
    family.add_metric([], histogram.cumulative(), histogram.total)
    return family
