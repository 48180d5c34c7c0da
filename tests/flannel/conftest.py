"""A store of each kind, running while the tests of a module run; a host with one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flannel.registry import Registry
from pyetcdctl import AsyncClient
from tests.flannel import kernel_scene
from tests.flannel.hosts import Host
from tests.flannel.kernel_scene import Scene
from tests.flannel.stores import Operator, WireStore
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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, WireStore]]:
    """One host and one store, for all tests of this module."""
    with kernel_scene.place("pyetcd", tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture
def scene(place: tuple[Host, WireStore], tmp_path: Path) -> Iterator[Scene]:
    """A clean host with an operator's own prefix."""
    with kernel_scene.scene(*place, tmp_path) as made:
        yield made
