"""How long a connection may take: every step has a limit of its own, also a long poll's."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from pyetcdctl import TLS, ClusterUnavailable, DeadlineExceeded, dialling
from tests.clients.etcdctl import find_etcdctl
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.running import PROGRAM
from tests.pyetcdctl.serving import serving
from tests.pyetcdctl.test_both_clients import awaited, heard
from tests.pyetcdctl.test_odd_endpoints import HTTPS_NOWHERE, proxy, said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOON_S = 4.0


def wait(client: Any) -> Any:
    """The question."""
    return client.wait("/a")


@contextlib.contextmanager
def full(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Where nobody answers who knocks: a listener whose queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listener.getsockname())
        yield f"{host}:{listener.getsockname()[1]}"


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Where somebody takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def told_alike(url: str, directory: Path, *words: str, **more: str) -> str:
    """What both programs say of it, soon."""
    begun_s = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        asking = [
            pool.submit(said, program, url, directory, *words, **more)
            for program in (PROGRAM, (find_etcdctl(),))
        ]
        ours, theirs = (each.result() for each in asking)
    assert ours == theirs
    assert time.monotonic() - begun_s < SOON_S
    return ours[2]


@pytest.mark.parametrize("words", [("watch", "/a"), ("exec-watch", "/a", "--", "true")])
def test_a_watch_where_nobody_answers(words: tuple[str, ...], tmp_path: Path) -> None:
    """Goal: a watch does not wait half a minute for a connection when the total time-out is less.
    Method: both programs, with a short one.
    """
    options = ("--no-sync", "--total-timeout", "500ms")
    with full() as place:
        told = told_alike(f"http://{place}", tmp_path, *options, *words)
    assert f"error #0: dial tcp {place}: i/o timeout\n" in told


@pytest.mark.parametrize("ask", [heard, awaited])
def test_a_long_poll_where_nobody_answers(ask: Any) -> None:
    """Goal: the same of the library. Method: as above, with both clients."""
    begun_s = time.monotonic()
    with full() as place:
        told = ask(wait, f"http://{place}", total_timeout_s=0.3)
    assert time.monotonic() - begun_s < SOON_S
    assert told[0] is ClusterUnavailable
    assert f"dial tcp {place}: i/o timeout" in told[1]


def test_a_handshake_has_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a handshake that hangs ends a long poll after 10 s, as in Go, however long the dialling
    may take. Method: a shorter limit, and a server that takes connections and says nothing.
    """
    assert dialling.HANDSHAKE_S == 10.0
    monkeypatch.setattr(dialling, "HANDSHAKE_S", 0.2)
    with silent() as place:
        told = heard(wait, f"https://{place}", total_timeout_s=None)
        assert isinstance(told, tuple)
        assert "net/http: TLS handshake timeout" in told[1]
        told = awaited(wait, f"https://{place}", total_timeout_s=0.1)
        assert isinstance(told, tuple)
        assert "i/o timeout" in told[1]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_watch_that_is_sent_elsewhere(scheme: str, tmp_path: Path) -> None:
    """Goal: what a watch is redirected to has its header's time-out, unless it is a long poll, too.
    Method: a redirection without `wait=true` to who is silent; both programs and both clients.
    """
    with silent() as place:
        location = (("Location", f"{scheme}://{place}/v2/keys/a?x=1"),)
        with answering(lambda _target, _headers: Reply(b"", 307, headers=location)) as url:
            told = told_alike(url, tmp_path, "--no-sync", "--timeout", "300ms", "watch", "/a")
            late = f"client: endpoint {url} exceeded header timeout"
            assert late in told
            for ask in (heard, awaited):
                outcome = ask(wait, url, timeout_s=0.3)
                assert isinstance(outcome, tuple)
                assert late in outcome[1]


