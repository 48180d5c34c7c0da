"""Answers about members, users and roles in which values have other types: told in etcdctl's words,
and whatever it takes for good is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.etcdctl.test_words_of_json import PYETCDCTL, said
from tests.pyetcdctl.answering import Reply, answering

if TYPE_CHECKING:
    from email.message import Message

NO_OBJECTS = ["5", "[]", "null", '"x"', "true", "", "{", "{}"]
MEMBERS = [
    *('{"members":5}', '{"members":{}}', '{"members":["x"]}', '{"members":[{"id":5}]}'),
    '{"members":[{"id":"1","name":[]}]}',
    '{"members":[{"id":"1","name":{},"clientURLs":{"a":1}}]}',
    '{"members":[{"id":"1","name":"a","peerURLs":"x","clientURLs":["@"]}]}',
    '{"members":[{"id":"1","name":"a","peerURLs":["p",5],"clientURLs":["@"]}]}',
    '{"members":[{"id":"1","name":"a","peerURLs":["p",null],"clientURLs":["@",null]}]}',
    '{"members":[{"id":"1","name":"a","clientURLs":["@"],"x":{"y":[1]},"NAME":"b"}, 7]}',
]
USERS = [
    *('{"users":5}', '{"users":["x"]}', '{"users":[{"user":5}]}', '{"users":[null,{"USER":"b"}]}'),
    '{"users":[{"user":"a","roles":[{"role":5}]}]}',
]
USER = [
    *('{"user":5}', '{"user":"u","roles":"x"}', '{"user":"u","roles":["a",5,"b"]}'),
    *('{"user":"u","roles":[null,"x"]}', '{"user":"u","roles":["a","b"],"Roles":["c"]}'),
    *('{"user":"u","roles":["a",{"role":"b"}]}', '{"roles":[{"role":"a"},{"role":null},null]}'),
    '{"user":"u","roles":[{"role":"a","permissions":5}]}',
]
ROLES = ['{"roles":5}', '{"roles":["x"]}', '{"roles":[{"role":"a"},{"role":null},null]}']
ROLE = [
    *('{"role":5}', '{"role":"r","permissions":{"kv":{"read":5}}}', '{"role":"r","grant":5}'),
    '{"role":"r","permissions":{"kv":{"read":["a",5],"write":[null]}}}',
    '{"role":"r","permissions":{"KV":{"READ":["a"],"write":["/b"]}}}',
    '{"role":"r","revoke":{"kv":{"read":[7]}}}',
]
COMMANDS = {
    "member list": MEMBERS,
    "member remove 1": MEMBERS,
    "cluster-health": MEMBERS,
    "get /a": MEMBERS,
    "member add a http://127.0.0.1:1": [],
    "user list": USERS,
    "user get u": USER,
    "user add u:p": [],
    "user grant --roles r u": USER,
    "role list": ROLES,
    "role get r": ROLE,
    "role add r": ROLE,
    "role grant --path /x --rw r": ROLE,
    "auth enable": [],
}
REFUSALS = ["5", "[]", '{"message":5}', '{"Message":null}']
REFUSED = {
    "member update 1 http://127.0.0.1:1": 409,
    "user get u": 404,
    "user grant --roles r u": 409,
    "role list": 404,
    "role add r": 409,
    "auth disable": 409,
}
LIST = '{"members":[{"id":"1","name":"a","clientURLs":["@"]}]}'
KEY = b'{"action":"get","node":{"key":"/a","value":"v","modifiedIndex":3,"createdIndex":3}}'


def compare(words: str, body: str, status: int, listed: str = LIST) -> None:
    """Both programs at a server with that list of members, and one answer to all that is no key."""

    def behave(target: str, headers: Message) -> Reply:
        if target.startswith("/v2/keys"):
            return Reply(KEY)
        if target.endswith("/health"):
            return Reply(b'{"health":"true"}')
        reply = Reply(body.encode(), status)
        if target == "/v2/members" and not words.startswith("member add"):
            reply = Reply(listed.encode())
        return reply._replace(body=reply.body.replace(b"@", f"http://{headers['Host']}".encode()))

    with answering(behave) as url:
        ours = said(PYETCDCTL, url, *words.split())
        assert ours == said((find_etcdctl(),), url, *words.split()), body


@pytest.mark.parametrize("words", COMMANDS)
def test_odd_types(words: str) -> None:
    """Goal: the same words and exit codes. Method: both programs, whatever the server says."""
    for body in (*NO_OBJECTS, *COMMANDS[words]):
        if COMMANDS[words] is MEMBERS:
            compare(words, "{}", 200, listed=body)
        else:
            compare(words, body, 201 if words.startswith("member add") else 200)


@pytest.mark.parametrize("words", REFUSED)
def test_odd_types_in_refusals(words: str) -> None:
    """Goal: the same for what should say why something is refused. Method: as above."""
    for body in REFUSALS:
        compare(words, body, REFUSED[words])
