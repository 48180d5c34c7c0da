"""The YAML file: keys, types, lists, and what is wrong with a file."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from server.notice import Exit
from server.options import Loaded, load
from server.options.config_file import FILE_BYTES_MAX


def loaded(text: str | bytes, *argv: str, env: dict[str, str] | None = None) -> Loaded:
    """Load with this file."""
    data = text.encode() if isinstance(text, str) else text
    argv = (*argv, "--config-file=c.yml")
    return load(argv, env or {}, read_file=lambda _: data, default_host=lambda: None)


def exit_code(text: str | bytes) -> int:
    """How loading ends: 0 for a configuration."""
    try:
        loaded(text)
    except Exit as ended:
        return ended.code
    return 0


def refusal(text: str | bytes) -> str:
    """The error line of a file that cannot be used, without its frame."""
    with pytest.raises(Exit) as caught:
        loaded(text)
    assert caught.value.code == 1
    line = caught.value.notices[-1].text
    return line.removeprefix("error verifying flags, ").removesuffix(". See 'etcd --help'.")


MINIMAL = """\
name: yam
data-dir: "/var/lib/etcd"
listen-peer-urls: http://127.0.0.1:23851
listen-client-urls: http://127.0.0.1:23850
initial-advertise-peer-urls: http://127.0.0.1:23851
advertise-client-urls: http://127.0.0.1:23850
initial-cluster: yam=http://127.0.0.1:23851
enable-v2: true
"""


def test_minimal_file() -> None:
    """Goal: the contract's example; method: its text."""
    result = loaded(MINIMAL)
    assert result.config.name == "yam"
    assert result.config.data_dir == Path("/var/lib/etcd")
    assert result.config.listen_client_urls[0].port == "23850"
    assert result.config.config_file == Path("c.yml")
    assert [notice.text for notice in result.notices] == [
        (
            'Loading server configuration from "c.yml". Other configuration command line flags and'
            " environment variables will be ignored if provided."
        )
    ]


def test_only_the_file_counts() -> None:
    """Goal: contract section 1; method: a flag and (bad) variables that say otherwise."""
    env = {"ETCD_NAME": "env", "ETCD_MAX_WALS": "zz", "ETCD_FOO": "1"}
    result = loaded("name: file\n", "--name=flag", "--max-snapshots=9", env=env)
    assert (result.config.name, result.config.max_snapshots) == ("file", 5)
    assert not any("ETCD_" in notice.text for notice in result.notices)


def test_file_from_the_environment() -> None:
    """Goal: ETCD_CONFIG_FILE names the file, a flag wins; method: both."""
    paths: list[Path] = []

    def read(path: Path) -> bytes:
        paths.append(path)
        return b""

    env = {"ETCD_CONFIG_FILE": "env.yml"}
    load([], env, read_file=read)
    load(["--config-file=flag.yml"], env, read_file=read)
    assert paths == [Path("env.yml"), Path("flag.yml")]


def test_values_of_each_type() -> None:
    """Goal: YAML's values reach the fields; method: one key of each type, odd spellings."""
    result = loaded(
        "Name: a\nHEARTBEAT-interval: 0x10\nelection-timeout: 1e3\nmax-wals: 7.0\n"
        "strict-reconfig-check: no\nlog-outputs: [stdout, stderr]\ncors: http://a:1\n"
        "snapshot-count: null\ninitial-cluster-state: ''\nlisten-metrics-urls: ''\n"
        "wal-dir: 2020-01-01\n---\nname: second document\n"
    )
    got = result.config
    assert (got.name, got.heartbeat_interval_ms, got.election_timeout_ms) == ("a", 16, 1000)
    assert (got.max_wals, got.strict_reconfig_check) == (7, False)
    assert got.log_outputs == ("stderr", "stdout")
    assert got.cors == {"http://a:1"}
    assert got.initial_cluster_state == "new"
    assert got.wal_dir == Path("2020-01-01")


def test_empty_files_are_defaults() -> None:
    """Goal: no text, a comment, null; method: each."""
    for text in ("", "# nothing\n", "null\n", "---\n", "{}\n", "client-transport-security:\n"):
        assert loaded(text).config.name == "default"


def test_unknown_keys_warn() -> None:
    """Goal: ignored as in etcd, but said; method: a foreign key, a misplaced one, an older name."""
    result = loaded("foo: 1\ncert-file: a\naddr: b\nclient-transport-security: {ca-file: c}\n")
    warnings = [notice.text for notice in result.notices if notice.text.startswith("ignored")]
    assert warnings == [
        'ignored: unknown key "addr" in the configuration file',
        (
            'ignored: unknown key "cert-file" in the configuration file'
            " (it belongs there as client-transport-security.cert-file)"
        ),
        'ignored: unknown key "client-transport-security.ca-file" in the configuration file',
        'ignored: unknown key "foo" in the configuration file',
    ]


