"""From argv, variables and a file to a Config: precedence, defaults, notices, refusals."""

import dataclasses
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.notice import NOTICE, Exit, Notice
from server.options import Config, Loaded, load
from server.options.table import BY_NAME, NOT_BUILT, OPTIONS, REFUSED, REPLACED_BY, WITHOUT_EFFECT
from server.options.values import Kind

NO_DATA_DIR = "no data-dir provided, using default data-dir ./default.etcd"


def no_file(path: Path) -> bytes:
    """No test reads a file it did not name."""
    raise AssertionError(path)


def loaded(*argv: str, env: dict[str, str] | None = None, host: str | None = "10.1.2.3") -> Loaded:
    """Load without touching the machine."""
    return load(argv, env or {}, read_file=no_file, default_host=lambda: host)


def config(*argv: str, env: dict[str, str] | None = None) -> Config:
    """The configuration alone."""
    return loaded(*argv, env=env).config


def outcome(*argv: str, env: dict[str, str] | None = None) -> Exit:
    """The exit these options end in."""
    with pytest.raises(Exit) as caught:
        loaded(*argv, env=env)
    return caught.value


def end_of(argv: list[str], env: dict[str, str]) -> Exit | None:
    """The exit, or None for a configuration."""
    try:
        loaded(*argv, env=env)
    except Exit as ended:
        return ended
    return None


def texts(notices: tuple[Notice, ...]) -> list[str]:
    """What the notices say, without the one about the data directory."""
    return [notice.text for notice in notices if not notice.text.startswith("no data-dir")]


def test_defaults() -> None:
    """Goal: etcd's defaults; method: no options at all."""
    plain = loaded()
    assert [u.text for u in plain.config.listen_client_urls] == ["http://localhost:2379"]
    assert [u.text for u in plain.config.listen_peer_urls] == ["http://localhost:2380"]
    assert plain.config.advertise_client_urls == plain.config.listen_client_urls
    assert plain.config.initial_advertise_peer_urls == plain.config.listen_peer_urls
    assert plain.config.listen_metrics_urls == ()
    assert plain.config.data_dir == Path("default.etcd")
    assert plain.config.wal_dir is None
    assert plain.config.name == "default"
    assert plain.config.initial_cluster == "default=http://localhost:2380"
    assert plain.config.snapshot_count == 100_000
    assert (plain.config.heartbeat_interval_ms, plain.config.election_timeout_ms) == (100, 1000)
    assert plain.config.cors == {"*"}
    assert plain.config.strict_reconfig_check is True
    assert plain.config.log_outputs == ("default",)
    assert plain.notices == (Notice(logging.WARNING, "etcdmain", NO_DATA_DIR),)


def test_config_is_frozen_and_has_a_field_for_every_option_it_honours() -> None:
    """Goal: no Y option is forgotten; method: names of the table against fields."""
    fields = {field.name for field in dataclasses.fields(Config)}
    elsewhere = {"version", "debug", "log_output"}  # answered, folded into log_level, log_outputs
    wanted = {o.name.replace("-", "_") for o in OPTIONS if o.status == "Y"} - elsewhere
    assert wanted == {field.removesuffix("_ms") for field in fields}
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().name = "other"  # type: ignore[misc]


def test_last_flag_wins_and_flag_beats_variable() -> None:
    """Goal: precedence; method: the same option three times."""
    result = loaded("--name=a", "--name=b", env={"ETCD_NAME": "c", "ETCD_MAX_WALS": "7"})
    assert (result.config.name, result.config.max_wals) == ("b", 7)
    assert texts(result.notices) == [
        "recognized and used environment variable ETCD_MAX_WALS=7",
        "recognized environment variable ETCD_NAME, but unused: shadowed by corresponding flag",
    ]
    assert result.config.initial_cluster == "b=http://localhost:2380"


def test_empty_and_unknown_variables_warn() -> None:
    """Goal: empty counts as unset, unknown does not stop; method: both, and foreign names."""
    env = {"ETCD_NAME": "", "ETCD_FOO": "bar", "ETCDCTL_API": "2", "PATH": "/bin", "ETCDX": "1"}
    result = loaded(env=env)
    assert result.config.name == "default"
    assert texts(result.notices) == [
        "unrecognized environment variable ETCD_NAME=",
        "unrecognized environment variable ETCD_FOO=bar",
    ]


