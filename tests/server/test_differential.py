"""Wrong configurations end here as they end in a real etcd: same exit code, same words.

Each case of `differential_cases` is given to a real etcd, as a process, and to our options, in
this process. Normalised are only time stamps, level and package of log lines, the usage text and
etcd's warning about its own logger; JSON lines (etcd 3.5) are read for their error. No etcd, no
test: it then fails, it is not skipped.
"""

import asyncio
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.beginning import begin
from server.datadir import DataDirError, open_data_dir
from server.identity import BootstrapError
from server.log import report
from server.notice import Exit
from server.options import load
from tests.oracle import RealEtcd, Request, fetch
from tests.oracle.process import Identity, find_etcd, free_port
from tests.server.differential_cases import CASES, SUCCESSES, Case

ETCD_TIMEOUT_S = 20.0
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} (?P<level>[A-Z]) \| (?P<text>.*)")
MEMBER = re.compile(r"&\{.*?\}\}")
PACKAGE = re.compile(r"[a-z/]+: ")

Verdict = tuple[int, list[str]]
"""Exit code, and the lines that say why."""


def verdict(code: int, stderr: str) -> Verdict:
    """What an end comes to."""
    lines: list[str] = []
    for line in stderr.partition("Usage:\n")[0].splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry["msg"] == "failed to verify flags":
                lines.append(f"error verifying flags, {entry['error']}. See 'etcd --help'.")
            elif entry["msg"] == "advertise client URLs are not set":
                lines.append(HINT)
            continue
        match = LOG_LINE.fullmatch(line)
        if match is None:
            lines.append(line)
        elif match["text"].startswith("unexpected error"):
            lines.append(match["text"])  # logged by Go's own logger: no package, level info
        elif match["level"] in "CE":
            lines.append(PACKAGE.sub("", match["text"], count=1))
    ignored = ("[WARNING] Deprecated", "Please use '--log-outputs' flag")
    return code, [line for line in lines if line and not line.startswith(ignored)]


HINT = (
    "When listening on specific address(es), this etcd process must advertise accessible url(s)"
    " to each connected client."
)