def test_tls_sections_are_seen() -> None:
    """Goal: TLS in a file is refused, not ignored, while it is not built; method: both sections."""
    for text, name in (
        ("client-transport-security: {cert-file: a}", "--cert-file"),
        ("peer-transport-security: {client-cert-auth: true}", "--peer-client-cert-auth"),
    ):
        assert refusal(text).startswith(f"{name}: not supported")


DECODE = "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", DECODE + "array into Go value of type embed.configYAML"),
        ("foo", DECODE + "string into Go value of type embed.configYAML"),
        ("name: 1", DECODE + "number into Go struct field configYAML.name of type string"),
        ("name: yes", DECODE + "bool into Go struct field configYAML.name of type string"),
        ("name: {}", DECODE + "object into Go struct field configYAML.name of type string"),
        ("max-wals: x", DECODE + "string into Go struct field configYAML.max-wals of type uint"),
        (
            "max-wals: -1",
            DECODE + "number -1 into Go struct field configYAML.max-wals of type uint",
        ),
        (
            "max-wals: 1.5",
            DECODE + "number 1.5 into Go struct field configYAML.max-wals of type uint",
        ),
        ("debug: 1", DECODE + "number into Go struct field configYAML.debug of type bool"),
        (
            "proxy-dial-timeout: x",
            DECODE + "string into Go struct field configProxy.proxy-dial-timeout of type uint",
        ),
        (
            "client-transport-security: x",
            DECODE + "string into Go struct field configYAML.client-transport-security of type"
            " embed.securityConfig",
        ),
        (
            "client-transport-security: {client-cert-auth: zz}",
            DECODE + "string into Go struct field"
            " securityConfig.client-transport-security.client-cert-auth of type bool",
        ),
        (
            "listen-client-urls: [http://127.0.0.1:1]",
            DECODE + "array into Go struct field configYAML.listen-client-urls of type string",
        ),
        (
            "log-outputs: [1]",
            DECODE + "number into Go struct field configYAML.log-outputs of type string",
        ),
        ("initial-cluster-state: x", 'unexpected clusterState "x"'),
        ("a: b: c", "error converting YAML to JSON: yaml: line 1: mapping values are not allowed"),
    ],
)
def test_what_is_wrong_with_a_value(text: str, message: str) -> None:
    """Goal: etcd's texts; method: one file per type and fault."""
    assert refusal(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen-client-urls: zzz", "listen-client-urls: URL scheme must be"),
        ("listen-metrics-urls: http://a", "listen-metrics-urls: URL address does not"),
        ("cors: http://a", "cors: URL address does not"),
        ("proxy: zz", "proxyFlag: invalid value"),
        ("discovery-fallback: zz", "discovery-fallback flag: invalid value"),
    ],
)
def test_lists_and_choices_fail_on_stderr(text: str, message: str) -> None:
    """Goal: etcd's odd way out for these; method: one file each."""
    with pytest.raises(Exit) as caught:
        loaded(text)
    assert caught.value.code == 1
    assert caught.value.stderr_text.startswith(f"unexpected error setting up {message}")


def test_hostile_files() -> None:
    """Goal: one line and exit code 1; method: bombs, tags, bad bytes, and too much of it."""
    for text in (
        b"\xff\xfe\x00",
        b"\x00",
        b"[" * 20_000,
        b"!!python/object/apply:os.system [echo]",
        b'!!int ""',
        b"!!bool x",
        b"!!timestamp x",
        b"name: &a [*a]",
        b"{? {a: b} : c}",
        b"x" * (FILE_BYTES_MAX + 1),
    ):
        assert "\n" not in refusal(text)


def test_unreadable_files() -> None:
    """Goal: Go's texts for the two usual reasons; method: a missing path and a directory."""
    for path, message in (
        ("/nonexistent.yml", "open /nonexistent.yml: no such file or directory"),
        ("/", "read /: is a directory"),
        ("a\0b", "open a\0b: invalid argument"),
    ):
        with pytest.raises(Exit) as caught:
            load([f"--config-file={path}"], {})
        assert f"error verifying flags, {message}." in caught.value.notices[-1].text


keys = st.sampled_from(["name", "max-wals", "debug", "log-outputs", "cors", "proxy", "x"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_a_configuration_or_refused(data: bytes) -> None:
    """Goal: no traceback from a file; method: any bytes."""
    assert exit_code(data) in (0, 1)


@given(st.dictionaries(keys, scalars | st.lists(scalars, max_size=2)))
def test_any_values_are_a_configuration_or_refused(document: dict[str, object]) -> None:
    """Goal: no traceback from wrong types; method: any value under known keys."""
    assert exit_code(yaml.safe_dump(document)) in (0, 1, 2)