def test_the_talks_environment_file() -> None:
    """Goal: the lab's /etc/etcd/etcd.conf is understood; method: its lines, a cluster of one."""
    env = {
        "ETCD_NAME": "atomic-01",
        "ETCD_DATA_DIR": "/var/lib/etcd/default.etcd",
        "ETCD_LISTEN_PEER_URLS": "http://172.17.8.101:2380",
        "ETCD_LISTEN_CLIENT_URLS": "http://127.0.0.1:2379,http://172.17.8.101:2379",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://172.17.8.101:2380",
        "ETCD_INITIAL_CLUSTER_STATE": "new",
        "ETCD_INITIAL_CLUSTER_TOKEN": "etcd-cluster",
        "ETCD_ADVERTISE_CLIENT_URLS": "http://172.17.8.101:2379",
        "ETCD_INITIAL_CLUSTER": "atomic-01=http://172.17.8.101:2380",
        "ETCD_DISCOVERY": "",
        "ETCD_CERT_FILE": "",
    }
    result = loaded(env=env)
    assert result.config.data_dir == Path("/var/lib/etcd/default.etcd")
    assert [u.authority for u in result.config.listen_client_urls] == [
        "127.0.0.1:2379",
        "172.17.8.101:2379",
    ]
    assert not any("ignored" in text for text in texts(result.notices))


def test_of_several_bad_variables_the_last_is_named() -> None:
    """Goal: etcd's choice; method: two bad ones, in reverse order of their names."""
    env = {"ETCD_SNAPSHOT_COUNT": "y", "ETCD_HEARTBEAT_INTERVAL": "x"}
    (notice,) = outcome(env=env).notices
    assert notice.text == (
        'error verifying flags, invalid value "y" for ETCD_SNAPSHOT_COUNT: parse error.'
        " See 'etcd --help'."
    )
    assert notice.level == logging.ERROR


def test_usage_errors() -> None:
    """Goal: exit code 2, one line and the usage on stderr; method: one fault of each kind."""
    for argv, line in (
        (["--bogus"], "flag provided but not defined: -bogus"),
        (["--name"], "flag needs an argument: -name"),
        (["--max-wals=x"], 'invalid value "x" for flag -max-wals: parse error'),
        (["--debug=x"], 'invalid boolean value "x" for -debug: parse error'),
        (["--proxy=x"], 'invalid value "x" for flag -proxy: invalid value'),
        (
            ["--peers=x"],
            'invalid value "x" for flag -peers: flag "-peers" is no longer supported.',
        ),
    ):
        ended = outcome(*argv)
        assert (ended.code, ended.stdout_text, ended.notices) == (2, "", ())
        first, _, rest = ended.stderr_text.partition("\n")
        assert first == line
        assert rest.startswith("Usage:")


def test_help_and_version() -> None:
    """Goal: both end with 0 and print on stdout; method: also beside other flags."""
    ended = outcome("--name=a", "--help")
    assert (ended.code, ended.stderr_text) == (0, "")
    for option in OPTIONS:
        assert f"  --{option.name}" in ended.stdout_text
    assert "Examples:" in ended.stdout_text
    version = outcome("--version", "--name=a")
    assert version.code == 0
    assert version.stdout_text.splitlines()[0] == "etcd Version: 3.4.23"
    assert version.stdout_text.splitlines()[1].startswith("pyetcd Version: ")
    assert len(version.stdout_text.splitlines()) == 4
    assert outcome("--version", "foo").code == 1
    assert outcome("--version", "--bogus").code == 2


def test_empty_url_list_keeps_the_value() -> None:
    """Goal: etcd's exception for empty lists; method: default and a value before it."""
    assert config("--listen-peer-urls=").listen_peer_urls == config().listen_peer_urls
    kept = config("--listen-peer-urls=http://127.0.0.1:1", "--listen-peer-urls=")
    assert [u.text for u in kept.listen_peer_urls] == ["http://127.0.0.1:1"]


def test_a_url_listed_twice_is_listened_on_once() -> None:
    """Goal: one socket per address; method: a duplicate."""
    url = "http://127.0.0.1:1"
    result = config(f"--listen-client-urls={url},{url}", f"--advertise-client-urls={url}")
    assert [u.text for u in result.listen_client_urls] == [url]


