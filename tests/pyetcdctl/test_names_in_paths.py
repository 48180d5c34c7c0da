"""Names of users, roles and members are a part of the path, as etcdctl makes it of them."""

import pytest

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
