"""A server of each kind, and a client of it; each test has a directory of its own in it."""

from collections.abc import Iterator

import pytest

from pyetcdctl import Client
from tests.clients.reachable import KINDS, reachable
from tests.oracle import Server


@pytest.fixture(scope="session", params=KINDS, ids=lambda kind: kind.kind)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One that runs."""
    with reachable(request.param) as started:
        yield started


@pytest.fixture
def url(server: Server) -> str:
    """Where it is."""
    return server.url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """A client of it."""
    with Client([url]) as made:
        yield made


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """A directory that no other test has."""
    name: str = request.node.originalname
    return f"/{name}"