@pytest.mark.parametrize("ask", [heard, awaited])
def test_a_name_whose_first_address_is_silent(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: one silent address leaves the name's next one time enough. Method: a name of two; who
    asks has time for more than one, but not for twice as much.
    """
    node = Reply(b'{"action":"get","node":{"key":"/k","value":"v"}}')
    with answering(lambda _target, _headers: node) as url:
        port = int(url.rpartition(":")[2])
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))
            for host in ("127.0.0.5", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with full("127.0.0.5", port):
            name = f"http://two.test:{port}"
            told = ask(lambda client: client.get("/k"), name, timeout_s=3.9, total_timeout_s=3.9)
    assert "value='v'" in str(told)


@pytest.mark.parametrize(
    ("left_s", "addresses", "share_s"),
    [(30, 1, 30), (30, 3, 10), (6, 5, 2), (1.5, 2, 1.5), (0.5, 9, 0.5)],
)
def test_the_share_of_an_address(left_s: float, addresses: int, share_s: float) -> None:
    """Goal: an address has its share of what is left, and 2 s if there is so much. Method: Go's."""
    assert dialling.share_s(left_s, addresses) == share_s


@pytest.mark.parametrize(
    ("answer", "told"), [("502 Late gateway", "Late gateway"), ("200 OK", "EOF")]
)
def test_a_proxy_that_answers_late(
    answer: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: the limit of the dialling is not one for what a proxy has to dial. Method: one that
    answers later than that; a watch of both programs, a long poll of both clients.
    """
    with proxy(f"HTTP/1.1 {answer}\r\n\r\n".encode(), 0.6) as place:
        more = {"https_proxy": f"http://{place}"}
        options = ("--no-sync", "--total-timeout", "200ms")
        assert told in told_alike(HTTPS_NOWHERE, tmp_path, *options, "watch", "/a", **more)
        monkeypatch.setenv("https_proxy", more["https_proxy"])
        for ask in (heard, awaited):
            outcome = ask(wait, HTTPS_NOWHERE, total_timeout_s=0.2)
            assert isinstance(outcome, tuple)
            assert outcome[0] is ClusterUnavailable
            assert f"error #0: {told}\n" in outcome[1]


@contextlib.contextmanager
def leading(place: tuple[str, int], late_s: float) -> Iterator[str]:
    """A proxy that leads there, so late, wherever it is asked to lead."""
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked = self.request.recv(1 << 16)
            if ended.wait(late_s) or not asked.startswith(b"CONNECT "):
                return
            with socket.create_connection(place) as server:
                self.request.sendall(b"HTTP/1.1 200 Led\r\nX-Proxy: 1\r\n\r\n")
                ways = {self.request: server, server: self.request}
                while True:
                    for each in select.select([*ways], [], [])[0]:
                        data = each.recv(1 << 16)
                        if not data:
                            return
                        ways[each].sendall(data)

    proxying = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    proxying.daemon_threads = True
    with serving(proxying) as address:
        try:
            yield address
        finally:
            ended.set()


@pytest.mark.parametrize("ask", [heard, awaited])
def test_a_proxy_that_leads_on_late(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a long poll comes through a proxy that takes longer than the limit of the dialling.
    Method: a server of TLS's that is reached by one alone.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("192.0.2.1").configure_cert(context)
    node = Reply(b'{"action":"set","node":{"key":"/a","value":"v","modifiedIndex":9}}')
    with answering(lambda _target, _headers: node, context) as url:
        port = int(url.rpartition(":")[2])
        with leading(("127.0.0.1", port), 0.6) as place:
            monkeypatch.setenv("https_proxy", f"http://{place}")
            trusted = TLS(ca_file=str(tmp_path / "ca.crt"))
            told = ask(wait, HTTPS_NOWHERE, total_timeout_s=0.2, tls=trusted)
    assert "value='v'" in str(told)


@pytest.mark.parametrize("ask", [heard, awaited])
def test_a_silent_proxy(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a proxy has a minute to answer, as in Go, or as long as a header has; then it is told
    as by etcdctl. Method: one that says nothing, and a shorter minute.
    """
    assert dialling.CONNECT_S == 60.0
    monkeypatch.setattr(dialling, "CONNECT_S", 0.2)
    monkeypatch.setattr(dialling, "HANDSHAKE_S", 0.2)
    with silent() as place:
        monkeypatch.setenv("https_proxy", f"http://{place}")
        told = ask(wait, HTTPS_NOWHERE, total_timeout_s=0.2)
        assert told == (DeadlineExceeded, "context deadline exceeded")
        monkeypatch.setattr(dialling, "CONNECT_S", 60.0)
        told = ask(lambda client: client.get("/a"), HTTPS_NOWHERE, timeout_s=0.2)
        assert isinstance(told, tuple)
        assert f"error #0: client: endpoint {HTTPS_NOWHERE} exceeded header timeout\n" in told[1]
