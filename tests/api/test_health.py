"""/health: whether there is a leader, a read that is agreed to, and room on the disk."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from api.status import Status
from raft import ProposalFailed
from tests.api.fake_node import ONE, THREE, TWO, FakeNode, cluster, node_of, request, whole


class _Asked(Exception):
    """Somebody waits for an agreement that cannot come."""


def _lose_leader(node: FakeNode) -> None:
    node.status = replace(node.status, leader=0)
    node.failure = _Asked()


def _fail_reads(node: FakeNode) -> None:
    node.failure = ProposalFailed("etcdserver: request timed out")


def _fill_disk(node: FakeNode) -> None:
    node.driver.disk_full = True


async def test_a_member_that_is_well() -> None:
    """Goal: etcd's body. Method: a leader that reads."""
    answer = whole(await Status(cluster(ONE, TWO, THREE)).health(request("GET", "/health")))
    assert (answer.status, answer.body) == (200, b'{"health":"true"}')


@pytest.mark.parametrize("harm", [_lose_leader, _fail_reads, _fill_disk])
async def test_a_member_that_is_not(harm: Callable[[FakeNode], None]) -> None:
    """Goal: 503 and etcd's body; who knows of no leader says so at once, as etcd, and waits for no
    read. Method: one thing wrong each time.
    """
    backend = cluster(ONE, TWO, THREE)
    harm(node_of(backend))
    answer = whole(await Status(backend).health(request("GET", "/health")))
    assert (answer.status, answer.body) == (503, b'{"health":"false"}\n')
