"""What is no etcd's JSON is told in etcdctl's words: how a member is, and why a request failed."""

import json
import os
import subprocess
import sys
from email.message import Message

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.pyetcdctl.answering import Reply, answering

BODIES = [
    *(b"", b"  ", b"{", b"<html>", b"nope", b"trup", b'{"health" true}', b"'x'", b'"x', b"-x"),
    *(b'{"health":"tr',),
    *(b"1x", b'{"health":"true"} trailing', b"\xff\xfe", b'{"health":nope}', b"[1]"),
    *(b"\xe2\x82\xac", b'{"a":"\x01"}', b'{"a":"\\q"}', b'{"a":01}', b"{,}", b"null", b'"true"'),
    *(b'{"health":true}', b'{"health":5}', b'{"HEALTH":"true"}', b'{"health":"true","health":5}'),
    *(b'{"health":true,"health":null}', b'{"health":"false","Health":"true"}', b'{"health":{}}'),
    *(b'{"health":"TRUE"}', b"{}", b'{"health":false}', b'{"health":true,"health":"true"}'),
]  # fmt: skip
PYETCDCTL = (sys.executable, "-m", "pyetcdctl")


def said(program: tuple[str, ...], url: str, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    done = subprocess.run(
        [*program, "--endpoints", url, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "ETCDCTL_API": "2"},
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("words", "asked", "status"),
    [("cluster-health", "/health", 200), ("member remove abc", "/v2/members/abc", 500)],
)
def test_json(words: str, asked: str, status: int, body: bytes) -> None:
    """Goal: how a member is, and why one is not removed, is read, and misread, as etcdctl does it.
    Method: a member that says it, asked by both."""

    def behave(target: str, headers: Message) -> Reply:
        if target == asked:
            return Reply(body, status)
        urls = [f"http://{headers['Host']}"]
        member = {"id": "abc", "name": "a", "peerURLs": [], "clientURLs": urls}
        return Reply(json.dumps({"members": [member]}).encode())

    with answering(behave) as url:
        ours = said(PYETCDCTL, url, *words.split())
        assert ours == said((find_etcdctl(),), url, *words.split())
