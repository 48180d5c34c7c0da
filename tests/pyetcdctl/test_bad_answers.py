"""What is no answer of an etcd is never taken for one, whatever its status says."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from pyetcdctl import BadAnswer, Client, ClusterUnavailable
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.running import run
from tests.pyetcdctl.test_both_clients import Question, awaited, heard

INVALID = BadAnswer(BadAnswer.INVALID)

NO_RESULTS = [
    "{}",
    "[]",
    "null",
    "5",
    '{"foo": 1}',
    '{"node": null}',
    '{"node": []}',
    '{"node": "x"}',
    '{"node": {}}',
    '{"node": {"value": "v"}}',
    '{"node": {"key": 5}}',
    '{"node": {"key": "/a", "value": 7}}',
    '{"node": {"key": "/a", "dir": "yes"}}',
    '{"node": {"key": "/a", "dir": true, "nodes": {}}}',
    '{"node": {"key": "/a", "dir": true, "nodes": [null]}}',
    '{"node": {"key": "/a", "modifiedIndex": "7"}}',
    '{"node": {"key": "/a", "modifiedIndex": -3}}',
    '{"node": {"key": "/a", "createdIndex": 1.5}}',
    '{"node": {"key": "/a", "ttl": true}}',
    '{"action": 5, "node": {"key": "/a"}}',
    '{"node": {"key": "/a"}, "prevNode": []}',
    '{"node": {"key": "/a"}, "more": NaN}',
    '{"node": {"key": "/a"}, "more": -Infinity}',
]
PLAIN = b'{"action":"get","node":{"key":"/a","value":"v"}}'
PACKED = gzip.compress(PLAIN, mtime=0)
DEEP = "[" * 200_000
KEYS: dict[str, Question] = {
    "get": lambda c: c.get("/a"),
    "set": lambda c: c.set("/a", "v"),
    "mk": lambda c: c.set("/a", "v", prev_exist=False),
    "post": lambda c: c.create_in_order("/a", "v"),
    "refresh": lambda c: c.refresh("/a", 5),
    "delete": lambda c: c.delete("/a"),
    "wait": lambda c: c.wait("/a"),
}


@pytest.mark.parametrize("body", NO_RESULTS)
def test_an_answer_without_a_node(body: str) -> None:
    """Goal: nobody takes it for a key that is there, or for a write that happened. Method: a server
    that says 200 and 201 to everything; both clients and the command line.
    """
    for status in (200, 201):
        with answering(lambda _path, _headers, s=status: Reply(body.encode(), s)) as url:
            for question in KEYS.values():
                said = heard(question, url)
                assert said == (BadAnswer, str(INVALID)) == awaited(question, url)
    with answering(lambda _path, _headers: Reply(body.encode())) as url:
        done = run(url, "--no-sync", "set", "/a", "v")
        assert (done.code, done.out, done.err) == (4, "", f"Error:  {INVALID}\n")


@pytest.mark.parametrize(
    ("body", "header", "kind", "told"),
    [
        (PLAIN, ("Content-Encoding", "gzip"), ClusterUnavailable, "gzip: invalid header"),
        (PACKED[:-1], ("Content-Encoding", "gzip"), ClusterUnavailable, "EOF"),
        (PACKED[:-20], ("Content-Encoding", "GZip"), ClusterUnavailable, "EOF"),
        (PLAIN, ("X-Etcd-Index", "abc"), BadAnswer, 'strconv.ParseUint: parsing "abc": invalid'),
        (PLAIN, ("X-Etcd-Index", "9" * 5000), BadAnswer, '9": value out of range'),
    ],
    ids=("plain", "cut in the check", "cut", "a word", "a long number"),
)
def test_headers_that_say_something_else(
    body: bytes, header: tuple[str, str], kind: type, told: str
) -> None:
    """Goal: both clients refuse what etcdctl refuses (tests/etcdctl/test_odd_answers.py), and read
    what it reads. Method: a server that says so; the same body with nothing wrong about it.
    """
    reply = Reply(body, index=None, headers=(header,))
    with answering(lambda _path, _headers: reply) as url:
        for said in (heard(KEYS["get"], url), awaited(KEYS["get"], url)):
            assert isinstance(said, tuple)
            assert said[0] is kind
            assert told in said[1]
    reply = Reply(PACKED, headers=(("Content-Encoding", "GZIP"),))
    with answering(lambda _path, _headers: reply) as url:
        assert heard(KEYS["get"], url) == awaited(KEYS["get"], url) != INVALID


def test_what_unpacks_to_too_much() -> None:
    """Goal: a small answer does not fill the memory. Method: a hundred times what is allowed."""
    reply = Reply(gzip.compress(b" " * 100_000), headers=(("Content-Encoding", "gzip"),))
    with answering(lambda _path, _headers: reply) as url:
        said = awaited(KEYS["get"], url, answer_bytes_max=1000)
    assert said == (BadAnswer, "client: the answer is larger than 1000 bytes")


def test_half_a_surrogate_pair() -> None:
    """Goal: what is no text in an answer becomes one, as in etcdctl. Method: halves, and a pair."""
    body = rb'{"node": {"key": "/a\ud800", "value": "\udcffx\ud83d\ude00\uDBFF"}}'
    with answering(lambda _path, _headers: Reply(body)) as url:
        for form, shown in (
            ("simple", "\ufffdx\U0001f600\ufffd\n"),
            ("yaml", "action: ''\nnode:\n  key: /a\ufffd\n  value: \"\ufffdx\\U0001F600\ufffd\"\n"),
        ):
            done = run(url, "--no-sync", "-o", form, "get", "/a")
            assert (done.code, done.out, done.err) == (0, shown, "")


def test_the_root_has_no_key() -> None:
    """Goal: the one node without a key is no bad answer. Method: as etcd 3.4 answers for it."""
    body = b'{"action":"get","node":{"dir":true,"nodes":[{"key":"/a","value":"v"}]}}'
    with answering(lambda _path, _headers: Reply(body)) as url, Client([url]) as client:
        assert [node.key for node in client.get("/").node.walk()] == ["/a"]


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "null",
        '{"errorCode": "100"}',
        '{"errorCode": true}',
        '{"errorCode": 100, "message": 7}',
        '{"errorCode": 100, "index": -1}',
    ],
)
def test_an_error_that_is_none(body: str) -> None:
    """Goal: etcdctl's words for it. Method: a server that says 404 and so."""
    with answering(lambda _path, _headers: Reply(body.encode(), 404)) as url:
        for question in KEYS.values():
            assert heard(question, url) == (BadAnswer, str(INVALID)) == awaited(question, url)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("[]", "array into Go value of type struct { Members []client.Member }"),
        ('{"members": 5}', "number into Go struct field .Members of type []client.Member"),
        (
            '{"members": [{"id": "1", "clientURLs": "http://127.0.0.1:1"}]}',
            "string into Go struct field Member.Members.clientURLs of type []string",
        ),
    ],
)
def test_members_that_are_none(body: str, told: str) -> None:
    """Goal: nobody goes to a URL that nobody published. Method: as above; the command line's words
    are compared with etcdctl's in tests/etcdctl/test_odd_types.py.
    """
    told = f"json: cannot unmarshal {told}"

    def members(client: Any) -> Any:
        return client.members()

    with answering(lambda _path, _headers: Reply(body.encode())) as url:
        assert heard(members, url) == (BadAnswer, told) == awaited(members, url)


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_without_a_bottom(status: int) -> None:
    """Goal: a sentence, in both clients and in the command line. Method: 200,000 lists in each
    other, and 100,000 directories.
    """
    too_deep, of_members = BadAnswer.TOO_DEEP, "invalid character '[' exceeded max depth"
    directories = '{"action":"get","node":' + '{"key":"/a","dir":true,"nodes":[' * 100_000
    for body in (DEEP, directories):
        with answering(lambda _path, _headers, b=body: Reply(b.encode(), status)) as url:
            for question in KEYS.values():
                assert heard(question, url) == (BadAnswer, too_deep) == awaited(question, url)
            if body is DEEP and status == 200:
                told = (BadAnswer, of_members)
                assert heard(lambda c: c.members(), url) == told
                assert awaited(lambda c: c.members(), url) == told
            done = run(url, "--no-sync", "get", "/a")
            assert (done.code, done.out, done.err) == (4, "", f"Error:  {too_deep}\n")
