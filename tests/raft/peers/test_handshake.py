"""The heads of the handshake: strict, and read the same way by another reader."""

from http import HTTPStatus

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.peers.handshake import (
    BadAnswer,
    Declined,
    Hello,
    Refusal,
    Welcome,
    decline,
    read_answer,
    read_request,
    request,
    welcome,
)

IDS = st.integers(1, 2**64 - 1)
BIRTHS = st.integers(1, 2**32 - 1)
DIALS = st.integers(0, 2**40)
VERSIONS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=64)
HELLOS = st.builds(
    Hello,
    cluster_id=IDS,
    sender=IDS,
    wanted=IDS,
    incarnation=IDS,
    dial=DIALS,
    seen=st.none() | st.tuples(IDS, DIALS),
    births=st.dictionaries(IDS, BIRTHS, max_size=9),
    version=VERSIONS,
)
WELCOMES = st.builds(
    Welcome,
    cluster_id=IDS,
    sender=IDS,
    wanted=IDS,
    incarnation=IDS,
    births=st.dictionaries(IDS, BIRTHS, max_size=9),
    version=VERSIONS,
)
HELLO = Hello(0xC, 1, 2, 3, 4, (5, 6), births={1: 7, 2: 8}, version="3.4.23")
PLAIN = request(HELLO, "10.0.0.2:2380")
NEEDED = [
    b"X-Etcd-Cluster-ID",
    b"X-Server-From",
    b"X-Raft-To",
    b"X-Raft-Incarnation",
    b"X-Raft-Dial",
]


def without(name: bytes) -> bytes:
    """The plain request without one header."""
    lines = PLAIN.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(name + b":"))


def having(line: bytes) -> bytes:
    """The plain request with one more line."""
    return PLAIN[:-2] + line + b"\r\n\r\n"


@given(HELLOS)
def test_a_request_says_what_was_meant(hello: Hello) -> None:
    """Goal: both sides agree on every field. Method: write and read."""
    assert read_request(request(hello, "h:1")) == hello


@given(WELCOMES)
def test_an_answer_says_what_was_meant(answer: Welcome) -> None:
    """Goal: as for requests. Method: write and read."""
    assert read_answer(welcome(answer)) == answer


@pytest.mark.parametrize("status", [400, 409, 410, 412, 426, 431, 503])
def test_a_refusal_says_who_refuses(status: int) -> None:
    """Goal: a dialer can tell a member's refusal from that of whatever else listens there.
    Method: write and read; llhttp finds the same status and body."""
    answer = decline(Refusal(HTTPStatus(status), "why"), 0xC, 2)
    head, end, body = answer.partition(b"\r\n\r\n")
    assert read_answer(head + end) == Declined(status, 0xC, 2)
    assert body == b"why\n"

    class Seen:
        body = b""

        def on_body(self, data: bytes) -> None:
            self.body += data

    seen = Seen()
    parser = httptools.HttpResponseParser(seen)
    parser.feed_data(answer)
    assert (parser.get_status_code(), seen.body) == (status, b"why\n")


