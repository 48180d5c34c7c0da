"""Answers that break the rules of HTTP: told in bounded time, by both clients alike."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pyetcdctl import ClusterUnavailable
from tests.clients.etcdctl import find_etcdctl
from tests.pyetcdctl.running import END_S, PROGRAM, environment
from tests.pyetcdctl.saying import saying
from tests.pyetcdctl.test_both_clients import awaited, heard

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = b'{"action":"get","node":{"key":"/a","value":"v","modifiedIndex":5,"createdIndex":5}}'
SHORT = b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 5\r\nContent-Length: %d\r\n\r\n%b" % (
    len(NODE) + 9,
    NODE,
)


def key(client: Any) -> Any:
    """The question."""
    return client.get("/a")


def printed(program: tuple[str, ...], *urls: str) -> tuple[int, str, str]:
    """What a command line makes of it."""
    done = subprocess.run(
        [*program, "--no-sync", "--endpoints", ",".join(urls), "get", "/a"],
        env=environment("", ETCDCTL_API="2"),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("ask", [heard, awaited])
def test_a_body_that_ends_early(ask: Callable[..., object]) -> None:
    """Goal: half an answer is none, also if what came is good JSON. Method: a body shorter than its
    Content-Length.
    """
    with saying(SHORT) as url:
        assert ask(key, url) == (
            ClusterUnavailable,
            "client: etcd cluster is unavailable or misconfigured; error #0: unexpected EOF\n",
        )


def test_a_body_that_ends_early_is_told_as_etcdctl_does() -> None:
    """Goal: the same words and exit code. Method: both, side by side."""
    with saying(SHORT) as url:
        assert printed(PROGRAM, url) == printed((find_etcdctl(),), url)
