"""Endpoints nobody would write on purpose: what etcdctl makes of them, we do."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pyetcdctl import ClusterUnavailable
from tests.clients.etcdctl import find_etcdctl
from tests.pyetcdctl.running import END_S, PROGRAM, environment
from tests.pyetcdctl.serving import serving
from tests.pyetcdctl.test_both_clients import awaited, heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDPOINTS = [
    "http://a..b:1",
    f"http://{'a' * 70}:1",
    "http://::1:1",
    "http://[::1]:1",
    "http://[::1",
    "http://[::1]x",
    "http://[fe80::1%lo]:1",
    "http://%zz",
    "http://%41:1",
    "unix://",
    "unix:///nobody/x",
    "unix://nobody",
    "unix://nobody:",
    "unixs://nobody/x",
    "unix://nobody:1",
    "unixs://nobody:1",
    "http://0:1",
    "http://1.2.3:1",
    "http://127.1:1",
    "http://2130706433:1",
    "http://127.0.0.01:1",
    "http://*:1",
    "http://-:1",
    "http://",
    "https://",
    "http://:1",
    "http://127.0.0.1:",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://127.0.0.1:99999999999",
    "http://127.0.0.1:-1",
    "http://127.0.0.1:1x",
    "http://127.0.0.1:\uff11",
    ",",
    "http://127.0.0.1:1,http://127.0.0.1:1",
    "http://u:p@127.0.0.1:1",
    "http://u@x:p@127.0.0.1:1",
    "http://us er:p@127.0.0.1:1",
    "http://u:p%zz@127.0.0.1:1",
    "http://127.0.0.1:1?x=1",
    "http://127.0.0.1:1#f",
    "http://127.0.0.1:1/#f%20g h!*'[]\u00fc",
    "http://127.0.0.1:1/#",
    "http://127.0.0.1:1/#%zz",
    "http://[::1]:/p",
    "http://127.0.0.1:1/a%zz",
    "http://127.0.0.1:1/a b",
    "http://a b:1",
    "http://a<b:1",
    "http:/127.0.0.1:1",
    "http:127.0.0.1:1",
    "//127.0.0.1:1",
    "/127.0.0.1:1",
    "127.0.0.1:1",
    "localhost:1",
    "1http://127.0.0.1:1",
    "HTTP://127.0.0.1:1",
    " http://127.0.0.1:1",
    "http://127.0.0.1:1 ",
    "http://127.0.0.1:1/../..",
    "?",
    "#",
    "%",
    ":",
    "*",
    "http://127.0.0.1:1\n",
    "http://127.0.0.1:1/\t\x7f",
    'http://127.0.0.1:1"',
    "http://127.0.0.1:\udcff",
    'http://a"b:1',
]
PROXIES = ["ftp://127.0.0.1:1", "%zz", "http://a:x", "//127.0.0.1:1"]
NOWHERE = "http://192.0.2.1:1"
HTTPS_NOWHERE = "https://192.0.2.1:1"
WORDS = [
    ["", "get", "/a"],
    ["help", ""],
    ["member", ""],
    ["member", "help", ""],
    ["set", "--ttl", 'a\n"\x01', "/a", "v"],
    ["--debug=\udcff", "ls"],
    ["--timeout", "1\n", "ls"],
    ["--no-sync", "member", "add", "n", "http://a:1,http://b:2"],
    ["--ca-file", "/", "ls"],
]


def said(
    program: tuple[str, ...], endpoints: str, directory: Path, *words: str, **more: str
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command there, of a `get` if there is none."""
    done = subprocess.run(
        [*program, "--endpoints", endpoints, *(words or ("get", "/a"))],
        env=environment("", ETCDCTL_API="2", **more),
        errors="surrogateescape",
        capture_output=True,
        text=True,
        timeout=END_S,
        cwd=directory,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("endpoints", ENDPOINTS)
def test_told_as_etcdctl_does(endpoints: str, tmp_path: Path) -> None:
    """Goal: the same words and the same exit code, and nobody is connected to that etcdctl would
    not connect to. Method: both, side by side; only what needs no name server.
    """
    assert said(PROGRAM, endpoints, tmp_path) == said((find_etcdctl(),), endpoints, tmp_path)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1/#f%20g h!*'[]\u00fc", "http://127.0.0.1:", "unix://nobody:"]
)
def test_printed_as_etcdctl_does(endpoint: str, tmp_path: Path) -> None:
    """Goal: --debug shows the same URLs. Method: as above."""
    words = ("--debug", "--no-sync", "get", "/a")
    etcdctl = (find_etcdctl(),)
    ours = said(PROGRAM, endpoint, tmp_path, *words)
    assert ours == said(etcdctl, endpoint, tmp_path, *words)


