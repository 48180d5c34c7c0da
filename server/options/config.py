"""The configuration of a process: every option this server honours, typed and checked.

A `Config` is made once, by `options.load`, and is true: values are in range, URLs parsed, the
defaults that depend on other options filled in. It is what everything after the start reads.
"""

from dataclasses import dataclass
from pathlib import Path

from server.options.settings import Settings
from server.options.urls import Url

SNAPSHOT_COUNT = 100_000
"""What --snapshot-count=0 means: the default."""


@dataclass(frozen=True, slots=True)
class Config:
    """One field per option, named as the option is."""

    # member
    name: str
    data_dir: Path
    wal_dir: Path | None
    snapshot_count: int
    heartbeat_interval_ms: int
    election_timeout_ms: int
    listen_peer_urls: tuple[Url, ...]
    listen_client_urls: tuple[Url, ...]
    listen_metrics_urls: tuple[Url, ...]
    max_snapshots: int
    max_wals: int
    unsafe_no_fsync: bool
    force_new_cluster: bool
    # clustering
    initial_advertise_peer_urls: tuple[Url, ...]
    advertise_client_urls: tuple[Url, ...]
    initial_cluster: str
    """As given: it is parsed at bootstrap only, and ignored by a member that has data."""
    initial_cluster_state: str
    initial_cluster_token: str
    strict_reconfig_check: bool
    discovery: str
    discovery_fallback: str
    discovery_proxy: str
    discovery_srv: str
    # proxy
    proxy: str
    proxy_failure_wait_ms: int
    proxy_refresh_interval_ms: int
    proxy_dial_timeout_ms: int
    proxy_write_timeout_ms: int
    proxy_read_timeout_ms: int
    # security
    cert_file: str
    key_file: str
    trusted_ca_file: str
    client_cert_auth: bool
    auto_tls: bool
    peer_cert_file: str
    peer_key_file: str
    peer_trusted_ca_file: str
    peer_client_cert_auth: bool
    peer_auto_tls: bool
    cors: frozenset[str]
    """Origins, or `*` for all."""
    host_whitelist: frozenset[str]
    # logging
    logger: str
    log_level: str
    """One of etcd's levels; `debug` when --debug was given."""
    log_outputs: tuple[str, ...]
    # ours
    express_lane: bool
    # where it came from
    config_file: Path | None


def build(settings: Settings) -> Config:
    """The settings as a Config; they have been validated."""
    wal_dir, config_file = settings.text("wal-dir"), settings.text("config-file")
    return Config(
        name=settings.text("name"),
        data_dir=Path(settings.text("data-dir") or f"{settings.text('name')}.etcd"),
        wal_dir=Path(wal_dir) if wal_dir else None,
        snapshot_count=settings.number("snapshot-count") or SNAPSHOT_COUNT,
        heartbeat_interval_ms=settings.number("heartbeat-interval"),
        election_timeout_ms=settings.number("election-timeout"),
        listen_peer_urls=_each_once(settings.urls("listen-peer-urls")),
        listen_client_urls=_each_once(settings.urls("listen-client-urls")),
        listen_metrics_urls=_each_once(settings.urls("listen-metrics-urls")),
        max_snapshots=settings.number("max-snapshots"),
        max_wals=settings.number("max-wals"),
        unsafe_no_fsync=settings.truth("unsafe-no-fsync"),
        force_new_cluster=settings.truth("force-new-cluster"),
        initial_advertise_peer_urls=settings.urls("initial-advertise-peer-urls"),
        advertise_client_urls=settings.urls("advertise-client-urls"),
        initial_cluster=settings.text("initial-cluster"),
        initial_cluster_state=settings.text("initial-cluster-state"),
        initial_cluster_token=settings.text("initial-cluster-token"),
        strict_reconfig_check=settings.truth("strict-reconfig-check"),
        discovery=settings.text("discovery"),
        discovery_fallback=settings.text("discovery-fallback"),
        discovery_proxy=settings.text("discovery-proxy"),
        discovery_srv=settings.text("discovery-srv"),
        proxy=settings.text("proxy"),
        proxy_failure_wait_ms=settings.number("proxy-failure-wait"),
        proxy_refresh_interval_ms=settings.number("proxy-refresh-interval"),
        proxy_dial_timeout_ms=settings.number("proxy-dial-timeout"),
        proxy_write_timeout_ms=settings.number("proxy-write-timeout"),
        proxy_read_timeout_ms=settings.number("proxy-read-timeout"),
        cert_file=settings.text("cert-file"),
        key_file=settings.text("key-file"),
        trusted_ca_file=settings.text("trusted-ca-file"),
        client_cert_auth=settings.truth("client-cert-auth"),
        auto_tls=settings.truth("auto-tls"),
        peer_cert_file=settings.text("peer-cert-file"),
        peer_key_file=settings.text("peer-key-file"),
        peer_trusted_ca_file=settings.text("peer-trusted-ca-file"),
        peer_client_cert_auth=settings.truth("peer-client-cert-auth"),
        peer_auto_tls=settings.truth("peer-auto-tls"),
        cors=frozenset(settings.words("cors")),
        host_whitelist=frozenset(settings.words("host-whitelist")),
        logger=settings.text("logger"),
        log_level="debug" if settings.truth("debug") else settings.text("log-level"),
        log_outputs=settings.words("log-outputs"),
        express_lane=settings.truth("express-lane"),
        config_file=Path(config_file) if config_file else None,
    )


def _each_once(urls: tuple[Url, ...]) -> tuple[Url, ...]:
    # One address is bound once, however often it is listed.
    return tuple(dict.fromkeys(urls))
