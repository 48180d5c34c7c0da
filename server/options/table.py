"""The table of options, a row each, and what this version does not honour.

Order is the order of `--help`. To add an option, add its row; to build a Y option, take its name
out of `NOT_BUILT`. Facts (types, defaults, names) are etcd 3.4.23's.
"""

# ruff: noqa: E501 - a row is a line

from server.options.option import Option
from server.options.values import Kind

_U, _S, _B, _UINT = Kind.URLS, Kind.STRING, Kind.BOOL, Kind.UINT

MEMBER = "Member"
CLUSTERING = "Clustering"
SECURITY = "Security"
AUTH = "Auth"
MONITORING = "Profiling and monitoring"
LOGGING = "Logging"
PROXY = "Proxy"
EXPERIMENTAL = "Experimental"
OURS = "Only in pyetcd"
UNSAFE = "Unsafe (may break the guarantees of the consensus protocol)"
PROCESS = "Process"
LEGACY = "Names of older etcd versions"

CLIENT_TLS = "client-transport-security/"
PEER_TLS = "peer-transport-security/"

# fmt: off
_MEMBER = (
    Option("name", _S, "default", "Y", MEMBER, "2.0", "Human-readable name of this member."),
    Option("data-dir", _S, "", "Y", MEMBER, "2.0", "Path of the data directory (empty: NAME.etcd)."),
    Option("wal-dir", _S, "", "Y", MEMBER, "2.0", "Path of a directory of its own for the write-ahead log."),
    Option("snapshot-count", Kind.UINT64, "100000", "Y", MEMBER, "2.0", "Number of committed commands that triggers a snapshot (0: the default)."),
    Option("heartbeat-interval", _UINT, "100", "Y", MEMBER, "2.0", "Time (in milliseconds) of a heartbeat interval."),
    Option("election-timeout", _UINT, "1000", "Y", MEMBER, "2.0", "Time (in milliseconds) for an election to time out."),
    Option("initial-election-tick-advance", _B, "true", "A", MEMBER, "3.2", "Whether to fast-forward initial election ticks on boot."),
    Option("listen-peer-urls", _U, "http://localhost:2380", "Y", MEMBER, "2.0", "List of URLs to listen on for peer traffic."),
    Option("listen-client-urls", _U, "http://localhost:2379", "Y", MEMBER, "2.0", "List of URLs to listen on for client traffic."),
    Option("max-snapshots", _UINT, "5", "Y", MEMBER, "2.0", "Maximum number of snapshot files to keep (0 is unlimited)."),
    Option("max-wals", _UINT, "5", "Y", MEMBER, "2.0", "Maximum number of log files to keep behind a snapshot (0 is unlimited)."),
    Option("quota-backend-bytes", Kind.INT64, "0", "-", MEMBER, "3.2", "Size limit of the v3 backend."),
    Option("backend-batch-interval", Kind.DURATION, "", "-", MEMBER, "3.4", "Maximum time before a v3 backend commit."),
    Option("backend-batch-limit", Kind.INT, "0", "-", MEMBER, "3.4", "Maximum operations before a v3 backend commit."),
    Option("max-txn-ops", _UINT, "128", "-", MEMBER, "3.2", "Maximum number of operations in a v3 transaction."),
    Option("max-request-bytes", _UINT, "1572864", "-", MEMBER, "3.2", "Maximum size of a v3 request (has no effect on v2)."),
    Option("max-concurrent-streams", Kind.UINT32, "4294967295", "-", MEMBER, "3.4", "Maximum concurrent gRPC streams of a client."),
    Option("grpc-keepalive-min-time", Kind.DURATION, "5s", "-", MEMBER, "3.2", "Minimum interval between a gRPC client's pings."),
    Option("grpc-keepalive-interval", Kind.DURATION, "2h", "-", MEMBER, "3.2", "Interval of the server's gRPC pings."),
    Option("grpc-keepalive-timeout", Kind.DURATION, "20s", "-", MEMBER, "3.2", "Wait before closing an unresponsive gRPC connection."),
)
_CLUSTERING = (
    Option("initial-advertise-peer-urls", _U, "http://localhost:2380", "Y", CLUSTERING, "2.0", "List of this member's peer URLs to advertise to the rest of the cluster."),
    Option("initial-cluster", _S, "default=http://localhost:2380", "Y", CLUSTERING, "2.0", "Initial cluster for bootstrapping: name=url,name=url. A name may repeat."),
    Option("initial-cluster-state", Kind.CHOICE, "new", "Y", CLUSTERING, "2.0", "Initial cluster state ('new' or 'existing').", ("new", "existing")),
    Option("initial-cluster-token", _S, "etcd-cluster", "Y", CLUSTERING, "2.0", "Initial cluster token; keeps clusters apart that are started with the same URLs."),
    Option("advertise-client-urls", _U, "http://localhost:2379", "Y", CLUSTERING, "2.0", "List of this member's client URLs to advertise to clients (required with listen-client-urls)."),
    Option("discovery", _S, "", "Y", CLUSTERING, "2.0", "Discovery URL used to bootstrap the cluster."),
    Option("discovery-fallback", Kind.CHOICE, "proxy", "Y", CLUSTERING, "2.0", "What to do when discovery fails ('exit' or 'proxy').", ("exit", "proxy")),
    Option("discovery-proxy", _S, "", "Y", CLUSTERING, "2.0", "HTTP proxy for traffic to the discovery service."),
    Option("discovery-srv", _S, "", "Y", CLUSTERING, "2.0", "DNS SRV domain used to bootstrap the cluster."),
    Option("discovery-srv-name", _S, "", "A", CLUSTERING, "3.4", "Suffix of the DNS SRV name queried when bootstrapping."),
    Option("strict-reconfig-check", _B, "true", "Y", CLUSTERING, "2.3", "Reject membership changes that would cost the quorum."),
    Option("pre-vote", _B, "false", "-", CLUSTERING, "3.4", "Run an additional election phase (this server always does)."),
    Option("auto-compaction-retention", _S, "0", "-", CLUSTERING, "3.2", "Retention of v3 revisions."),
    Option("auto-compaction-mode", _S, "periodic", "-", CLUSTERING, "3.2", "Meaning of auto-compaction-retention ('periodic' or 'revision')."),
    Option("enable-v2", _B, "true", "A", CLUSTERING, "3.2", "Accept etcd v2 client requests (this server always does)."),
)
_SECURITY = (
    Option("cert-file", _S, "", "Y", SECURITY, "2.0", "Path of the certificate of the client listeners.", yaml=CLIENT_TLS),
    Option("key-file", _S, "", "Y", SECURITY, "2.0", "Path of the key of the client listeners.", yaml=CLIENT_TLS),
    Option("client-cert-auth", _B, "false", "Y", SECURITY, "2.0", "Demand and verify client certificates.", yaml=CLIENT_TLS),
    Option("client-crl-file", _S, "", "A", SECURITY, "3.4", "Path of a revocation list for client certificates.", yaml="-"),
    Option("client-cert-allowed-hostname", _S, "", "A", SECURITY, "3.4", "Host name a client's certificate must carry.", yaml="-"),
    Option("trusted-ca-file", _S, "", "Y", SECURITY, "2.0", "Path of the authorities client certificates are verified with.", yaml=CLIENT_TLS),
    Option("auto-tls", _B, "false", "Y", SECURITY, "3.2", "Client TLS with generated certificates.", yaml=CLIENT_TLS),
    Option("peer-cert-file", _S, "", "Y", SECURITY, "2.0", "Path of the certificate of the peer listeners.", yaml=PEER_TLS + "cert-file"),
    Option("peer-key-file", _S, "", "Y", SECURITY, "2.0", "Path of the key of the peer listeners.", yaml=PEER_TLS + "key-file"),
    Option("peer-client-cert-auth", _B, "false", "Y", SECURITY, "2.0", "Demand and verify peers' certificates.", yaml=PEER_TLS + "client-cert-auth"),
    Option("peer-trusted-ca-file", _S, "", "Y", SECURITY, "2.0", "Path of the authorities peers' certificates are verified with.", yaml=PEER_TLS + "trusted-ca-file"),
    Option("peer-cert-allowed-cn", _S, "", "A", SECURITY, "3.2", "Common name a peer's certificate must carry.", yaml="-"),
    Option("peer-cert-allowed-hostname", _S, "", "A", SECURITY, "3.4", "Host name a peer's certificate must carry.", yaml="-"),
    Option("peer-auto-tls", _B, "false", "Y", SECURITY, "3.2", "Peer TLS with generated certificates.", yaml=PEER_TLS + "auto-tls"),
    Option("peer-crl-file", _S, "", "A", SECURITY, "3.4", "Path of a revocation list for peers' certificates.", yaml="-"),
    Option("cipher-suites", Kind.WORDS, "", "A", SECURITY, "3.4", "Comma-separated list of TLS cipher suites."),
    Option("cors", Kind.ORIGINS, "*", "Y", SECURITY, "2.0", "Comma-separated list of origins for cross-origin requests (* allows all)."),
    Option("host-whitelist", Kind.HOSTS, "*", "Y", SECURITY, "3.4", "Host names accepted in plain HTTP requests (* allows all)."),
)
_AUTH = (
    Option("auth-token", _S, "simple", "-", AUTH, "3.2", "Type of v3 authentication token."),
    Option("bcrypt-cost", _UINT, "10", "-", AUTH, "3.4", "Cost of hashing v3 passwords."),
    Option("auth-token-ttl", _UINT, "300", "-", AUTH, "3.4", "Lifetime of a v3 authentication token in seconds."),
)
_MONITORING = (
    Option("enable-pprof", _B, "false", "A", MONITORING, "2.3", "Serve Go's runtime profiles at /debug/pprof/."),
    Option("metrics", _S, "basic", "A", MONITORING, "3.2", "Level of detail of metrics ('basic' or 'extensive')."),
    Option("listen-metrics-urls", _U, "", "Y", MONITORING, "3.4", "List of further URLs that serve only /metrics and /health."),
)
_LOGGING = (
    Option("logger", _S, "capnslog", "Y", LOGGING, "3.4", "Format of log lines: 'capnslog' for people, 'zap' for JSON."),
    Option("log-outputs", Kind.WORDS, "default", "Y", LOGGING, "3.4", "Comma-separated list of 'default' (stderr), 'stderr', 'stdout' and file paths."),
    Option("log-output", Kind.WORDS, "default", "Y", LOGGING, "3.2", "Older name of log-outputs."),
    Option("log-level", _S, "info", "Y", LOGGING, "3.4", "Log level: debug, info, warn, error, panic or fatal."),
    Option("debug", _B, "false", "Y", LOGGING, "2.0", "Debug-level logging; the same as log-level=debug."),
    Option("log-package-levels", _S, "", "A", LOGGING, "2.0", "Log levels of single etcd packages."),
)
_PROXY = (
    Option("proxy", Kind.CHOICE, "off", "Y", PROXY, "2.0", "Proxy mode ('off', 'readonly' or 'on').", ("off", "readonly", "on")),
    Option("proxy-failure-wait", _UINT, "5000", "Y", PROXY, "2.0", "Time (in milliseconds) an endpoint is held in a failed state."),
    Option("proxy-refresh-interval", _UINT, "30000", "Y", PROXY, "2.0", "Time (in milliseconds) between refreshes of the endpoints."),
    Option("proxy-dial-timeout", _UINT, "1000", "Y", PROXY, "2.0", "Time (in milliseconds) for a dial to time out."),
    Option("proxy-write-timeout", _UINT, "5000", "Y", PROXY, "2.0", "Time (in milliseconds) for a write to time out."),
    Option("proxy-read-timeout", _UINT, "0", "Y", PROXY, "2.0", "Time (in milliseconds) for a read to time out."),
)
_EXPERIMENTAL = (
    Option("experimental-initial-corrupt-check", _B, "false", "-", EXPERIMENTAL, "3.4", "Check v3 data before serving."),
    Option("experimental-corrupt-check-time", Kind.DURATION, "0s", "-", EXPERIMENTAL, "3.4", "Time between checks of v3 data."),
    Option("experimental-enable-v2v3", _S, "", "-", EXPERIMENTAL, "3.4", "Serve v2 requests from the v3 store under a prefix."),
    Option("experimental-backend-bbolt-freelist-type", _S, "array", "-", EXPERIMENTAL, "3.4", "Free list of the v3 backend."),
    Option("experimental-enable-lease-checkpoint", _B, "false", "-", EXPERIMENTAL, "3.4", "Persist remaining times of v3 leases."),
    Option("experimental-compaction-batch-limit", Kind.INT, "1000", "-", EXPERIMENTAL, "3.4", "Maximum v3 revisions deleted in a batch."),
    Option("experimental-peer-skip-client-san-verification", _B, "false", "A", EXPERIMENTAL, "3.4", "Skip the check of names in peers' certificates."),
    Option("experimental-watch-progress-notify-interval", Kind.DURATION, "10m", "-", EXPERIMENTAL, "3.4", "Interval of v3 watch progress messages."),
    Option("experimental-warning-apply-duration", Kind.DURATION, "100ms", "-", EXPERIMENTAL, "3.4", "Warn of v3 requests slower than this."),
)
_UNSAFE = (
    Option("force-new-cluster", _B, "false", "Y", UNSAFE, "2.0", "Start as a cluster of one from existing data."),
    Option("unsafe-no-fsync", _B, "false", "Y", UNSAFE, "3.4", "Do not wait for the disk: acknowledged writes are lost with the power."),
)
_OURS = (
    Option("express-lane", _B, "true", "Y", OURS, "pyetcd", "Answer plain requests on /v2/keys without aiohttp: the same answers, sooner."),
)
_PROCESS = (
    Option("config-file", _S, "", "Y", PROCESS, "3.2", "Path of a YAML configuration file; all other flags and variables are then ignored.", yaml="-"),
    Option("version", _B, "false", "Y", PROCESS, "2.0", "Print the version and exit.", yaml="-"),
)
_IGNORED_NAMES = (
    "cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force",
    "max-result-buffer", "max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout",
    "retry-interval", "snapshot", "v", "vv",
)
_LEGACY = (
    Option("ca-file", _S, "", "L", LEGACY, "2.0", "Use trusted-ca-file and client-cert-auth."),
    Option("peer-ca-file", _S, "", "L", LEGACY, "2.0", "Use peer-trusted-ca-file and peer-client-cert-auth."),
    Option("addr", Kind.HOST_PORT, "", "L", LEGACY, "2.0", "Use advertise-client-urls."),
    Option("bind-addr", Kind.HOST_PORT, "", "L", LEGACY, "2.0", "Use listen-client-urls."),
    Option("peer-addr", Kind.HOST_PORT, "", "L", LEGACY, "2.0", "Use initial-advertise-peer-urls."),
    Option("peer-bind-addr", Kind.HOST_PORT, "", "L", LEGACY, "2.0", "Use listen-peer-urls."),
    Option("peers", Kind.ABOLISHED, "", "L", LEGACY, "2.0", "No longer supported, an error. Use initial-cluster."),
    Option("peers-file", Kind.ABOLISHED, "", "L", LEGACY, "2.0", "No longer supported, an error. Use initial-cluster."),
    Option("experimental-v3demo", _B, "false", "L", LEGACY, "2.3", "Ignored."),
    Option("experimental-gRPC-addr", _S, "", "L", LEGACY, "2.3", "Ignored."),
    Option("experimental-auto-compaction-retention", _S, "", "L", LEGACY, "2.3", "Ignored."),
    *(Option(name, Kind.IGNORED, "", "L", LEGACY, "2.0", "Ignored.") for name in _IGNORED_NAMES),
)
# fmt: on