@pytest.mark.parametrize("words", WORDS, ids=repr)
def test_odd_words(words: list[str], tmp_path: Path) -> None:
    """Goal: words nobody would write on purpose are answered as by etcdctl. Method: as above."""
    etcdctl = (find_etcdctl(),)
    assert said(PROGRAM, "http://:0", tmp_path, *words) == said(
        etcdctl, "http://:0", tmp_path, *words
    )


@pytest.mark.parametrize("is_cgi", [False, True])
@pytest.mark.parametrize("proxy", PROXIES)
def test_odd_proxies(proxy: str, is_cgi: bool, tmp_path: Path) -> None:
    """Goal: as above for the environment's proxy; one that a web server's client may have set is
    refused. Method: as above; nothing is sent to names that need a name server.
    """
    more = {"http_proxy": proxy} | ({"REQUEST_METHOD": "GET"} if is_cgi else {})
    words = ("--no-sync", "get", "/a")
    outcomes = [
        said(program, NOWHERE, tmp_path, *words, **more) for program in (PROGRAM, (find_etcdctl(),))
    ]
    assert outcomes[0] == outcomes[1]


def test_a_unix_socket(tmp_path: Path) -> None:
    """Goal: unix://NAME:PORT is the socket NAME:PORT in the working directory, as etcd makes one.
    Method: a listener that ends each connection; what it was asked by each program.
    """
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(tmp_path, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/etcd:1")
        os.close(here)
        listener.listen()

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        asked.append(connection.recv(1 << 16).split(b"\r\n")[:2])

        threading.Thread(target=answer, daemon=True).start()
        outcomes = [
            said(program, "unix://etcd:1", tmp_path) for program in (PROGRAM, (find_etcdctl(),))
        ]
        listener.shutdown(socket.SHUT_RDWR)
    assert outcomes[0] == outcomes[1]
    half = len(asked) // 2
    assert asked[:half] == asked[half:]


@contextlib.contextmanager
def proxy(answer: bytes, late_s: float = 0) -> Iterator[str]:
    """A server that answers so to whatever it is asked first, so late, and ends the connection."""
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 16)
            if not ended.wait(late_s):
                self.request.sendall(answer)

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as place:
        try:
            yield place
        finally:
            ended.set()


PROXYS_ANSWERS = [
    "HTTP/1.1 502 Bad Gateway\r\n\r\n",
    "HTTP/1.1 407 Who are you?\r\n\r\n",
    "HTTP/1.1 500  two  spaces\r\n\r\n",
    "HTTP/1.1 204 Nothing\r\n\r\n",
    "HTTP/1.1 502\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200\n\n",
    "",
    "HTTP/1.1 502 Bad Gateway\r\n",
]
# What aiohttp reads otherwise, and has its own words for.
PROXYS_ODD_ANSWERS = [
    "garbage\r\n\r\n",
    "HTTP/1.1 407 \r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "garbage",
    "\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/x 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "HTTP/1.1 502 Bad Gateway\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: gzip\r\n\r\n",
]


@pytest.mark.parametrize("answer", PROXYS_ANSWERS + PROXYS_ODD_ANSWERS)
def test_a_proxy_that_leads_nowhere(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: what a proxy says instead of leading on is told as by etcdctl, by both clients as well.
    Method: proxies that answer so and hang up.
    """
    with proxy(answer.encode()) as place:
        more = {"https_proxy": f"http://{place}"}
        ours, theirs = (
            said(program, HTTPS_NOWHERE, tmp_path, "--no-sync", "get", "/a", **more)
            for program in (PROGRAM, (find_etcdctl(),))
        )
        assert ours == theirs
        monkeypatch.setenv("https_proxy", more["https_proxy"])
        for ask in (heard, awaited):
            told = ask(lambda client: client.get("/a"), HTTPS_NOWHERE)
            assert isinstance(told, tuple)
            assert told[0] is ClusterUnavailable
            if ask is heard or answer in PROXYS_ANSWERS:
                assert f"Error:  {told[1]}" in theirs[2]
