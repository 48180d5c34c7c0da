"""Answers that break the rules of HTTP: told in bounded time, by both clients alike."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyetcdctl import BadAnswer, ClusterUnavailable, Refused
from tests.clients.etcdctl import find_etcdctl
from tests.pyetcdctl.running import END_S, PROGRAM, environment
from tests.pyetcdctl.saying import saying
from tests.pyetcdctl.test_both_clients import awaited, heard

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = b'{"action":"get","node":{"key":"/a","value":"v","modifiedIndex":5,"createdIndex":5}}'
SHORT = b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 5\r\nContent-Length: %d\r\n\r\n%b" % (
    len(NODE) + 9,
    NODE,
)


def whole(head: bytes = b"", body: bytes = NODE, status: bytes = b"200 OK") -> bytes:
    """An answer with some more lines in its head."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, head, len(body), body)


def elsewhere(location: bytes) -> bytes:
    """A redirection."""
    return whole(b"Location: %b\r\n" % location, b"", b"307 Temporary Redirect")


def sized(*sizes: bytes) -> bytes:
    """An answer that says these lengths."""
    lines = b"".join(b"Content-Length: %b\r\n" % size for size in sizes)
    return b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (lines, NODE)


def bodiless(status: bytes) -> bytes:
    """An answer of a status that has no body, and says that it comes in chunks."""
    return b"HTTP/1.1 %b\r\nTransfer-Encoding: chunked\r\n\r\n" % status


