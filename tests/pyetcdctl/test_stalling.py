"""A member that begins an answer and never ends it: every wait for one has an end."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from pyetcdctl import Client, ClientError
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.running import running

if TYPE_CHECKING:
    from email.message import Message

STALLED = Reply(b"{", missing=99)
MEMBERS = "/v2/members"


def test_a_health_that_never_ends() -> None:
    """Goal: a member that hangs in the middle is told as one that hangs from the beginning, by
    every command that asks, and by the library. Method: its /health stalls; all ask side by side.
    """

    def behave(target: str, headers: Message) -> Reply:
        if target != MEMBERS:
            return STALLED
        urls = [f"http://{headers['Host']}"]
        member = {"id": "a", "name": "a", "clientURLs": urls}
        return Reply(json.dumps({"members": [member]}).encode())

    with answering(behave) as url, contextlib.ExitStack() as stack:
        late = f"client: endpoint {url} exceeded header timeout"
        plain, table, replacing = (
            stack.enter_context(running(url, *words.split()))
            for words in ("cluster-health", "-o yaml cluster-health", "member replace a")
        )
        with Client([url]) as client, pytest.raises(ClientError) as error:
            client.health(url)
        assert str(error.value) == late
        said = plain.ended()
        assert said.code == 5
        assert f'failed to check the health of member a on {url}: Get "{url}/health": {late}\n' in (
            said.out
        )
        said = table.ended()
        assert said.code == 5
        assert f"reason: '{late}'\n" in said.out
        said = replacing.ended()
        assert said.code == 1
        assert said.out == f"member a a is unreachable ({late})\n"


def test_a_list_of_members_that_never_ends() -> None:
    """Goal: cluster-health says that nobody lists the members. Method: the list stalls."""
    with answering(lambda _target, _headers: STALLED) as url, contextlib.ExitStack() as stack:
        words = ("--timeout", "300ms")
        for each in [
            stack.enter_context(running(url, *words, *more, "cluster-health"))
            for more in ((), ("-o", "table"))
        ]:
            said = each.ended()
            assert said.code == 4
            assert said.out == "cluster may be unhealthy: failed to list members\n"
            assert said.err == "Error:  context deadline exceeded\n"
