"""Two lanes and one connection: what a client sends is acted upon once, in order, or not at all.

All against a running server over plain sockets; each case was once a defect.
"""

import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.oracle import Pyetcd, Request, fetch

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
DEADLINE_S = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[Pyetcd]:
    with Pyetcd() as running:
        yield running


def raw(server: Pyetcd, *parts: bytes, half_close: bool = False) -> bytes:
    """Send the parts one after another; return all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", server.client_port), DEADLINE_S) as connection:
        received = b""
        for number, part in enumerate(parts):
            if number:  # the answer to what came before tells that it was read
                received += connection.recv(65536)
            try:
                connection.sendall(part)
            except OSError:
                return received
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        return received


def put(key: bytes, value: bytes, headers: bytes = b"", version: bytes = b"1.1") -> bytes:
    body = b"value=" + value
    return b"PUT /v2/keys%b HTTP/%b\r\nHost: x\r\n%b%bContent-Length: %d\r\n\r\n%b" % (
        key,
        version,
        FORM,
        headers,
        len(body),
        body,
    )


def exists(server: Pyetcd, key: bytes) -> bool:
    return fetch(server.client_port, Request("GET", b"/v2/keys" + key)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        b"Connection: close\r\nContent-Length: 100000\r\n\r\n",
        b"Content-Type: text/plain\r\nContent-Length: 400000\r\n\r\n",
        b"Content-Type: a/b\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    ],
    ids=["close", "long unread body", "awaited body"],
)
def test_nothing_behind_an_answer_that_closes_is_acted_upon(server: Pyetcd, headers: bytes) -> None:
    """Goal: a client that was told "close" may retry elsewhere; nothing must happen twice. Method:
    a body nobody reads, half of it and then, behind the answer, the rest and a write."""
    first = b"PUT /v2/keys/s HTTP/1.1\r\nHost: x\r\n" + headers
    length = int(headers.split(b"Content-Length: ")[1].split(b"\r")[0])
    half = b"x" * (length // 2)
    answer = raw(server, first + half, half + put(b"/smuggled", b"1"))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer
    # Had it been proposed, this later write would come after it.
    assert fetch(server.client_port, Request("PUT", b"/v2/keys/later")).status in (200, 201)
    assert not exists(server, b"/smuggled")


@pytest.mark.parametrize(
    "request_bytes",
    [
        put(b"/hc", b"1"),
        put(b"/hc", b"1", version=b"1.0"),
        put(b"/hc", b"1", headers=b"X: %b\r\n" % (b"x" * 100)),
        b"GET /v2/keys?quorum=true HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/keys?wait=true HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["put", "put 1.0", "put long", "quorum", "poll", "version"],
)
def test_a_client_that_says_no_more_is_answered(server: Pyetcd, request_bytes: bytes) -> None:
    """Goal: `nc -N` and scripts get their answer. Method: shut the sending side down at once."""
    answer = raw(server, request_bytes, half_close=True)
    assert answer.startswith((b"HTTP/1.1 20", b"HTTP/1.0 20"))


def test_three_pipelined_requests_and_no_more_are_all_answered(server: Pyetcd) -> None:
    """Goal: the same for both lanes mixed. Method: express, aiohttp, express, then shut down."""
    middle = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = raw(server, put(b"/p", b"1") + middle + put(b"/p", b"2"), half_close=True)
    assert answer.count(b"HTTP/1.1 20") == 3


@pytest.mark.parametrize(
    "body",
    [
        b"7 \r\nvalue=1\r\n0\r\n\r\n",
        b"7;a\rb\r\nvalue=1\r\n0\r\n\r\n",
        b"7\r\nvalue=1XX0\r\n\r\n",
        b"7\r\nvalue=1\r\n0\r\nXXXX\r\n\r\n",
        b"zz\r\n",
        b"7\r\nval",
    ],
)
def test_no_chunked_body_leaves_a_client_waiting(server: Pyetcd, body: bytes) -> None:
    """Goal: an answer, whichever of the two readers stumbles. Method: bodies they disagree about,
    each followed by the end of what the client says."""
    head = b"PUT /v2/keys/c HTTP/1.1\r\nHost: x\r\n%bTransfer-Encoding: chunked\r\n\r\n" % FORM
    started = time.monotonic()
    answer = raw(server, head + body, half_close=True)
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 400"))
    assert time.monotonic() - started < DEADLINE_S


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2/keys HTTP/1.1\r\nHost: x\n\r\n",
        b"GET /v2/keys HTTP/1.1\nHost: x\n\n",
        b"GET /v2/keys HTTP/1.1\r\nHost: x\r\nContent-Length-Hint: 5\r\n\r\n",
        b"GET /v2/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 0000000000000000000000\r\n\r\n",
    ],
)
def test_odd_heads_that_go_serves(server: Pyetcd, head: bytes) -> None:
    """Goal: what etcd answers is answered. Method: heads that were once refused or kept waiting."""
    assert raw(server, head, half_close=True).startswith(b"HTTP/1.1 200")


def test_a_body_in_many_packets_takes_the_express_lane_whole(server: Pyetcd) -> None:
    """Goal: the value is what was sent. Method: head and body byte by byte, then a second write."""
    with socket.create_connection(("127.0.0.1", server.client_port), DEADLINE_S) as connection:
        for byte in put(b"/slow", b"abc"):
            connection.sendall(bytes((byte,)))
        assert b'"value":"abc"' in connection.recv(65536)
        connection.sendall(put(b"/slow", b"def"))
        assert b'"value":"def"' in connection.recv(65536)


def test_a_stop_lets_a_large_answer_out() -> None:
    """Goal: what was begun is finished. Method: ask for 8 MB, stop the server, then read it."""
    with Pyetcd() as other:
        value = b"v" * 4_000_000
        for key in (b"/big/a", b"/big/b"):
            request = Request.form("PUT", b"/v2/keys" + key, b"value=" + value)
            assert fetch(other.client_port, request).status == 201
        with socket.create_connection(("127.0.0.1", other.client_port), DEADLINE_S) as connection:
            connection.sendall(b"GET /v2/keys/big HTTP/1.1\r\nHost: x\r\n\r\n")
            received = connection.recv(65536)
            os.kill(other.pid, signal.SIGTERM)
            while data := connection.recv(1 << 20):
                received += data
        assert len(received) > 8_000_000
        assert received.endswith(b"\r\n0\r\n\r\n")
