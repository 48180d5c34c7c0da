"""A server of each kind, running while the tests of a module run."""

from collections.abc import Iterator

import pytest

from tests.clients.reachable import KINDS, reachable
from tests.oracle import Server


@pytest.fixture(scope="module", params=KINDS, ids=[kind.kind for kind in KINDS])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A real etcd, then pyetcd; each test uses keys of its own."""
    kind: type[Server] = request.param
    with reachable(kind) as running:
        yield running
