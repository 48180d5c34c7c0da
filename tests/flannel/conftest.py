"""A store of each kind, running while the tests of a module run."""

from collections.abc import AsyncIterator, Iterator

import pytest

from flannel.registry import Registry
from pyetcdctl import AsyncClient
from tests.flannel.stores import Operator
from tests.oracle.process import Pyetcd, RealEtcd, Server

KINDS: tuple[type[Server], ...] = (RealEtcd, Pyetcd)


@pytest.fixture(scope="module", params=KINDS, ids=[kind.kind for kind in KINDS])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A real etcd, then pyetcd."""
    kind: type[Server] = request.param
    with kind() as running:
        yield running


@pytest.fixture
def operator(server: Server) -> Operator:
    """Somebody with curl, and a prefix of the test's own."""
    return Operator.at(server)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client of the store."""
    async with AsyncClient([server.url], total_timeout_s=20.0, timeout_s=20.0) as client:
        yield client


@pytest.fixture
def registry(client: AsyncClient, operator: Operator) -> Registry:
    """The leases below the test's prefix."""
    return Registry(client, operator.prefix)
