"""Answers that are not quite an etcd's are taken, and refused, as by etcdctl."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.etcdctl.test_words_of_json import PYETCDCTL, said
from tests.pyetcdctl.answering import Reply, answering

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

NODE = b'{"action":"get","node":{"key":"/a","value":"v","modifiedIndex":3,"createdIndex":3}}'
PACKED = gzip.compress(NODE, mtime=0)
COMMANDS = ["get /a", "-o json get /a", "watch /a", "member list", "cluster-health"]


def told_alike(words: str, behave: Callable[[str, Message], Reply]) -> tuple[int, str, str]:
    """What both say of such a server."""
    with answering(behave) as url:
        ours = said(PYETCDCTL, url, "--no-sync", *words.split())
        assert ours == said((find_etcdctl(),), url, "--no-sync", *words.split())
    return ours


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "[NaN]"])
@pytest.mark.parametrize("words", ["get /a", "member list"])
def test_numbers_that_are_none(words: str, word: str) -> None:
    """Goal: what JSON has no word for is refused. Method: where nobody looks, in what is well."""
    body = NODE[:-1] + b',"more":' + word.encode() + b"}"
    assert told_alike(words, lambda _target, _headers: Reply(body))[0] != 0


@pytest.mark.parametrize(
    "index",
    [
        "abc",
        "-1",
        "+1",
        "1_0",
        "0x10",
        "1.5",
        " ",
        "",
        "007",
        f"{1 << 64}",
        f"{(1 << 64) - 1}",
        "\u00e9",
    ],
)
@pytest.mark.parametrize("words", ["-o extended get /a", "watch /a", "ls /b"])
def test_an_index_that_is_none(words: str, index: str) -> None:
    """Goal: an index that cannot be read is told, of what is there; an error has no use for it.
    Method: indexes that are none, and some that are.
    """

    def behave(target: str, _headers: Message) -> Reply:
        if target.startswith("/v2/keys/b"):
            body = b'{"errorCode":100,"message":"Key not found","cause":"/b","index":9}'
            return Reply(body, 404, index=None, headers=(("X-Etcd-Index", index),))
        return Reply(NODE, index=None, headers=(("X-Etcd-Index", index),))

    told_alike(words, behave)


BODIES = {
    "packed": PACKED,
    "packed in two": gzip.compress(NODE[:20]) + gzip.compress(NODE[20:]),
    "plain": NODE,
    "short": b"\x1f\x8b",
    "nothing": b"",
    "another method": PACKED[:2] + b"\x07" + PACKED[3:],
    "cut": PACKED[:-12],
    "cut in the check": PACKED[:-3],
    "wrong check": PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:],
    "wrong length": PACKED[:-4] + b"\0\0\0\0",
    "more behind it": PACKED + b"more",
    "zeros behind it": PACKED + b"\0\0\0\0\0\0\0\0\0\0\0\0",
    "zlib": zlib.compress(NODE),
}


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
@pytest.mark.parametrize("what", BODIES)
def test_what_is_packed(what: str, coding: str) -> None:
    """Goal: an answer that a proxy has packed is read, and one that only says so is refused.
    Method: what is packed well, badly and not at all.
    """
    headers = (("Content-Encoding", coding),)
    told_alike("get /a", lambda _target, _headers: Reply(BODIES[what], headers=headers))


@pytest.mark.parametrize("words", COMMANDS)
def test_what_is_packed_for_others(words: str) -> None:
    """Goal: the same for whatever is asked, and the same headers. Method: a server that packs all,
    and notes what it was asked.
    """
    accepted = []

    def behave(target: str, headers: Message) -> Reply:
        accepted.append(headers["Accept-Encoding"])
        if target == "/v2/members":
            member = {"id": "1", "name": "a", "clientURLs": [f"http://{headers['Host']}"]}
            body = json.dumps({"members": [member]}).encode()
        else:
            body = b'{"health":"true"}' if target == "/health" else NODE
        return Reply(gzip.compress(body), headers=(("Content-Encoding", "gzip"),))

    assert told_alike(words, behave)[0] == 0
    assert {*accepted} == {"gzip"}