def test_llhttp_sees_an_upgrade() -> None:
    """Goal: what is between members takes it for the upgrade it is. Method: a second reader."""
    parser = httptools.HttpRequestParser(object())
    with pytest.raises(httptools.HttpParserUpgrade):
        parser.feed_data(PLAIN)
    assert (parser.get_method(), parser.should_upgrade()) == (b"GET", True)


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_must_be_there_once(name: bytes) -> None:
    """Goal: nothing is guessed. Method: leave a header out, or say it twice, even with the same
    value."""
    line = next(line for line in PLAIN.split(b"\r\n") if line.startswith(name))
    for head in (without(name), having(line)):
        with pytest.raises(Refusal) as refused:
            read_request(head)
        assert refused.value.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    "head",
    [
        PLAIN.replace(b"X-Server-From: 1", b"X-Server-From: 0"),
        PLAIN.replace(b"X-Server-From: 1", b"X-Server-From: +1"),
        PLAIN.replace(b"X-Server-From: 1", b"X-Server-From: 0x1"),
        PLAIN.replace(b"X-Server-From: 1", b"X-Server-From: 1_0"),
        PLAIN.replace(b"X-Server-From: 1", b"X-Server-From: " + b"1" * 17),
        PLAIN.replace(b"X-Server-From: 1", b"X-Server-From: \xd9\xa1"),
        PLAIN.replace(b"X-Server-From: 1", b"X-Server-From : 1"),
        PLAIN.replace(b"X-Server-From: 1", b"X-Server-From: 1\n"),
        PLAIN.replace(b"X-Server-From: 1\r\n", b"X-Server-From:\r\n 1\r\n"),
        PLAIN.replace(b"X-Raft-Dial: 4", b"X-Raft-Dial: -4"),
        PLAIN.replace(b"X-Raft-Dial: 4", b"X-Raft-Dial: " + b"9" * 5000),
        PLAIN.replace(b"X-Raft-Seen: 5/6", b"X-Raft-Seen: 5"),
        PLAIN.replace(b"X-Raft-Seen: 5/6", b"X-Raft-Seen: /6"),
        PLAIN.replace(b"3.4.23", b"3.4 23"),
        PLAIN.replace(b"3.4.23", b"3" * 65),
        PLAIN.replace(b" HTTP/1.1", b" HTTP/1.0"),
        having(b"no colon"),
        having(b": no name"),
        having(b"Content-Length: 1"),
        having(b"Transfer-Encoding: chunked"),
        having(b"X: \x00"),
        having(b"X: \x1b[2J"),
    ],
)
def test_a_malformed_request_is_refused(head: bytes) -> None:
    """Goal: one reading or none. Method: requests that are almost right."""
    assert head != PLAIN
    with pytest.raises(Refusal) as refused:
        read_request(head)
    assert refused.value.status == HTTPStatus.BAD_REQUEST
    assert refused.value.text.isascii()
    assert len(refused.value.text) < 100


@pytest.mark.parametrize(
    "head",
    [
        PLAIN.replace(b"pyetcd-raft/1", b"pyetcd-raft/2"),
        PLAIN.replace(b"pyetcd-raft/1", b"websocket"),
        without(b"Upgrade"),
        without(b"Connection"),
        PLAIN.replace(b"Connection: Upgrade", b"Connection: keep-alive"),
    ],
)
def test_another_protocol_needs_an_upgrade(head: bytes) -> None:
    """Goal: a member of another release is told what is spoken here. Method: other protocols."""
    with pytest.raises(Refusal, match="pyetcd-raft/1") as refused:
        read_request(head)
    assert refused.value.status == HTTPStatus.UPGRADE_REQUIRED
    assert b"Upgrade: pyetcd-raft/1\r\n" in decline(refused.value, 1, 2)


def test_what_later_releases_add_is_ignored() -> None:
    """Goal: room for growth. Method: an unknown header, and options beside Upgrade."""
    assert read_request(having(b"X-Later: yes")) == HELLO
    beside = PLAIN.replace(b"Connection: Upgrade", b"Connection: keep-alive, upgrade")
    assert read_request(beside) == HELLO


@given(st.integers(0, len(PLAIN) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_a_mangled_request_is_read_or_refused(at: int, put: bytes, gone: int) -> None:
    """Goal: no other exception, whatever comes. Method: replace some bytes of a right request."""
    try:
        read_request(PLAIN[:at] + put + PLAIN[at + gone :])
    except Refusal as refusal:
        decline(refusal, 1, 2)


@given(st.binary(max_size=200), st.integers(0, 200), st.binary(max_size=4))
def test_a_mangled_answer_is_read_or_refused(garbage: bytes, at: int, put: bytes) -> None:
    """Goal: no other exception from what answers a dialer. Method: garbage, and an answer with some
    bytes replaced."""
    plain = welcome(Welcome(0xC, 2, 1, 9, births={1: 7, 2: 8}, version="3.4.23"))
    for head in (garbage, plain[:at] + put + plain[at + len(put) :]):
        try:
            read_answer(head)
        except BadAnswer:
            continue


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        welcome(Welcome(1, 2, 3, 4, births={}, version="")).replace(b"pyetcd-raft/1", b"websocket"),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 999 No\r\n\r\n",
    ],
)
def test_an_answer_that_takes_up_something_else_is_none(answer: bytes) -> None:
    """Goal: only our protocol is taken for it. Method: other answers."""
    with pytest.raises(BadAnswer):
        read_answer(answer)


def test_a_stranger_s_answer_names_nobody() -> None:
    """Goal: 410 from any web server is not taken for a removal. Method: an answer without ids."""
    answer = read_answer(b"HTTP/1.1 410 Gone\r\nServer: nginx\r\n\r\n")
    assert answer == Declined(410, None, None)
