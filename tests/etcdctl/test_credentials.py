"""Who is said to ask: what is sent of names, passwords and URLs is what etcdctl sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.etcdctl.test_words_of_json import PYETCDCTL, said
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.running import at_terminal

if TYPE_CHECKING:
    from email.message import Message

COMMANDS = ["get /a", "--no-sync get /a", "member list", "user list", "cluster-health"]


@pytest.mark.parametrize("own", ["", "al:pw@"])
@pytest.mark.parametrize("name", ["", ":", ":pw", "al:", "x:y", "a%l:p:w"])
@pytest.mark.parametrize("words", COMMANDS)
def test_what_is_sent(words: str, name: str, own: str) -> None:
    """Goal: nobody is told a password that etcdctl would not tell. Method: a server that notes it,
    with names of every kind, and with URLs that have credentials in them, given and published.
    """
    sent: list[tuple[str, str | None]] = []

    def behave(target: str, headers: Message) -> Reply:
        sent.append((target, headers["Authorization"]))
        if target == "/v2/members":
            urls = [f"http://{own}{headers['Host']}"]
            member = {"id": "1", "name": "a", "clientURLs": urls}
            return Reply(json.dumps({"members": [member]}).encode())
        return Reply(b'{"node":{"key":"/a","value":"v"},"health":"true"}')

    with answering(behave) as url:
        outcomes = []
        for program in (PYETCDCTL, (find_etcdctl(),)):
            endpoint = url.replace("//", f"//{own}")
            outcomes.append((said(program, endpoint, "-u", name, *words.split()), [*sent]))
            sent.clear()
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("typed", "words"),
    [("secret\n", "get /a"), ("\x04", "get /a"), ("secret\nvalue\n\x04", "set /a")],
)
def test_typed_ahead(typed: str, words: str) -> None:
    """Goal: a terminal's password, or its end, may be there before it is asked for, and what is
    behind it is left. Method: type first, then start either program.
    """
    sent: list[str | None] = []

    def behave(_target: str, headers: Message) -> Reply:
        sent.append(headers["Authorization"])
        return Reply(b'{"node":{"key":"/a","value":"v"}}')

    outcomes = []
    with answering(behave) as url:
        for program in ("$CTL", f"ETCDCTL_API=2 {find_etcdctl()}"):
            script = f"{program} --no-sync -u al {words}; echo code $?"
            with at_terminal(script, url, typed=typed) as terminal:
                terminal.shows("code ")
                assert terminal.ended() == 0
                outcomes.append((terminal.shown, [*sent]))
            sent.clear()
    assert outcomes[0] == outcomes[1]
    assert "code 0" in outcomes[0][0]
