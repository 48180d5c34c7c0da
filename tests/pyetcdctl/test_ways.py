"""The ways to a server are the same for both clients: TCP, a Unix socket, a proxy."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyetcdctl import AsyncClient, Client, ClusterUnavailable
from tests.oracle.process import free_port
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.test_both_clients import awaited, heard

if TYPE_CHECKING:
    from email.message import Message

NODE = Reply(b'{"action":"get","node":{"key":"/k","value":"v"}}')
# Of /proc/net/tcp: a connection, and the timer that runs while nothing is sent on it.
ESTABLISHED, KEEPALIVE = "01", "02"


def key(client: Any) -> Any:
    """The question."""
    return client.get("/k")


def timers(port: int) -> list[str]:
    """The timers of this machine's connections to a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        row[5].partition(":")[0]
        for row in rows
        if row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED
    ]


def test_idle_connections_are_probed() -> None:
    """Goal: a long poll through a firewall that forgets connections does not hang for ever. Method:
    the kernel's timer of each client's connection.
    """

    async def ask(url: str, port: int) -> None:
        async with AsyncClient([url]) as client:
            await client.get("/k")
            assert timers(port) == [KEEPALIVE]

    with answering(lambda _path, _headers: NODE) as url:
        port = int(url.rpartition(":")[2])
        with Client([url]) as client:
            client.get("/k")
            assert timers(port) == [KEEPALIVE]
    with answering(lambda _path, _headers: NODE) as url:
        asyncio.run(ask(url, int(url.rpartition(":")[2])))


def test_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: unix://NAME:PORT is the socket NAME:PORT in the working directory; without one, both
    say the same. Method: a server there, and nobody.
    """
    asked: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines = [self.rfile.readline()]
            while lines[-1] not in (b"\r\n", b""):
                lines.append(self.rfile.readline())
            asked.append(b"".join(sorted(lines)))
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
            self.wfile.write(answer % (len(NODE.body), NODE.body))

    monkeypatch.chdir(tmp_path)
    with socketserver.ThreadingUnixStreamServer("etcd:1", Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            found = [ask(key, "unix://etcd:1") for ask in (heard, awaited)]
        finally:
            server.shutdown()
    assert "value='v'" in str(found[0])
    assert found[0] == found[1]
    assert asked[0].lower() == asked[1].lower()
    missing = heard(key, "unix://nobody:1")
    assert missing == awaited(key, "unix://nobody:1")
    assert "dial unix nobody:1: connect: no such file or directory" in str(missing)


def test_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: the environment's proxy is used for other machines, with its own credentials, and not
    for this one or what NO_PROXY names. Method: a server that tells what it was asked.
    """
    asked: list[tuple[str, str, str]] = []

    def behave(path: str, headers: Message) -> Reply:
        asked.append((path, headers["Host"], headers["Proxy-Authorization"]))
        return NODE

    with answering(behave) as url:
        monkeypatch.setenv("HTTP_PROXY", url.replace("//", "//us%40er:p%C3%A4@"))
        monkeypatch.setenv("NO_PROXY", "")
        for ask in (heard, awaited):
            assert "value='v'" in str(ask(key, "http://etcd.invalid:2379"))
            assert "value='v'" in str(ask(key, url))
    assert asked[:2] == asked[2:]
    assert asked[0][0].startswith("http://etcd.invalid:2379/v2/keys/k?")
    assert asked[0][1:] == ("etcd.invalid:2379", "Basic dXNAZXI6cMOk")
    assert asked[1][0].startswith("/v2/keys/k?")
    assert asked[1][2] is None


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_of_no_use(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: both clients say what is wrong with it, in the same words. Method: nobody there, and,
    for TLS, one that refuses to connect.
    """
    monkeypatch.setenv("NO_PROXY", "")
    endpoint = f"{scheme}://etcd.invalid:2379"
    dead = free_port()
    monkeypatch.setenv(f"{scheme}_PROXY".upper(), f"http://127.0.0.1:{dead}")
    said = heard(key, endpoint)
    assert said == awaited(key, endpoint)
    assert isinstance(said, tuple)
    assert said[0] is ClusterUnavailable
    assert f"proxyconnect tcp: dial tcp 127.0.0.1:{dead}: connect: connection refused" in said[1]
    if scheme == "https":
        with answering(lambda _path, _headers: NODE) as url:
            monkeypatch.setenv("HTTPS_PROXY", url)
            said = heard(key, endpoint)
            assert said == awaited(key, endpoint)
            assert "Unsupported method" in str(said)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_speaks_socks(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: nobody speaks HTTP to it, and a sentence says why. Method: one that would take it; its
    password is not shown.
    """
    monkeypatch.setenv("NO_PROXY", "")
    asked: list[str] = []

    def behave(target: str, _headers: Message) -> Reply:
        asked.append(target)
        return NODE

    with answering(behave) as url:
        place = url.removeprefix("http://")
        monkeypatch.setenv(f"{scheme}_PROXY".upper(), f"socks5://u:swordfish@{place}")
        for ask in (heard, awaited):
            said = ask(key, f"{scheme}://etcd.invalid:2379")
            assert f"socks connect tcp {place}->etcd.invalid:2379: SOCKS5 is not spoken" in str(
                said
            )
            assert "swordfish" not in str(said)
    assert asked == []
