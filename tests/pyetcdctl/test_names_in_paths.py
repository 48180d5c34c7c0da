"""Names of users, roles and members are a part of the path, as etcdctl makes it of them."""

import pytest

from pyetcdctl.answers import not_json
from tests.clients.etcdctl import etcdctl
from tests.oracle import Server
from tests.pyetcdctl.running import run


@pytest.mark.parametrize(
    "words",
    [
        ["user", "get", "/z"],
        ["user", "get", "a//b"],
        ["user", "get", ".."],
        ["user", "get", ""],
        ["user", "get", "a b/?x"],
        ["role", "get", "a/../b"],
        ["user", "remove", "/z"],
        ["user", "remove", "."],
        ["user", "passwd", "/z"],
        ["role", "add", "/z"],
        ["role", "remove", "/z"],
        ["member", "update", "/1", "http://127.0.0.1:1"],
        ["--debug", "user", "get", "a//b/"],
    ],
    ids=" ".join,
)
def test_as_etcdctl(server: Server, words: list[str]) -> None:
    """Goal: the same is asked, and the answer told in the same words. Method: both command lines,
    side by side, at a real etcd and at pyetcd, which has no users.
    """
    theirs = etcdctl(server, *words, stdin="pw\n")
    ours = run(server.url, *words, stdin="pw\n")
    assert (ours.code, ours.out, ours.err) == (theirs.code, theirs.out, theirs.err)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("404 page not found\n", "invalid character 'p' after top-level value"),
        ("Method Not Allowed\n", "invalid character 'M' looking for beginning of value"),
        ('"a" "b"', "invalid character '\"' after top-level value"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
        ("\u00e9", "invalid character '\u00c3' looking for beginning of value"),
        ("\x00", "invalid character '\\x00' looking for beginning of value"),
        ("", "unexpected end of JSON input"),
        ('{"a": ', "unexpected end of JSON input"),
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        ("{}", ""),
        ("[" * 100_000 + "x", "invalid character '[' exceeded max depth"),
    ],
)
def test_no_json(body: str, told: str) -> None:
    """Goal: what a proxy says instead of an etcd is told as Go tells it. Method: a table."""
    assert not_json(body.encode()) == told
