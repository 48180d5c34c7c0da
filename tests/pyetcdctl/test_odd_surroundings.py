"""What a command does when what is around it is not as usual."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pyetcdctl import BadEndpoint, BadText, Client
from tests.pyetcdctl.running import PROGRAM, environment, run
from tests.server.members import cluster

DUMP = {"pyetcdctl-dump": 1, "key": "/h", "nodes": [{"key": "/h/ok", "value": "1"}]}


def in_shell(words: list[str], redirection: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run a command of pyetcdctl with its streams as the shell is told."""
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "-", sys.executable, "-m", "pyetcdctl", *words],
        env=os.environ | {"ETCDCTL_ENDPOINTS": url},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "closed", "code", "err"),
    [
        (["get", "KEY"], ">&-", 0, ""),
        (["help"], ">&-", 0, ""),
        (["set", "KEY"], "<&-", 1, "Error:  value required\n"),
        (["load"], "<&-", 1, 'load: this is no dump: it has no field "pyetcdctl-dump"\n'),
    ],
)
def test_a_closed_stream(
    client: Client, url: str, place: str, line: list[str], closed: str, code: int, err: str
) -> None:
    """Goal: as etcdctl: nobody to print to is no failure, nothing to read is nothing. Method: the
    shell closes it.
    """
    client.set(f"{place}/k", "v")
    words = [word.replace("KEY", f"{place}/k") for word in line]
    done = in_shell(words, closed, url)
    assert (done.returncode, done.stderr) == (code, err)


@pytest.mark.parametrize(
    ("line", "around", "code", "err"),
    [
        (["get", "KEY"], ">/dev/full", 1, "no space left on device\n"),
        (["get", "KEY/no"], "2>/dev/full", 4, ""),
        (["lock", "KEY.lock", "--", "sh", "-c", "exit 5"], "2>/dev/full", 5, ""),
        (["set", "KEY"], "</proc/self/mem", 1, "Error:  value required\n"),
        (["load"], "</proc/self/mem", 1, "load: open stdin: input/output error\n"),
    ],
)
def test_a_stream_that_fails(
    client: Client, url: str, place: str, line: list[str], around: str, code: int, err: str
) -> None:
    """Goal: a value that could not be printed is told; a complaint that could not be, changes
    nothing; what cannot be read is nothing, as in etcdctl. Method: a full device, an unreadable
    file.
    """
    client.set(f"{place}/k", "v")
    words = [word.replace("KEY", f"{place}/k") for word in line]
    done = in_shell(words, around, url)
    assert (done.returncode, done.stderr) == (code, err)


@pytest.mark.parametrize("form", ["simple", "json", "yaml", "table"])
def test_directories_in_directories(client: Client, url: str, place: str, form: str) -> None:
    """Goal: how deep keys are does not matter. Method: 600 directories, all formats."""
    client.set(f"{place}{'/d' * 600}", "deep")
    done = run(url, "-o", form, "ls", "-r", place)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("/d" * 600) == 1
    assert run(url, "ls", "--tree", place).out.count("\n") == 601


def test_a_dump_goes_into_what_is_there(
    client: Client, url: str, place: str, tmp_path: Path
) -> None:
    """Goal: a device stays one, a link leads where it led, a private file stays private. Method:
    one of each.
    """
    client.set(f"{place}/k", "v")
    real = tmp_path / "real.json"
    real.write_text("old")
    real.chmod(0o600)
    (tmp_path / "link").symlink_to("real.json")
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    for name in ("link", "fifo"):
        assert run(url, "dump", place, "--file", str(tmp_path / name)).code == 0
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert json.loads(real.read_text())["key"] == place
    assert json.loads(os.read(reader, 1 << 16))["key"] == place
    os.close(reader)
    piped = run(url, "dump", place, "--file", "/dev/fd/1")
    assert json.loads(piped.out)["key"] == place
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("ab") as end:
        words = [*PROGRAM, "dump", place, "--file", "/dev/fd/1"]
        subprocess.run(words, env=environment(url), stdout=end, stderr=end, timeout=30, check=True)
    assert log.read_text() == f"before\n{piped.out}{piped.err}"
    said = run(url, "dump", place, "--file", str(tmp_path / "no" / "x"))
    assert (said.code, said.err) == (
        1,
        f"dump: {tmp_path / 'no' / 'x'}: no such file or directory\n",
    )


@pytest.mark.parametrize(
    ("node", "field"),
    [
        ({"key": "/h/x", "value": "\ud800"}, "value"),
        ({"key": "/h/\ud800"}, "key"),
        ({"key": "/h/x", "ttl": 99999999999999999999999}, "ttl"),
    ],
)
def test_a_document_is_checked_before_the_first_write(
    client: Client, url: str, node: dict[str, object], field: str
) -> None:
    """Goal: what no server takes is named, and nothing is written. Method: a good node in front."""
    document = DUMP | {"nodes": [*DUMP["nodes"], node]}  # type: ignore[list-item]
    said = run(url, "load", stdin=json.dumps(document))
    assert said.code == 1
    assert said.err.startswith(f"load: nodes[1].{field} is ")
    assert run(url, "get", "/h/ok").code == 4


def test_misuse_of_the_library_is_told(client: Client, place: str) -> None:
    """Goal: a sentence for what cannot be meant. Method: half a character, a text for a list, a
    lock that is held.
    """
    with pytest.raises(BadText, match="half of a surrogate pair"):
        client.set(place, "\ud800")
    with pytest.raises(BadEndpoint, match="a list of URLs"):
        Client("http://127.0.0.1:2379")
    with client.lock(place) as lock, pytest.raises(RuntimeError, match="taken already"):
        lock.acquire()


def test_a_member_that_hangs() -> None:
    """Goal: cluster-health says what is with a stopped member, in bounded time. Method: two members
    of a real cluster run, the third is stopped.
    """
    with cluster(3) as members:
        stopped = members[2]
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            done = run(",".join(member.url for member in members[:2]), "cluster-health")
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        assert done.code == 5
        assert f'{stopped.url}/health": client: endpoint {stopped.url} exceeded header' in done.out
        assert done.out.count(" is healthy: ") == 2
        assert done.out.endswith("cluster is degraded\n")


@pytest.mark.parametrize(
    "line",
    ["set KEY v", "get KEY", "get KEY/no", "ls", "-o table ls", "member list", "cluster-health",
     "watch --after-index 1 KEY", "user list", "dump KEY", "tree KEY",
     "lock KEY.lock -- true", "rm KEY"],
)  # fmt: skip
def test_nothing_stays_open(client: Client, url: str, place: str, line: str) -> None:
    """Goal: who looks for what programs leave open sees nothing of ours. Method: ordinary commands
    with Python's warnings, which are to change nothing.
    """
    words = ["--no-sync", *line.replace("KEY", f"{place}/k").split()]
    client.set(f"{place}/k", "v")
    assert "Warning" not in run(url, *words, PYTHONDEVMODE="1").err