def etcd(argv: tuple[str, ...], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the real one; it must end by itself."""
    return subprocess.run(
        [find_etcd()[0], *argv],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=ETCD_TIMEOUT_S,
    )


def ours(argv: tuple[str, ...], env: dict[str, str], text: str | None) -> tuple[int, str, str]:
    """Load our options; exit code, stdout and stderr."""

    def read_file(path: Path) -> bytes:
        return path.read_bytes() if text is None else text.encode()

    out, err = io.StringIO(), io.StringIO()
    try:
        load(argv, env, read_file=read_file, default_host=lambda: None)
    except Exit as ended:
        return report(ended, out, err), out.getvalue(), err.getvalue()
    return 0, "", ""


def test_there_is_enough_to_compare() -> None:
    """Goal: the table does not shrink or repeat itself; method: count."""
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(bool(case.reason) == bool(case.ours) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_failed_start(case: Case, tmp_path: Path) -> None:
    """Goal: same code, same words, or the difference we mean; method: both, side by side."""
    release = find_etcd()[1]
    code, _, stderr = ours(case.argv, case.env, case.file)
    here = verdict(code, stderr)
    if case.reason:
        assert f"{here[0]} {' '.join(here[1])}".startswith(case.ours), case.reason
    if not release.startswith(case.release):
        return  # the case is not about this release of etcd; ours has been looked at
    if case.file is not None:
        (tmp_path / "c.yml").write_text(case.file, encoding="utf-8")
    done = etcd(case.argv, case.env, tmp_path)
    real = verdict(done.returncode, done.stderr)
    assert real[0] != 0
    if case.reason:
        assert here != real, "no longer a difference"
    else:
        assert here == real


@pytest.mark.parametrize("argv", SUCCESSES, ids=" ".join)
def test_help_and_version(argv: tuple[str, ...], tmp_path: Path) -> None:
    """Goal: exit code 0, and etcd's form of the version; method: both, side by side."""
    code, stdout, _ = ours(argv, {}, None)
    done = etcd(argv, {}, tmp_path)
    assert (code, done.returncode) == (0, 0)
    if "--version" in argv:
        assert len(stdout.splitlines()) == len(done.stdout.splitlines()) == 4
        assert stdout.startswith("etcd Version: ")
        assert done.stdout.startswith("etcd Version: ")
    else:
        assert re.findall(r"^  --([a-z-]+) ", done.stdout, re.M)


def test_every_flag_of_etcd_is_known(tmp_path: Path) -> None:
    """Goal: no unit file fails on an unknown flag, and defaults are etcd's; method: its --help."""
    from server.options.table import BY_NAME

    if not find_etcd()[1].startswith("3.4."):
        return  # later releases have more flags
    rows = re.findall(
        r"^  --([a-z0-9-]+) '?([^'\n]*)", etcd(("--help",), {}, tmp_path).stdout, re.M
    )
    assert len(rows) >= 80
    assert [name for name, _ in rows if name not in BY_NAME] == []
    differing = {
        name: (default, BY_NAME[name].default)
        for name, default in rows
        if BY_NAME[name].default != default
    }
    assert differing == {
        "data-dir": ("${name}.etcd", ""),
        "enable-v2": ("false", "true"),  # the point of this server
        "max-concurrent-streams": ("math.MaxUint32", "4294967295"),
    }


def bootstrap_argv(*more: str) -> tuple[str, ...]:
    """A member that would listen on ports of its own and advertises http://127.0.0.1:1."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    return (
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        "--initial-advertise-peer-urls=http://127.0.0.1:1",
        "--data-dir=data",
        *more,
    )


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--name=foo", "--initial-cluster=a=http://127.0.0.1:1"),
        ("--initial-cluster=",),
        ("--initial-cluster=default",),
        ("--initial-cluster=default=http://127.0.0.1:1/x",),
        ("--initial-cluster=default=http://127.0.0.1:2",),
        ("--initial-cluster=default=http://localhost:1",),
        ("--initial-cluster=default=http://127.0.0.1:1,default=http://127.0.0.1:2",),
        ("--initial-cluster=default=http://127.0.0.1:1,b=http://127.0.0.1:1",),
        (
            "--initial-advertise-peer-urls=http://127.0.0.1:1,http://127.0.0.1:2",
            "--initial-cluster=default=http://127.0.0.1:1",
        ),
        (
            "--initial-advertise-peer-urls=http://127.0.0.1:1,http://127.0.0.1:3",
            "--initial-cluster=default=http://127.0.0.1:1,default=http://127.0.0.1:2",
        ),
        *(
            (f"--initial-cluster={cluster}", f"--initial-cluster-state={state}")
            for state in ("new", "existing")
            for cluster in (
                "a=http://127.0.0.1:1,b=http://127.0.0.1:2",
                "a=http://127.0.0.1:2,b=http://127.0.0.1:2",
                "default=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:2",
                "default=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1",
                "default=http://127.0.0.1:1,b=http://127.0.0.1:2,c",
                "default=http://127.0.0.1:1,b=http://127.0.0.1:2/,c=http://127.0.0.1:2",
                "default=http://127.0.0.1:1,=http://127.0.0.1:1",
            )
        ),
        ("--initial-cluster=default=http://127.0.0.1:3,b=http://127.0.0.1:2",),
        ("--initial-cluster=default=http://127.0.0.1:2,b=http://127.0.0.1:2",),
        ("--initial-cluster=default=http://127.0.0.1:1", "--initial-cluster-state=existing"),
        (
            "--initial-cluster=default=http://127.0.0.1:1,b=http://127.0.0.1:2",
            "--initial-cluster-state=existing",
        ),
    ],
    ids=" ".join,
)
def test_failed_bootstrap(more: tuple[str, ...], tmp_path: Path) -> None:
    """Goal: etcd's critical line for each check; method: a real start that fails, our function."""
    argv = bootstrap_argv(*more)
    with pytest.raises(BootstrapError) as caught:
        asyncio.run(begin(load(argv, {}).config, lambda _: None))
    done = etcd(argv, {}, tmp_path)
    assert done.returncode == 1
    if find_etcd()[1].startswith("3.4."):
        lines = [m["text"] for m in map(LOG_LINE.fullmatch, done.stderr.splitlines()) if m]
        assert lines[-1] == f"etcdmain: {caught.value}"
    else:
        # Later releases put their differences in brackets into other words.
        assert json.dumps(str(caught.value).partition(" (")[0])[1:-1] in done.stderr


@pytest.fixture(scope="module")
def live() -> Iterator[int]:
    """A real cluster of one, to which http://127.0.0.1:7 was added: the port its members ask at."""
    port = free_port()
    with RealEtcd(identity=Identity(peer_url=f"http://127.0.0.1:{port}")) as real:
        real.stop()
        real.peer_port = port
        real.start()
        headers = (("Content-Type", "application/json"),)
        body = b'{"peerURLs":["http://127.0.0.1:7"]}'
        added = Request("POST", b"/v2/members", headers=headers, body=body)
        assert fetch(real.client_port, added).status == 201
        yield port


def in_order(line: str) -> tuple[str, list[str]]:
    """A line and the members it lists, which Go does in no order."""
    return MEMBER.sub("", line), sorted(MEMBER.findall(line))


@pytest.mark.parametrize(
    "more",
    [
        (
            "--initial-cluster=default=http://127.0.0.1:1,b=http://127.0.0.1:LIVE,c=http://a:1",
            "--initial-cluster-state=existing",
        ),
        (
            "--initial-cluster=default=http://127.0.0.1:1,b=http://127.0.0.1:LIVE",
            "--initial-cluster-state=existing",
        ),
        (
            "--initial-cluster=default=http://127.0.0.1:LIVE,b=http://localhost:LIVE",
            "--initial-advertise-peer-urls=http://127.0.0.1:LIVE",
        ),
    ],
    ids=["count", "no match", "bootstrapped before"],
)
def test_failed_join(more: tuple[str, ...], live: int, tmp_path: Path) -> None:
    """Goal: etcd's critical line for what a live cluster has against us; method: the same real
    cluster is asked by a real start that fails, and by our function."""
    argv = bootstrap_argv(*(option.replace("LIVE", str(live)) for option in more))
    with pytest.raises(BootstrapError) as caught:
        asyncio.run(begin(load(argv, {}).config, lambda _: None))
    done = etcd(argv, {}, tmp_path)
    assert done.returncode == 1
    if find_etcd()[1].startswith("3.4."):
        lines = [m["text"] for m in map(LOG_LINE.fullmatch, done.stderr.splitlines()) if m]
        assert in_order(lines[-1]) == in_order(f"etcdmain: {caught.value}")


def test_port_out_of_range(tmp_path: Path) -> None:
    """Goal: etcd's critical line for a port nobody can bind; method: both, side by side."""
    argv = bootstrap_argv("--listen-peer-urls=http://127.0.0.1:99999")
    code, _, stderr = ours(argv, {}, None)
    done = etcd(argv, {}, tmp_path)
    assert (code, done.returncode) == (1, 1)
    if find_etcd()[1].startswith("3.4."):
        assert verdict(code, stderr) == verdict(1, done.stderr)


@pytest.mark.parametrize("place", ["file", "both", "proc", "below a file"])
def test_unusable_data_directory(place: str, tmp_path: Path) -> None:
    """Goal: exit 1 and etcd's line (ours may add the reason); method: each unusable place."""
    (tmp_path / "file").touch()
    (tmp_path / "both" / "member").mkdir(parents=True)
    (tmp_path / "both" / "proxy").mkdir()
    places = {"proc": Path("/proc/pyetcd"), "below a file": tmp_path / "file" / "x"}
    root = places.get(place, tmp_path / place)
    with pytest.raises(DataDirError) as caught:
        open_data_dir(root)
    done = etcd(bootstrap_argv(f"--data-dir={root}"), {}, tmp_path)
    assert done.returncode == 1
    if find_etcd()[1].startswith("3.4."):
        assert str(caught.value).startswith(verdict(1, done.stderr)[1][-1])
