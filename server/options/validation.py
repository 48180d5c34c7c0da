"""Whether the options make sense together: etcd's checks in etcd's order, then our own refusals.

Laws: the first failing check ends the start; text, order and exit code are etcd 3.4's. What this
version cannot honour is looked at last, so a configuration etcd refuses is refused alike. Reads
no file and opens no socket: what only the machine can answer is found out later.
"""

import ipaddress
import logging
from collections.abc import Callable

from golang.quoting import go_quote
from server.notice import Exit, Notice
from server.options.settings import Settings
from server.options.table import NOT_BUILT, REFUSED
from server.options.urls import Url

ELECTION_TIMEOUT_MS_MAX = 50_000
ELECTION_PER_HEARTBEAT_MIN = 5
PORT_MAX = 65_535
LOG_LEVELS = ("debug", "info", "warn", "error", "dpanic", "panic", "fatal")
LOGGERS = ("capnslog", "zap")

BIND_OPTIONS = ("listen-peer-urls", "listen-client-urls", "listen-metrics-urls")
ADVERTISE_OPTIONS = ("initial-advertise-peer-urls", "advertise-client-urls")
CLEAR_TEXT_OPTIONS = (*BIND_OPTIONS, "initial-advertise-peer-urls")
"""Where TLS would be ours to speak. advertise-client-urls may name a TLS proxy in front."""

_ADVERTISE_HINT = (
    "When listening on specific address(es), this etcd process must advertise accessible url(s)"
    " to each connected client."
)


def flags_error(text: str, *more: str, code: int = 1) -> Exit:
    """The exit for options that cannot be used: etcd's log line, and lines below it."""
    first = f"error verifying flags, {text}. See 'etcd --help'."
    lines = (first, *more)
    return Exit(code, notices=tuple(Notice(logging.ERROR, "etcdmain", line) for line in lines))


def start_error(text: str) -> Exit:
    """The exit for a start that fails: one critical line."""
    return Exit(1, notices=(Notice(logging.CRITICAL, "etcdmain", text),))


def validate(settings: Settings) -> None:
    """etcd's checks; raises Exit."""
    for check in _CHECKS:
        check(settings)


def refuse(settings: Settings) -> None:
    """What this version cannot honour and must not ignore; raises Exit."""
    for names, reason in (
        (REFUSED, "not supported by this server, and not ignored since safety depends on it"),
        (NOT_BUILT, "not supported by this version of this server"),
    ):
        found = [f"--{option.name}" for option in settings.changed() if option.name in names]
        if found:
            raise flags_error(f"{', '.join(found)}: {reason}")
    for name in CLEAR_TEXT_OPTIONS:
        for url in settings.urls(name):
            if url.is_tls:
                raise flags_error(
                    f"--{name} {go_quote(url.text)}: TLS is not supported by this version of"
                    " this server"
                )
    for name in BIND_OPTIONS:
        for url in settings.urls(name):
            if not url.is_unix and int(url.port or 0) > PORT_MAX:
                raise start_error(f"listen tcp: address {url.port}: invalid port")


def _check_logging(settings: Settings) -> None:
    logger, level = settings.text("logger"), settings.text("log-level")
    if not settings.is_default("log-output"):
        if not settings.is_default("log-outputs"):
            raise flags_error(
                "both '--log-output' and '--log-outputs' are set; only set '--log-outputs'"
            )
        settings.derive("log-outputs", settings.words("log-output"))
    if logger not in LOGGERS:
        raise flags_error(f"unknown logger option {go_quote(logger)}")
    if level not in LOG_LEVELS:
        # DEVIATES: etcd panics with a stack dump here; the exit code is its, the text is ours.
        raise flags_error(f"unknown level {go_quote(level)}", code=2)
    if "" in settings.words("log-outputs"):
        raise flags_error('unknown log-output "" (only supports "default", "stderr", "stdout")')


def _check_bind_urls(settings: Settings) -> None:
    for name in BIND_OPTIONS:
        for url in settings.urls(name):
            if not url.is_unix and url.host != "localhost" and not _is_ip(url.host):
                raise flags_error(f"expected IP in URL for binding ({url.text})")


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # Go takes no zone here


def _check_advertise_urls(settings: Settings) -> None:
    for name in ADVERTISE_OPTIONS:
        urls = settings.urls(name)
        if empty := next((url for url in urls if not url.host), None):
            texts = go_quote(",".join(url.text for url in urls))
            raise flags_error(
                f'--{name} {texts} must be "host:port" (unexpected empty host ({empty.text}))'
            )


def _check_bootstrap(settings: Settings) -> None:
    state = settings.text("initial-cluster-state")
    if state not in ("", "new", "existing"):
        raise flags_error(f"unexpected clusterState {go_quote(state)}")
    ways = ("discovery", "initial-cluster", "discovery-srv")
    if sum(settings.text(way) != "" for way in ways) > 1:
        raise flags_error(
            "multiple discovery or bootstrap flags are set. Choose one of"
            ' "initial-cluster", "discovery" or "discovery-srv"'
        )


def _check_timers(settings: Settings) -> None:
    heartbeat_ms = settings.number("heartbeat-interval")
    election_ms = settings.number("election-timeout")
    if heartbeat_ms < 1:
        raise flags_error(f"--heartbeat-interval must be >0 (set to {heartbeat_ms}ms)")
    if election_ms < 1:
        raise flags_error(f"--election-timeout must be >0 (set to {election_ms}ms)")
    if ELECTION_PER_HEARTBEAT_MIN * heartbeat_ms > election_ms:
        raise flags_error(
            f"--election-timeout[{election_ms}ms] should be at least as 5 times as"
            f" --heartbeat-interval[{heartbeat_ms}ms]"
        )
    if election_ms > ELECTION_TIMEOUT_MS_MAX:
        raise flags_error(
            f"--election-timeout[{election_ms}ms] is too long, and should be set less than"
            f" {ELECTION_TIMEOUT_MS_MAX}ms"
        )


def _check_advertised(settings: Settings) -> None:
    falls_back = settings.text("discovery") and settings.text("discovery-fallback") == "proxy"
    may_be_proxy = settings.text("proxy") != "off" or falls_back
    if not settings.urls("advertise-client-urls") and not may_be_proxy:
        text = "--advertise-client-urls is required when --listen-client-urls is set explicitly"
        raise flags_error(text, _ADVERTISE_HINT)


def _check_compaction(settings: Settings) -> None:
    mode = settings.text("auto-compaction-mode")
    if mode not in ("", "periodic", "revision"):
        raise flags_error(f"unknown auto-compaction-mode {go_quote(mode)}")


_CHECKS: tuple[Callable[[Settings], None], ...] = (
    _check_logging,
    _check_bind_urls,
    _check_advertise_urls,
    _check_bootstrap,
    _check_timers,
    _check_advertised,
    _check_compaction,
)


def is_any_address(url: Url) -> bool:
    """Whether it listens on all IPv4 addresses, which cannot be advertised."""
    return url.host == "0.0.0.0"