def chunked(size: bytes, encoding: bytes = b"chunked") -> bytes:
    """An answer in chunks, with the size of the first one."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n" % encoding
    return head + size + b"\r\n" + NODE + b"\r\n0\r\n\r\n"


ODD: dict[str, bytes] = {
    "a length that is no number": sized(b"abc"),
    "a negative length": sized(b"-5"),
    "a length with a sign": sized(b"+5"),
    "a length of many digits": sized(b"9" * 5000),
    "two lengths": sized(b"5", b"6"),
    "a chunk that is no number": chunked(b"zz"),
    "a chunk that is less than nothing": chunked(b"-5"),
    "a chunk of many digits": chunked(b"f" * 5000),
    "chunks": chunked(b"%x;x=y" % len(NODE)),
    "chunks of nothing": bodiless(b"204 No Content"),
    "chunks of what is not modified": bodiless(b"304 Not Modified"),
    "no status": whole(status=b"99 What"),
    "many digits": whole(status=b"2000 What"),
    "another reason": whole(status=b"502 \xff\xfe"),
    "no HTTP": b"SSH-2.0-OpenSSH_9\r\n",
    "a line without a colon": whole(b"bad header line\r\n"),
    "many lines": whole(b"".join(b"X-%d: a\r\n" % number for number in range(500))),
    "a long line": whole(b"X-Long: %b\r\n" % (b"a" * 100_000)),
    "a folded line": whole(b"X-Folded: 1\r\n 2\r\n"),
    "half a character": whole(body=NODE.replace(b'"v"', rb'"\ud800x\ud83d\ude00"')),
    "to a path": elsewhere(b"/elsewhere"),
    "to a name": elsewhere(b"elsewhere"),
    "to no scheme": elsewhere(b"//127.0.0.1:1/"),
    "to no URL": elsewhere(b":x"),
    "to no port": elsewhere(b"http://127.0.0.1:x/"),
    "to mail": elsewhere(b"mailto:x"),
    "to nobody": elsewhere(b"http://127.0.0.1:1/v2/keys/a"),
}
# What aiohttp lets pass, and what it waits for until a time-out.
ONLY_CLIENT: dict[str, bytes] = {
    "another encoding": chunked(b"5", b"gzip"),
    "too many beginnings": b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + whole(),
    "a length beyond all": sized(b"9" * 19),
}


def key(client: Any) -> Any:
    """The question."""
    return client.get("/a")


def printed(program: tuple[str, ...], *urls: str) -> tuple[int, str, str]:
    """What a command line makes of it."""
    done = subprocess.run(
        [*program, "--no-sync", "--endpoints", ",".join(urls), "get", "/a"],
        env=environment("", ETCDCTL_API="2"),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("ask", [heard, awaited])
def test_a_body_that_ends_early(ask: Callable[..., object]) -> None:
    """Goal: half an answer is none, also if what came is good JSON. Method: a body shorter than its
    Content-Length.
    """
    with saying(SHORT) as url:
        assert ask(key, url) == (
            ClusterUnavailable,
            "client: etcd cluster is unavailable or misconfigured; error #0: unexpected EOF\n",
        )


def test_a_body_that_ends_early_is_told_as_etcdctl_does() -> None:
    """Goal: the same words and exit code. Method: both, side by side."""
    with saying(SHORT) as url:
        assert printed(PROGRAM, url) == printed((find_etcdctl(),), url)


@pytest.mark.parametrize("what", ODD | ONLY_CLIENT)
def test_told_as_etcdctl_does(what: str) -> None:
    """Goal: the same words and exit code, also while the connection stays open. Method: both
    command lines, side by side.
    """
    with saying((ODD | ONLY_CLIENT)[what], hangs_up=False) as url:
        assert printed(PROGRAM, url) == printed((find_etcdctl(),), url)


@pytest.mark.parametrize("what", ODD)
def test_both_clients_take_it_alike(what: str) -> None:
    """Goal: the same answer or the same kind of error, at once. Method: ask both; nobody hangs up,
    and the time-outs are long.
    """
    with saying(ODD[what], hangs_up=False) as url:
        options = {"timeout_s": 60.0, "total_timeout_s": 60.0}
        begun = time.monotonic()
        one, other = heard(key, url, **options), awaited(key, url, **options)
        assert time.monotonic() - begun < 20
        assert isinstance(one, tuple)
        assert isinstance(other, tuple)
        assert one[0] == other[0]
        if not isinstance(one[0], type):
            assert one == other


@pytest.mark.parametrize("index", ["9" * 5000, "18446744073709551616", "-5", "\u0665\u00b2", "x"])
@pytest.mark.parametrize("ask", [heard, awaited])
def test_an_index_that_is_none(ask: Callable[..., object], index: str) -> None:
    """Goal: it is refused in Go's words; taken for none, it would begin a watch with all that was
    ever there. Method: ask for a key, and wait for one behind an index.
    """
    with saying(whole(b"X-Etcd-Index: %b\r\n" % index.encode())) as url:
        for question in (key, lambda c: c.wait("/a", wait_index=3)):
            found = ask(question, url)
            assert isinstance(found, tuple)
            assert found[0] is BadAnswer
            assert found[1].startswith("strconv.ParseUint: parsing ")


@pytest.mark.parametrize("head", [b"", b"X-Etcd-Index:\r\n", b"X-Etcd-Index: \r\n"])
@pytest.mark.parametrize("ask", [heard, awaited])
def test_no_index(ask: Callable[..., object], head: bytes) -> None:
    """Goal: an answer whose index a proxy has taken away is one. Method: as above."""
    with saying(whole(head)) as url:
        for question in (key, lambda c: c.wait("/a", wait_index=3)):
            found = ask(question, url)
            assert isinstance(found, tuple)
            assert found[1].value == "v"


def test_a_refusal_without_a_bottom() -> None:
    """Goal: a refusal that cannot be read says why, as etcdctl does. Method: 100,000 lists."""
    body = b'{"message":' + b"[" * 100_000

    def add(client: Any) -> Any:
        return client.add_member(["http://127.0.0.1:1"])

    with saying(whole(body=body, status=b"409 Conflict")) as url:
        told = "invalid character '[' exceeded max depth"
        assert heard(add, url) == (Refused, told) == awaited(add, url)
