"""Wrong configurations for a real etcd and for ours: the data of `test_differential`.

Every case fails in a real etcd, before it serves. Where ours is meant to end otherwise, the case
says how and why; a case without a reason must end alike, in code and in words.
"""

from dataclasses import dataclass, field

PANICS = "etcd panics with a stack dump; here it is a line"
LOG_TARGETS = "etcd's console logger takes one of three targets; ours takes files and several"
UNIT_FILES = "etcd 2.3 and 3.2 only warned, and distributions' unit files rely on it"
IMAGES = "container images set ETCD_VERSION for their own use; etcd 3.5 ignores it, too"
OLD_NAMES = "a name of older etcd versions, still known here so that old unit files keep working"
YAML_WORDS = "the words of the YAML library"


@dataclass(frozen=True, slots=True)
class Case:
    """One start that fails, and how ours may differ."""

    name: str
    argv: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    file: str | None = None
    """The text of c.yml in the working directory."""
    reason: str = ""
    ours: str = ""
    """With a reason: `code line…`, the beginning of how ours ends; "0" is a configuration."""
    release: str = "3."
    """The releases of etcd it is true of."""


def flag(text: str, reason: str = "", ours: str = "", *, release: str = "3.") -> Case:
    """A command line; blanks separate arguments, `␣` is a blank in one, `''` an empty one."""
    words = ("" if word == "''" else word.replace("␣", " ") for word in text.split())
    return Case(text or "nothing", tuple(words), reason=reason, ours=ours, release=release)


def file(text: str, reason: str = "", ours: str = "", *, release: str = "3.") -> Case:
    """A configuration file."""
    argv = ("--config-file", "c.yml")
    return Case(f"file {text!r}", argv, file=text, reason=reason, ours=ours, release=release)


SYNTAX = (
    flag("--bogus"),
    flag("-bogus=1"),
    flag("--name=a --bogus"),
    flag("--bogus --help"),
    flag("--version --bogus"),
    flag("---name"),
    flag("--=x"),
    flag("-=x"),
    flag("--name"),
    flag("--debug --wal-dir", release="3.4."),
    flag("foo"),
    flag("-"),
    flag("''"),
    flag("-- foo"),
    flag("--version foo"),
    flag("--strict-reconfig-check false"),
    flag("--snapshot foo"),
    flag("--snapshot=3 -vv --bogus"),
)

VALUES = (
    flag("--heartbeat-interval=abc"),
    flag("--heartbeat-interval="),
    flag("--heartbeat-interval=-1"),
    flag("--heartbeat-interval=1.5"),
    flag("--heartbeat-interval=␣1"),
    flag("--snapshot-count=99999999999999999999"),
    flag("--snapshot-count=_1"),
    flag("--snapshot-count=08"),
    flag("--snapshot-count=0x"),
    flag("--max-concurrent-streams=x", release="3.4."),
    flag("--max-concurrent-streams=4294967296", release="3.4."),
    flag("--quota-backend-bytes=9223372036854775808"),
    flag("--backend-batch-limit=x"),
    flag("--grpc-keepalive-timeout=5"),
    flag("--grpc-keepalive-timeout=5x"),
    flag("--backend-batch-interval="),
    flag("--strict-reconfig-check=maybe"),
    flag("--strict-reconfig-check="),
    flag("--initial-cluster-state=foo"),
    flag("--initial-cluster-state="),
    flag("--proxy=foo"),
    flag("--discovery-fallback=foo"),
    flag('--max-wals="5"'),
    flag("--max-wals=\u00e9\u200b\x01\\"),
)