def test_name_alone_renames_the_default_cluster() -> None:
    """Goal: `--name x` starts; method: derived initial cluster, with several peer URLs."""
    assert config("--name=x").initial_cluster == "x=http://localhost:2380"
    urls = "--initial-advertise-peer-urls=http://10.0.0.1:2,http://10.0.0.1:1"
    assert config("--name=x", urls).initial_cluster == "x=http://10.0.0.1:1,x=http://10.0.0.1:2"
    assert config("--name=x", "--initial-cluster=y=http://a:1").initial_cluster == "y=http://a:1"


def test_listening_everywhere_advertises_this_machine() -> None:
    """Goal: never advertise localhost to others; method: 0.0.0.0 with default advertise URLs."""
    argv = ("--name=x", "--listen-peer-urls=http://0.0.0.0:7")
    result = loaded(*argv)
    assert result.config.initial_cluster == "x=http://10.1.2.3:7"
    assert 'advertising using detected default host "10.1.2.3"' in texts(result.notices)
    alone = loaded(*argv, host=None)
    assert alone.config.initial_cluster == "x=http://localhost:2380"
    assert any(notice.level == NOTICE for notice in alone.notices)
    explicit = config(*argv, "--initial-advertise-peer-urls=http://10.0.0.9:7")
    assert explicit.initial_cluster == "x=http://10.0.0.9:7"


def test_zero_snapshot_count_is_the_default() -> None:
    """Goal: contract section 2; method: 0."""
    assert config("--snapshot-count=0").snapshot_count == 100_000


def test_debug_is_a_level() -> None:
    """Goal: --debug wins over --log-level; method: both."""
    assert config("--debug", "--log-level=error").log_level == "debug"
    assert config("--log-level=error").log_level == "error"


def test_older_name_of_log_outputs() -> None:
    """Goal: log-output still works, with a warning; method: alone, and against log-outputs."""
    result = loaded("--log-output=stdout")
    assert result.config.log_outputs == ("stdout",)
    assert any("--log-output' flag has been deprecated" in text for text in texts(result.notices))
    assert outcome("--log-output=stdout", "--log-outputs=stderr").code == 1


def test_etcd_2_names() -> None:
    """Goal: unit files of etcd 2 go on working; method: each older name."""
    result = loaded("--addr=1.2.3.4:4001", "--bind-addr=127.0.0.1:4001", "-snapshot", "-vv")
    assert [u.text for u in result.config.advertise_client_urls] == ["http://1.2.3.4:4001"]
    assert [u.text for u in result.config.listen_client_urls] == ["http://127.0.0.1:4001"]
    assert texts(result.notices) == [
        "deprecated: addr, use advertise-client-urls",
        "deprecated: bind-addr, use listen-client-urls",
        'flag "-snapshot" is no longer supported - ignoring.',
        'flag "-vv" is no longer supported - ignoring.',
    ]
    both = loaded("--peer-addr=1.2.3.4:1", "--initial-advertise-peer-urls=http://1.2.3.5:1")
    assert [u.host for u in both.config.initial_advertise_peer_urls] == ["1.2.3.5"]
    assert "--trusted-ca-file, --client-cert-auth" in outcome("--ca-file=x").notices[-1].text


SAMPLE = {
    Kind.STRING: "x",
    Kind.WORDS: "x",
    Kind.HOSTS: "x",
    Kind.BOOL: "true",
    Kind.UINT: "12",
    Kind.UINT64: "12",
    Kind.UINT32: "12",
    Kind.INT: "12",
    Kind.INT64: "12",
    Kind.DURATION: "12s",
    Kind.IGNORED: "true",
}
"""A value of each kind that is no option's default, but for switches that are on."""
SPECIAL = {
    "enable-v2": "false",
    "initial-election-tick-advance": "false",
    "metrics": "extensive",
} | {
    "auto-compaction-mode": "revision",
    "discovery-fallback": "exit",
    "initial-cluster-state": "existing",
    "proxy": "on",
}


def other_value(name: str) -> str:
    """A value that is not the default."""
    return SPECIAL.get(name) or SAMPLE[BY_NAME[name].kind]


