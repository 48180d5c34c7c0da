"""The peer port over plain HTTP, beside a real etcd's: who asks there cannot tell them apart."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.oracle import Pyetcd, RealEtcd, Request
from tests.oracle.normalise import differences
from tests.oracle.process import Server
from tests.oracle.wire import Connection, Response

PATHS = (
    "/members",
    "/members/",
    "/version",
    "/raft",
    "/raft/",
    "/raft/probing",
    "/raft/snapshot",
    "/raft/stream/msgapp/1",
    "/v2/keys",
    "/v2/members",
    "/health",
    "/metrics",
    "/",
)
NOW = re.compile(rb'"Now":"[-0-9:.T]+(Z|[+-]\d\d:\d\d)"')


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    """Both, as the same member."""
    with RealEtcd() as real, Pyetcd() as ours:
        yield real, ours


def ask(server: Server, method: str, path: str) -> Response:
    """Ask the peer port."""
    with Connection(server.peer_port) as connection:
        answer = connection.ask(Request(method, path.encode()))
    return replace(answer, body=NOW.sub(b'"Now":"-"', answer.body))


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
def test_the_same_answer(pair: tuple[Server, Server], method: str, path: str) -> None:
    """Goal: contract/cluster.md section 5.2. Method: each path with each method, on both."""
    real, ours = (ask(server, method, path) for server in pair)
    assert differences(real, ours, ignore=frozenset({"content-length"})) == []
    assert not any(name.lower().startswith("access-control") for name, _value in ours.headers)


def test_members_have_decimal_ids(pair: tuple[Server, Server]) -> None:
    """Goal: what joiners and proxies read. Method: id, URLs and cluster of the only member."""
    answer = ask(pair[1], "GET", "/members")
    assert json.loads(answer.body) == [
        {
            "id": int("bdae9bbc11dd390d", 16),
            "peerURLs": ["http://127.0.0.1:23801"],
            "name": "default",
            "clientURLs": ["http://127.0.0.1:23800"],
        }
    ]