URLS = (
    flag("--listen-client-urls=zzz"),
    flag("--listen-client-urls=ftp://127.0.0.1:1"),
    flag("--listen-client-urls=http://127.0.0.1"),
    flag("--listen-client-urls=http://127.0.0.1:1/"),
    flag("--listen-client-urls=http://127.0.0.1:1,"),
    flag("--listen-client-urls=127.0.0.1:1"),
    flag("--listen-client-urls=://a:1"),
    flag("--listen-client-urls=http://[::1"),
    flag("--listen-client-urls=http://::1:1"),
    flag("--listen-client-urls=http://a␣b:1"),
    flag("--listen-client-urls=http://a:b"),
    flag("--listen-client-urls=http://a%zz:1"),
    flag("--listen-client-urls=http://a:1/%zz"),
    flag("--listen-client-urls=http://a\n:1"),
    flag("--listen-client-urls=http:127.0.0.1:1"),
    flag("--listen-client-urls=http://[::1]x:1"),
    flag("--listen-client-urls=http://u{@a:1"),
    flag("--listen-client-urls=unix://a/b:1"),
    flag("--listen-metrics-urls=zzz"),
    flag("--initial-advertise-peer-urls=zzz"),
    flag("--cors="),
    flag("--cors=http://good.example"),
    flag("--cors=*,http://a:1"),
    flag("--listen-client-urls=http://example.com:1 --advertise-client-urls=http://a:1"),
    flag("--listen-peer-urls=http://:1"),
    flag("--listen-metrics-urls=http://[fe80::1%25lo]:1"),
    flag("--advertise-client-urls=http://:1"),
    flag("--advertise-client-urls=http://a:1,http://:1"),
    flag("--initial-advertise-peer-urls=http://:1"),
    flag("--listen-client-urls=http://127.0.0.1:1"),
    flag("--listen-client-urls="),
)

TOGETHER = (
    flag("--heartbeat-interval=0"),
    flag("--election-timeout=0"),
    flag("--heartbeat-interval=300"),
    flag("--election-timeout=50001"),
    flag("--heartbeat-interval=0x10 --election-timeout=0_17"),
    flag("--discovery=http://a --initial-cluster=a=http://b:1"),
    flag("--discovery-srv=a --initial-cluster=a=http://b:1"),
    flag("--discovery=http://a --discovery-srv=b"),
    flag("--auto-compaction-mode=zz"),
    flag("--logger=zz"),
    flag("--log-outputs=", release="3.4."),
    flag("--logger=zz --heartbeat-interval=0"),
    flag("--heartbeat-interval=0 --auto-compaction-mode=zz"),
    flag("--listen-client-urls=http://127.0.0.1:1 --auto-compaction-mode=zz"),
)

VARIABLES = (
    Case("bad number", env={"ETCD_SNAPSHOT_COUNT": "abc"}),
    Case("quoted number", env={"ETCD_SNAPSHOT_COUNT": '"100"'}),
    Case("two bad ones", env={"ETCD_SNAPSHOT_COUNT": "y", "ETCD_HEARTBEAT_INTERVAL": "x"}),
    Case("bad switch", env={"ETCD_STRICT_RECONFIG_CHECK": "maybe"}),
    Case("bad choice", env={"ETCD_PROXY": "x"}),
    Case("bad URL", env={"ETCD_LISTEN_PEER_URLS": "zzz"}),
    Case("nothing advertised", env={"ETCD_LISTEN_CLIENT_URLS": "http://127.0.0.1:1"}),
    Case("bad timer", env={"ETCD_HEARTBEAT_INTERVAL": "0", "ETCD_FOO": "bar", "ETCD_NAME": ""}),
    Case("no such file", env={"ETCD_CONFIG_FILE": "/nonexistent.yml", "ETCD_MAX_WALS": "x"}),
    Case("bad flag wins", ("--bogus",), {"ETCD_MAX_WALS": "x"}),
)