def test_accepted_options_warn_once_each_from_every_source() -> None:
    """Goal: nothing is ignored silently, nothing stops; method: all A, L and - rows at once."""
    names = [
        option.name
        for option in OPTIONS
        if (option.status in ("A", "L", "-") or option.name in WITHOUT_EFFECT)
        and option.name not in REFUSED
        and option.name not in REPLACED_BY
        and option.kind is not Kind.ABOLISHED
    ]
    assert len(names) > 50
    flags = loaded(*(f"--{name}={other_value(name)}" for name in names))
    variables = loaded(env={BY_NAME[name].env: other_value(name) for name in names})
    for result in (flags, variables):
        ignored = [t for t in texts(result.notices) if t.startswith(("ignored: ", "flag "))]
        assert len(ignored) == len(names)
        assert all(sum(f" {n} " in f"{t} ".replace('"-', " ").replace('"', " ") for t in ignored)
                   for n in names)  # fmt: skip


def test_a_default_value_is_not_worth_a_warning() -> None:
    """Goal: unit files that spell out defaults stay quiet; method: all A and - rows."""
    argv = [
        f"--{o.name}={o.default}" for o in OPTIONS if o.status in ("A", "-") and o.default != ""
    ]
    assert texts(loaded(*argv).notices) == []


@pytest.mark.parametrize("name", sorted(NOT_BUILT | REFUSED))
def test_what_cannot_be_honoured_stops_the_start(name: str) -> None:
    """Goal: TLS, discovery and the like are never ignored; method: each as flag and variable."""
    value, option = other_value(name), BY_NAME[name]
    extra = ["--initial-cluster="] if name.startswith("discovery") else []
    for ended in (outcome(f"--{name}={value}", *extra), outcome(*extra, env={option.env: value})):
        assert ended.code == 1
        assert f"--{name}: not supported" in ended.notices[-1].text
    default = f"--{name}={option.default}"
    loaded(default)


def test_tls_urls_stop_the_start() -> None:
    """Goal: an https listener never becomes plain HTTP; method: each place of a URL."""
    for name in ("listen-client-urls", "listen-peer-urls", "listen-metrics-urls"):
        argv = [f"--{name}=https://127.0.0.1:1", "--advertise-client-urls=http://127.0.0.1:1"]
        assert "TLS is not supported" in outcome(*argv).notices[-1].text
    ended = outcome("--initial-advertise-peer-urls=https://127.0.0.1:1")
    assert "TLS is not supported" in ended.notices[-1].text
    behind_a_proxy = config("--advertise-client-urls=https://etcd.example:443")
    assert behind_a_proxy.advertise_client_urls[0].is_tls


def test_port_out_of_range_stops_the_start() -> None:
    """Goal: etcd's line for a port nobody can bind; method: 99999."""
    ended = outcome("--listen-peer-urls=http://127.0.0.1:99999")
    assert (ended.code, ended.notices[-1].level) == (1, logging.CRITICAL)
    assert ended.notices[-1].text == "listen tcp: address 99999: invalid port"


def test_an_exit_carries_what_was_noticed_before() -> None:
    """Goal: the reader sees the variables that led to an error; method: one good, one bad."""
    ended = outcome(env={"ETCD_NAME": "a", "ETCD_MAX_WALS": "x"})
    assert [notice.text[:10] for notice in ended.notices] == ["recognized", "error veri"]


names_of_any_kind = st.sampled_from([*BY_NAME, "bogus"])


@given(
    st.lists(st.tuples(names_of_any_kind, st.text(max_size=6)), max_size=4),
    st.dictionaries(names_of_any_kind.map(lambda n: "ETCD_" + n.upper().replace("-", "_")),
                    st.text(max_size=6), max_size=4),
)  # fmt: skip
def test_any_options_give_a_config_or_an_exit(
    flags: list[tuple[str, str]], env: dict[str, str]
) -> None:
    """Goal: no traceback from a command line; method: any texts for any options."""
    env.pop("ETCD_CONFIG_FILE", None)
    argv = [f"--{name}={text}" for name, text in flags if name != "config-file"]
    ended = end_of(argv, env)
    if ended is not None:
        assert ended.code in (0, 1, 2)
        assert ended.code == 0 or ended.notices or ended.stderr_text


def test_table_is_consistent() -> None:
    """Goal: the sets name options, defaults parse, names are unique; method: look."""
    assert len(BY_NAME) == len(OPTIONS)
    for names in (NOT_BUILT, REFUSED, WITHOUT_EFFECT, REPLACED_BY):
        assert set(names) <= set(BY_NAME)
    assert not NOT_BUILT & REFUSED
    for option in OPTIONS:
        assert option.status in ("Y", "A", "L", "-")
        assert option.help.endswith(".")
        _ = option.default_value
