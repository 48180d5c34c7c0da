"""The path of a role's rights: what is canonical, and what is said of what is not, is etcdctl's."""

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.etcdctl.test_words_of_json import PYETCDCTL, said
from tests.pyetcdctl.answering import Reply, answering

PATHS = [
    *("/x/", "/", "//", "/x//", "x", "x/", "/x/../y/", "/x/./", ".", "..", "", "/.", "/..", "//x"),
    *("/x//y/", "/x*", "/x/*", "/ x/", "x/../y", "./x", "../x/", "/\u00e9/", "/x/.../"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["grant", "revoke"])
def test_paths(kind: str, path: str) -> None:
    """Goal: a slash at the end is part of a path. Method: both at a server that takes any."""
    with answering(lambda _target, _headers: Reply(b'{"role":"r"}')) as url:
        words = ("--no-sync", "role", kind, "--path", path, "--rw", "r")
        assert said(PYETCDCTL, url, *words) == said((find_etcdctl(),), url, *words)
