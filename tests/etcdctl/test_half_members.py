"""Lists of members that are half ones, or come with an odd status: taken as etcdctl takes them."""

import json
from email.message import Message

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.etcdctl.test_words_of_json import PYETCDCTL, said
from tests.pyetcdctl.answering import Reply, answering

WHOLE = '{"members":[{"id":"2","name":"b","clientURLs":["@"]},{"id":"1","name":"a"}]}'
LISTS = [
    *('{"members":[{}]}', '{"members":[{"id":"zz"}]}', '{"members":[null]}', "null", "{}", "{", ""),
    *('{"members":null}', '{"Members":[{"ID":"1","name":"a","clienturls":["@"]}]}', WHOLE),
    '{"members":[{"id":"1","clientURLs":["::::"]}]}',
]
COMMANDS = ["get /a", "rm /a", "ls /", "member list", "cluster-health"]
KEY = {"action": "get", "node": {"key": "/a", "value": "v", "modifiedIndex": 3, "createdIndex": 3}}
AUTH = [
    *("user list", "user get u", "user add u:p", "user remove u", "user grant --roles r u"),
    *("user passwd u", "role list", "role get r", "role add r", "role remove r", "auth enable"),
    *("role grant --path /x --rw r", "role revoke --path /x --read r"),
]
MEMBER = [
    "member add a http://127.0.0.1:1",
    "member update 1 http://127.0.0.1:1",
    "member remove 1",
]


def equal(words: str, listed: Reply, others: Reply) -> None:
    """Ask a server with this list of members, which says one thing to whatever else is no key."""

    def behave(target: str, headers: Message) -> Reply:
        if target.startswith("/v2/keys"):
            return Reply(json.dumps(KEY).encode())
        reply = listed if target == "/v2/members" else others
        return reply._replace(body=reply.body.replace(b"@", f"http://{headers['Host']}".encode()))

    with answering(behave) as url:
        ours = said(PYETCDCTL, url, *words.split())
        assert ours == said((find_etcdctl(),), url, *words.split())


@pytest.mark.parametrize(("listed", "status"), [*((each, 200) for each in LISTS), (WHOLE, 201)])
@pytest.mark.parametrize("words", COMMANDS)
def test_lists(words: str, listed: str, status: int) -> None:
    """Goal: the same words and exit codes. Method: both programs at a server that says so."""
    equal(words, Reply(listed.encode(), status), Reply(b'{"health":"true"}'))


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 409])
@pytest.mark.parametrize("words", [*AUTH, *MEMBER])
def test_statuses(words: str, status: int) -> None:
    """Goal: what is a success, and a refusal without a message, is what etcdctl takes for one.
    Method: as above, with one status for all that is no list of members.
    """
    if words.startswith("member add"):
        equal(words, Reply(b"" if status == 204 else WHOLE.encode(), status), Reply(b""))
    else:
        equal(
            words,
            Reply(WHOLE.replace('"2"', '"1"').encode()),
            Reply(b"" if status == 204 else b"{}", status),
        )