FILES = (
    file("name: [a]\n"),
    file("name: {a: 1}\n"),
    file("name: 12\n"),
    file("name: yes\n"),
    file("heartbeat-interval: abc\n"),
    file('heartbeat-interval: "5"\n'),
    file("heartbeat-interval: -1\n"),
    file("heartbeat-interval: 1.5\n"),
    file("heartbeat-interval: 5.0\nelection-timeout: 2\n"),
    file("heartbeat-interval: 0x10\nelection-timeout: 2\n"),
    file("heartbeat-interval: 1e1\nelection-timeout: 2\n"),
    file("heartbeat-interval: 1_0\nelection-timeout: 2\n"),
    file("heartbeat-interval: null\nelection-timeout: 2\n"),
    file("Heartbeat-Interval: 8\nheartbeat-interval: 7\nelection-timeout: 2\n"),
    file("heartbeat-interval: 0\n---\nheartbeat-interval: 9\n"),
    file("heartbeat-interval: 0\nname: 2020-01-01\nbogus: 1\n"),
    file("max-concurrent-streams: -1\n", release="3.4."),
    file("grpc-keepalive-min-time: 5s\n"),
    file("enable-v2: maybe\n"),
    file("strict-reconfig-check: 'true'\n"),
    file("log-outputs: default\n"),
    file("listen-client-urls: [http://127.0.0.1:1]\n"),
    file("client-transport-security: x\n"),
    file("client-transport-security: {client-cert-auth: zz}\n"),
    file("proxy-failure-wait: zz\n"),
    file('name: "0\n'),
    file("- a\n"),
    file("foo\n"),
    file("listen-client-urls: zzz\n"),
    file("listen-metrics-urls: http://a\n"),
    file("discovery-fallback: zz\n", release="3.4."),
    file("proxy: zz\n", release="3.4."),
    file("initial-cluster-state: x\n"),
    file("listen-client-urls: http://example.com:1\n"),
    file("discovery: http://a\ninitial-cluster: a=http://b:1\n"),
    file("discovery: http://a\nheartbeat-interval: 0\n"),
    file("logger: zz\n"),
    Case("missing file", ("--config-file=/nonexistent.yml",)),
    Case("directory as file", ("--config-file=/",)),
    Case("bad flag beside a file", ("--config-file=c.yml", "--bogus"), file="name: a\n"),
    Case(
        "bad flag value beside a file",
        ("--max-wals=x", "--config-file=c.yml"),
        file="name: a\n",
    ),
)

YAML_ERROR = "1 error verifying flags, error converting YAML to JSON: yaml: "
DIFFERENT = (
    flag("--log-level=zz", PANICS, '2 error verifying flags, unknown level "zz"'),
    file("log-level: zz\n", PANICS, '2 error verifying flags, unknown level "zz"'),
    file("cors: http://a\n", PANICS, "1 unexpected error setting up cors: URL address does not"),
    flag("--log-outputs=a,stdout", LOG_TARGETS, "0", release="3.4."),
    flag("--log-outputs=etcd.log", LOG_TARGETS, "0", release="3.4."),
    Case("flag and variable", ("--name=b",), {"ETCD_NAME": "a"}, None, UNIT_FILES, "0"),
    Case("image", env={"ETCD_VERSION": "v3.4.23"}, reason=IMAGES, ours="0", release="3.4."),
    flag("--addr=1.2.3.4:1", OLD_NAMES, "0"),
    flag("--experimental-v3demo", OLD_NAMES, "0"),
    flag("--ca-file=x", OLD_NAMES, "1 error verifying flags, --trusted-ca-file, --client-cert-"),
    flag("--peers=x", OLD_NAMES, '2 invalid value "x" for flag -peers: flag "-peers" is no longer'),
    file("a: b: c\n", YAML_WORDS, YAML_ERROR + "line 1: mapping values are not allowed here"),
    file("\tname: a\n", YAML_WORDS, YAML_ERROR + "line 1: found character '\\t' that cannot start"),
)
"""Cases that end otherwise on purpose."""

CASES = (*SYNTAX, *VALUES, *URLS, *TOGETHER, *VARIABLES, *FILES, *DIFFERENT)

SUCCESSES = (("--help",), ("-h",), ("--name=a", "--help", "--bogus"), ("--version",))
"""Command lines that end well without serving."""