OPTIONS: tuple[Option, ...] = (
    *_MEMBER,
    *_CLUSTERING,
    *_SECURITY,
    *_AUTH,
    *_MONITORING,
    *_LOGGING,
    *_PROXY,
    *_EXPERIMENTAL,
    *_UNSAFE,
    *_OURS,
    *_PROCESS,
    *_LEGACY,
)
BY_NAME: dict[str, Option] = {option.name: option for option in OPTIONS}

NOT_BUILT = frozenset(
    {
        "auto-tls",
        "cert-file",
        "client-cert-auth",
        "discovery",
        "discovery-proxy",
        "discovery-srv",
        "key-file",
        "peer-auto-tls",
        "peer-cert-file",
        "peer-client-cert-auth",
        "peer-key-file",
        "peer-trusted-ca-file",
        "proxy",
        "trusted-ca-file",
    }
)
"""Y options of a later version: any value but the default stops the start."""

REFUSED = frozenset(
    {
        "cipher-suites",
        "client-cert-allowed-hostname",
        "client-crl-file",
        "peer-cert-allowed-cn",
        "peer-cert-allowed-hostname",
        "peer-crl-file",
    }
)
"""Security options that are not honoured: stopping is better than a false sense of safety."""

WITHOUT_EFFECT = frozenset(
    {
        "discovery-fallback",
        "proxy-dial-timeout",
        "proxy-failure-wait",
        "proxy-read-timeout",
        "proxy-refresh-interval",
        "proxy-write-timeout",
    }
)
"""Y options that only say how an option of `NOT_BUILT` works: harmless without it, so they warn."""

REPLACED_BY: dict[str, tuple[str, ...]] = {
    "addr": ("advertise-client-urls",),
    "bind-addr": ("listen-client-urls",),
    "ca-file": ("trusted-ca-file", "client-cert-auth"),
    "peer-addr": ("initial-advertise-peer-urls",),
    "peer-bind-addr": ("listen-peer-urls",),
    "peer-ca-file": ("peer-trusted-ca-file", "peer-client-cert-auth"),
}
"""Older names and what they stand for."""


def treatment(option: Option) -> str:
    """What this server does with an option, in a word or two."""
    if option.name in REFUSED:
        return "refused"
    if option.name in NOT_BUILT:
        return "not yet"
    if option.name in WITHOUT_EFFECT:
        return "without effect"
    if option.kind is Kind.ABOLISHED:
        return "an error"
    if option.status == "L" and option.help.startswith("Use "):
        return "translated, with a warning"
    return "honoured" if option.status == "Y" else "ignored"
