"""Requests that are wrong in one way, and large ones that are right."""

import json
import random
import urllib.parse

import pytest

from tests.adversity.victim import Victim, error_of, raw, statuses
from tests.oracle import Request, fetch
from tests.oracle.wire import FORM

MIB = 1 << 20
POST_MAX_BYTES = 10 * MIB
HEAD_MAX_BYTES = 1 * MIB
PIPELINED = 1000
DEPTH = 2000
LONG_S = 60.0

H = b"Host: x\r\n"
WRONG = {
    "nothing": b"",
    "newlines": b"\r\n\r\n\r\n",
    "one word": b"GET\r\n\r\n",
    "no version": b"GET /v2/keys/a\r\n\r\n",
    "HTTP/0.9": b"GET /v2/keys/a HTTP/0.9\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.9": b"GET /v2/keys/a HTTP/1.9\r\n" + H + b"\r\n",
    "HTTP/11.1": b"GET / HTTP/11.1\r\n" + H + b"\r\n",
    "version in words": b"GET / HTTP/one\r\n" + H + b"\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "NUL in path": b"GET /v2/keys/\0 HTTP/1.1\r\n" + H + b"\r\n",
    "space in path": b"GET /v2/keys/a b HTTP/1.1\r\n" + H + b"\r\n",
    "tab for space": b"GET\t/v2/keys/a\tHTTP/1.1\r\n" + H + b"\r\n",
    "bad escape": b"GET /v2/keys/%zz HTTP/1.1\r\n" + H + b"\r\n",
    "cut escape": b"GET /v2/keys/%a HTTP/1.1\r\n" + H + b"\r\n",
    "no slash": b"GET v2/keys HTTP/1.1\r\n" + H + b"\r\n",
    "star": b"GET * HTTP/1.1\r\n" + H + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bad host": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "header without colon": b"GET / HTTP/1.1\r\n" + H + b"nonsense\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\n" + H + b"A : b\r\n\r\n",
    "header without name": b"GET / HTTP/1.1\r\n" + H + b": b\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n c\r\n\r\n",
    "NUL in header": b"GET / HTTP/1.1\r\n" + H + b"A: \0\r\n\r\n",
    "CR in header": b"GET / HTTP/1.1\r\n" + H + b"A: b\rc\r\n\r\n",
    "raw bytes in header": b"GET / HTTP/1.1\r\n" + H + b"A: \xff\xfe\r\n\r\n",
    "length minus": b"PUT /v2/keys/a HTTP/1.1\r\n" + H + b"Content-Length: -1\r\n\r\n",
    "length plus": b"PUT /v2/keys/a HTTP/1.1\r\n" + H + b"Content-Length: +1\r\n\r\nx",
    "length word": b"PUT /v2/keys/a HTTP/1.1\r\n" + H + b"Content-Length: ten\r\n\r\n",
    "length huge": b"PUT /v2/keys/a HTTP/1.1\r\n"
    + H
    + b"Content-Length: "
    + b"9" * 40
    + b"\r\n\r\n",
    "length twice": b"PUT /v2/keys/a HTTP/1.1\r\n"
    + H
    + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length and chunks": b"PUT /v2/keys/a HTTP/1.1\r\n"
    + H
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"PUT /v2/keys/a HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip\r\n\r\n",
    "no chunk size": b"PUT /v2/keys/a HTTP/1.1\r\n"
    + H
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "chunk too short": b"PUT /v2/keys/a HTTP/1.1\r\n"
    + H
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n",
    "chunk size huge": b"PUT /v2/keys/a HTTP/1.1\r\n"
    + H
    + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "expectation": b"PUT /v2/keys/a HTTP/1.1\r\n" + H + b"Expect: miracles\r\n\r\n",
    "upgrade": b"GET /v2/keys/a HTTP/1.1\r\n" + H + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\n" + H + b"\r\n",
    "TRACE": b"TRACE /v2/keys/a HTTP/1.1\r\n" + H + b"\r\n",
    "absolute": b"GET http://a/v2/keys/nothing HTTP/1.1\r\n" + H + b"\r\n",
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("path", [b"/v2/keys/a", b"/v2/members", b"/v2/stats/self"])
def test_wrong_requests(name: str, path: bytes, victim: Victim) -> None:
    """Goal: a 4xx or an end of the connection, never a 5xx. Method: one mistake each, the client
    then says that nothing more comes."""
    got = raw(victim, WRONG[name].replace(b"/v2/keys/a", path))
    assert all(status < 500 for status in statuses(got)), got
    assert not got or got.startswith(b"HTTP/1."), got


def test_a_wrong_request_behind_a_right_one(victim: Victim) -> None:
    """Goal: the right one is answered first. Method: both in one packet."""
    for wrong in WRONG.values():
        got = raw(victim, b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n" + wrong)
        assert statuses(got)[:1] == [200], (wrong, got)
        assert all(status < 500 for status in statuses(got)), (wrong, got)


@pytest.mark.parametrize("shape", ["one line", "many lines", "request line", "no end"])
def test_header_bombs(shape: str, victim: Victim) -> None:
    """Goal: heads beyond 1 MiB are refused and not kept. Method: 3 MiB of each shape."""
    size = 3 * HEAD_MAX_BYTES
    start = b"GET /v2/keys/a HTTP/1.1\r\nHost: x\r\n"
    data = {
        "one line": start + b"A: " + b"b" * size + b"\r\n\r\n",
        "many lines": start + b"A: b\r\n" * (size // 6) + b"\r\n",
        "request line": b"GET /v2/keys/" + b"a" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "no end": b"A" * size,
    }[shape]
    got = raw(victim, data, end=False)
    assert statuses(got) in ([431], [400], []), got[:300]


def test_a_body_over_the_limit(victim: Victim) -> None:
    """Goal: 400, errorCode 210, etcd's cause. Method: one byte more than 10 MiB, with a length and
    in chunks."""
    body = b"value=" + b"x" * (POST_MAX_BYTES - 5)
    headers = (("Content-Type", FORM),)
    for chunk_bytes in (0, 1 * MIB):
        request = Request("PUT", b"/v2/keys/big", headers, body, chunk_bytes=chunk_bytes)
        answer = fetch(victim.client_port, request, timeout_s=LONG_S)
        assert error_of(answer) == (400, 210, "http: POST too large")


def test_the_largest_value(victim: Victim) -> None:
    """Goal: a body of exactly 10 MiB is stored and read back. Method: compare every byte; several
    times, as each fills most of a log segment."""
    value = random.Random(5).randbytes(POST_MAX_BYTES // 2 - 3).hex()
    body = f"value={value}"
    assert len(body) == POST_MAX_BYTES
    for size in (POST_MAX_BYTES, 7 * MIB, POST_MAX_BYTES, 100, POST_MAX_BYTES):
        request = Request.form("PUT", "/v2/keys/largest", body[:size])
        put = fetch(victim.client_port, request, timeout_s=LONG_S)
        assert put.status in (200, 201), (size, put.body[:200])
        got = fetch(victim.client_port, Request("GET", b"/v2/keys/largest"), timeout_s=LONG_S)
        assert json.loads(got.body)["node"]["value"] == value[: size - 6]
    request = Request("DELETE", b"/v2/keys/largest")
    assert fetch(victim.client_port, request, timeout_s=LONG_S).status == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/json", "multipart/form-data; boundary=x", "x", "\xff/y"],
)
def test_other_content_types(content_type: str | None, victim: Victim) -> None:
    """Goal: the body is ignored, the write succeeds with an empty value, or 400 with a v2 error.
    Method: a form body under another name."""
    headers = () if content_type is None else (("Content-Type", content_type),)
    request = Request("PUT", b"/v2/keys/typed", headers, b"value=x")
    answer = fetch(victim.client_port, request)
    if answer.status == 400:
        assert json.loads(answer.body)["errorCode"] == 210
    else:
        assert json.loads(answer.body)["node"]["value"] == ""


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded; =", "; bad", FORM + "; charset=klingon"]
)
def test_broken_content_types(content_type: str, victim: Victim) -> None:
    """Goal: etcd's 210, or the value. Method: broken parameters of the media type."""
    headers = (("Content-Type", content_type),)
    answer = fetch(victim.client_port, Request("PUT", b"/v2/keys/typed", headers, b"value=x"))
    if answer.status >= 400:
        status, code, cause = error_of(answer)
        assert (status, code) == (400, 210)
        assert cause.startswith("mime: ")
    else:
        assert json.loads(answer.body)["node"]["value"] == "x"


@pytest.mark.parametrize(
    "parameters",
    [";a=b" * 200_000, "".join(f";a{n}=b" for n in range(90_000)), ';a="' + "\\a" * 400_000],
    ids=["one name", "many names", "a quote"],
)
def test_a_content_type_of_a_megabyte(parameters: str, victim: Victim) -> None:
    """Goal: it costs what its length costs, not the square of that: whoever holds up a leader for
    longer than an election's time-out deposes it. Method: three shapes, answered within the time
    that is allowed for one request.
    """
    headers = (("Content-Type", FORM + parameters),)
    answer = fetch(victim.client_port, Request("PUT", b"/v2/keys/typed", headers, b"value=x"))
    assert answer.status in (200, 201, 400), answer.body[:200]


def test_chunks_in_odd_pieces(victim: Victim) -> None:
    """Goal: chunk borders and packet borders mean nothing. Method: the same chunked form, cut at
    every position into two packets."""
    body = "value=" + urllib.parse.quote("a b&c=d;é") + "&ttl="
    request = Request.form("PUT", "/v2/keys/pieces", body)
    sizes = (1, 2, 3, 7, len(body))
    for chunk_bytes in sizes:
        headers = request.headers
        data = Request(
            "PUT", request.target, headers, body.encode(), chunk_bytes=chunk_bytes
        ).encoded()
        with victim.connect() as connection:
            for cut in range(1, len(data), 3):
                connection.send(data[:cut])
                connection.send(data[cut:])
                answer = connection.answer("PUT")
                assert answer.status in (200, 201), (chunk_bytes, cut, answer)
                assert json.loads(answer.body)["node"]["value"] == "a b&c=d;é"


def test_a_thousand_pipelined_requests(victim: Victim) -> None:
    """Goal: each is answered, in order. Method: all in one write, writes and reads in turn."""
    requests = []
    for number in range(PIPELINED // 2):
        requests.append(Request.form("PUT", f"/v2/keys/line/{number}", f"value={number}"))
        requests.append(Request("GET", f"/v2/keys/line/{number}".encode()))
    with victim.connect() as connection:
        connection.send(b"".join(request.encoded() for request in requests))
        for number, request in enumerate(requests):
            answer = connection.answer(request.method, timeout_s=LONG_S)
            assert answer.status in (200, 201), answer
            node = json.loads(answer.body)["node"]
            assert (node["key"], node["value"]) == (f"/line/{number // 2}", str(number // 2))


def test_deep_keys(victim: Victim) -> None:
    """Goal: depth costs no recursion. Method: a key of 2,000 levels is written, listed from the
    root, watched from the root, deleted."""
    key = "/deep" + "/d" * DEPTH
    port = victim.client_port
    assert fetch(port, Request.form("PUT", f"/v2/keys{key}", "value=x")).status == 201
    assert fetch(port, Request("GET", f"/v2/keys{key}".encode())).status == 200
    listed = fetch(port, Request("GET", b"/v2/keys/deep?recursive=true&sorted=true"))
    assert listed.status == 200
    assert listed.body.count(b'"dir":true') == DEPTH
    assert fetch(port, Request("GET", b"/v2/keys" + b"/n" * DEPTH)).status == 404
    assert fetch(port, Request("DELETE", b"/v2/keys/deep?recursive=true")).status == 200


def test_keys_and_values_of_every_byte(victim: Victim) -> None:
    """Goal: any byte may be in a key and in a value. Method: each of the 256, escaped; and raw
    where a request line allows it."""
    for byte in range(256):
        escaped = f"%{byte:02x}"
        target = f"/v2/keys/bytes/x{escaped}y"
        put = fetch(victim.client_port, Request.form("PUT", target, f"value={escaped}"))
        assert put.status in (200, 201), (byte, put)
        got = fetch(victim.client_port, Request("GET", target.encode()))
        assert got.status == 200, (byte, got)
        json.loads(got.body)
        line = b"GET /v2/keys/bytes/x" + bytes([byte]) + b"y HTTP/1.1\r\nHost: x\r\n\r\n"
        assert all(status < 500 for status in statuses(raw(victim, line))), byte
    listed = fetch(victim.client_port, Request("GET", b"/v2/keys/bytes?recursive=true"))
    json.loads(listed.body)
