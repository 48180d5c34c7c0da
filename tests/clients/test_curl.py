"""The curl lines of the v2 API's documentation, typed against both servers."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.clients.reachable import first_watcher
from tests.clients.waiting import until
from tests.oracle import Server

COMMAND_S = 30.0
_EXPIRATION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl printed with -i, taken apart."""

    status: int
    headers: dict[str, str]
    json: dict[str, Any]

    @property
    def node(self) -> dict[str, Any]:
        """The node the answer is about."""
        node: dict[str, Any] = self.json["node"]
        return node

    @property
    def index(self) -> int:
        """X-Etcd-Index."""
        return int(self.headers["x-etcd-index"])


def curl(server: Server, path: str, *options: str) -> Answer:
    """Run one curl to its end."""
    done = subprocess.run(
        _command(server, path, options), env=_environment(), capture_output=True, timeout=COMMAND_S
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return _parse(done.stdout)


@contextmanager
def waiting_curl(server: Server, path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a curl that waits, until its watcher is registered."""
    command = _command(server, path, ("-N",))
    with (
        first_watcher(server) as registered,
        subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE) as process,
    ):
        try:
            registered()
            yield process
        finally:
            process.kill()


def _command(server: Server, path: str, options: tuple[str, ...]) -> list[str]:
    program = shutil.which("curl")
    assert program, "curl is not installed"
    return [program, "-q", "-s", "-i", server.url + path, *options]


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


def _parse(printed: bytes) -> Answer:
    # With -L there is a head for each hop; the last one counts.
    head, _, body = printed.rpartition(b"\r\n\r\n")
    lines = head.split(b"\r\n\r\n")[-1].decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines[1:])
    headers = {name.lower(): value for name, _, value in pairs}
    return Answer(int(lines[0].split()[1]), headers, json.loads(body) if body.strip() else {})


def _finished(process: subprocess.Popen[bytes]) -> Answer:
    printed, _ = process.communicate(timeout=COMMAND_S)
    return _parse(printed)


def test_set_get_change_delete(server: Server) -> None:
    """Goal: the first page of the documentation. Method: its lines, in its order."""
    made = curl(server, "/v2/keys/curl/message", "-XPUT", "-d", "value=Hello world")
    assert (made.status, made.json["action"], made.node["value"]) == (201, "set", "Hello world")
    assert made.node["createdIndex"] == made.node["modifiedIndex"] == made.index
    assert made.headers["content-type"] == "application/json"
    read = curl(server, "/v2/keys/curl/message")
    assert (read.status, read.node) == (200, made.node)
    changed = curl(server, "/v2/keys/curl/message", "-XPUT", "-d", "value=Hello etcd")
    assert (changed.status, changed.json["prevNode"]) == (200, made.node)
    gone = curl(server, "/v2/keys/curl/message", "-XDELETE")
    assert (gone.status, gone.json["action"]) == (200, "delete")
    assert "value" not in gone.node
    missing = curl(server, "/v2/keys/curl/message")
    assert (missing.status, missing.json["errorCode"]) == (404, 100)
    assert missing.json["cause"] == "/curl/message"


def test_ttl(server: Server) -> None:
    """Goal: TTL set, removed, refreshed, run out. Method: the documentation's lines."""
    timed = curl(server, "/v2/keys/curl/ttl", "-XPUT", "-d", "value=bar", "-d", "ttl=100")
    assert timed.node["ttl"] == 100
    assert _EXPIRATION.fullmatch(timed.node["expiration"])
    kept = curl(
        server, "/v2/keys/curl/ttl", "-XPUT", "-d", "value=bar", "-d", "ttl=", "-d", "prevExist=1"
    )
    assert (kept.json["action"], "ttl" in kept.node) == ("update", False)
    refresh = ("-d", "ttl=50", "-d", "refresh=true", "-d", "prevExist=true")
    refreshed = curl(server, "/v2/keys/curl/ttl", "-XPUT", *refresh)
    assert (refreshed.node["value"], refreshed.node["ttl"]) == ("bar", 50)
    curl(server, "/v2/keys/curl/brief", "-XPUT", "-d", "value=bar", "-d", "ttl=1")
    until(lambda: curl(server, "/v2/keys/curl/brief").status == 404, "the key expires")


def test_wait(server: Server) -> None:
    """Goal: a long poll gets the change that comes, and past ones by index. Method: write while
    it waits; then ask for what has been."""
    with waiting_curl(server, "/v2/keys/curl/wait?wait=true") as poll:
        written = curl(server, "/v2/keys/curl/wait", "-XPUT", "-d", "value=x")
        seen = _finished(poll)
    assert (seen.status, seen.node) == (200, written.node)
    assert seen.index == written.index - 1
    curl(server, "/v2/keys/curl/wait", "-XPUT", "-d", "value=y")
    past = curl(server, f"/v2/keys/curl/wait?wait=true&waitIndex={written.index}")
    assert past.node == written.node
    with waiting_curl(server, "/v2/keys/curl?wait=true&recursive=true") as poll:
        written = curl(server, "/v2/keys/curl/wait/not", "-XPUT", "-d", "value=x")
        assert written.json["errorCode"] == 104
        written = curl(server, "/v2/keys/curl/tree/leaf", "-XPUT", "-d", "value=x")
        assert _finished(poll).node == written.node


def test_stream(server: Server) -> None:
    """Goal: stream=true goes on after an event. Method: read two lines of an endless answer."""
    with waiting_curl(server, "/v2/keys/curl/stream?wait=true&stream=true&recursive=true") as poll:
        assert poll.stdout is not None
        for value in ("1", "2"):
            curl(server, "/v2/keys/curl/stream/x", "-XPUT", "-d", f"value={value}")
        lines = iter(poll.stdout.readline, b"")
        events = [json.loads(line) for line in (next(_bodies(lines)), next(_bodies(lines)))]
    assert [event["node"]["value"] for event in events] == ["1", "2"]


def _bodies(lines: Iterator[bytes]) -> Iterator[bytes]:
    return (line for line in lines if line.startswith(b"{"))


def test_in_order_keys(server: Server) -> None:
    """Goal: POST makes a queue. Method: three jobs, listed sorted."""
    made = [curl(server, "/v2/keys/curl/queue", "-XPOST", "-d", f"value=Job{n}") for n in range(3)]
    assert all(answer.status == 201 for answer in made)
    names = [answer.node["key"] for answer in made]
    assert names == [f"/curl/queue/{answer.index:020}" for answer in made]
    listed = curl(server, "/v2/keys/curl/queue?recursive=true&sorted=true")
    assert [node["value"] for node in listed.node["nodes"]] == ["Job0", "Job1", "Job2"]


def test_compare_and_swap_and_delete(server: Server) -> None:
    """Goal: prevExist, prevValue, prevIndex. Method: wrong, then right."""
    path = "/v2/keys/curl/cas"
    made = curl(server, path + "?prevExist=false", "-XPUT", "-d", "value=one")
    assert (made.status, made.json["action"]) == (201, "create")
    again = curl(server, path + "?prevExist=false", "-XPUT", "-d", "value=three")
    assert (again.status, again.json["errorCode"]) == (412, 105)
    wrong = curl(server, path + "?prevValue=two", "-XPUT", "-d", "value=three")
    assert (wrong.status, wrong.json["cause"]) == (412, "[two != one]")
    right = curl(server, path + "?prevValue=one", "-XPUT", "-d", "value=two")
    assert (right.status, right.json["action"]) == (200, "compareAndSwap")
    wrong = curl(server, path + "?prevIndex=1", "-XDELETE")
    assert (wrong.status, wrong.json["errorCode"]) == (412, 101)
    right = curl(server, path + f"?prevIndex={right.index}", "-XDELETE")
    assert right.json["action"] == "compareAndDelete"


def test_directories_and_hidden_nodes(server: Server) -> None:
    """Goal: dir=true, recursive listings and deletes, hidden nodes. Method: one small tree."""
    path = "/v2/keys/curl/dir"
    assert curl(server, path, "-XPUT", "-d", "dir=true").status == 201
    assert curl(server, path + "/_secret", "-XPUT", "-d", "value=x").status == 201
    assert curl(server, path + "/shown", "-XPUT", "-d", "value=y").status == 201
    listed = curl(server, path + "?recursive=true").node["nodes"]
    assert [node["key"] for node in listed] == ["/curl/dir/shown"]
    assert curl(server, path + "/_secret").node["value"] == "x"
    assert curl(server, path, "-XDELETE").json["errorCode"] == 102
    assert curl(server, path + "?dir=true", "-XDELETE").json["errorCode"] == 108
    assert curl(server, path + "?recursive=true", "-XDELETE").status == 200


def test_values_from_files_and_escapes(server: Server, tmp_path: Any) -> None:
    """Goal: --data-urlencode, a value from a file, odd keys. Method: read back what was sent."""
    value = "line 1\nline 2 & = % + ü ;"
    file = tmp_path / "value.txt"
    file.write_text(value, encoding="utf-8")
    option = ("--data-urlencode", f"value@{file}")
    assert curl(server, "/v2/keys/curl/file", "-XPUT", *option).node["value"] == value
    assert curl(server, "/v2/keys/curl/file").node["value"] == value
    made = curl(server, "/v2/keys/curl/a%20b%2Fü+c", "-XPUT", "-d", "value=x")
    assert made.node["key"] == "/curl/a b/ü+c"


def test_redirects_are_followed(server: Server) -> None:
    """Goal: -L works, also for a PUT. Method: an unclean path."""
    option = ("-L", "--post301", "--path-as-is", "-XPUT", "-d", "value=moved")
    assert curl(server, "/v2/keys//curl/./moved", *option).node["value"] == "moved"
    moved = curl(server, "/v2/keys//curl/moved", "--path-as-is", "-XPUT")
    assert (moved.status, moved.headers["location"]) == (301, "/v2/keys/curl/moved")
    assert curl(server, "/v2/keys//curl/moved", "--path-as-is", "-L").node["value"] == "moved"


def test_quorum_head_and_options(server: Server) -> None:
    """Goal: quorum=true, -I and a CORS preflight. Method: one of each."""
    made = curl(server, "/v2/keys/curl/quorum", "-XPUT", "-d", "value=x")
    assert curl(server, "/v2/keys/curl/quorum?quorum=true").node == made.node
    head = curl(server, "/v2/keys/curl/quorum", "-I")
    assert (head.status, head.index) == (200, made.index)
    assert curl(server, "/v2/keys/curl/quorum", "-XOPTIONS").status == 200


def test_about_the_server(server: Server) -> None:
    """Goal: the other documented pages. Method: ask each one."""
    assert curl(server, "/version").json["etcdcluster"].startswith("3.")
    assert curl(server, "/health").json["health"] == "true"
    assert curl(server, "/v2/stats/self").json["state"] == "StateLeader"
    assert curl(server, "/v2/stats/store").json["setsSuccess"] > 0
    assert curl(server, "/v2/members").json["members"][0]["clientURLs"] == [server.url]
