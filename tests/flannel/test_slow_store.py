"""Goal: a store that answers late costs time and nothing else.

Method: answers of a real store are held back: those to writes for longer than the client waits, and
all of them for a few seconds, before the real program.
"""

import asyncio
import random
from pathlib import Path

from flannel.lease import Attributes
from flannel.leasing import acquire_lease
from flannel.registry import Registry
from pyetcdctl import AsyncClient
from tests.flannel.sample import US, network
from tests.flannel.slow_store import slow
from tests.flannel.stores import Operator
from tests.flannel.test_access import daemon
from tests.oracle.process import Server

DEADLINE_S = 40.0
PATIENCE_S = 0.5


async def test_a_write_whose_answer_is_too_late_is_seen_to_have_happened(
    server: Server, operator: Operator
) -> None:
    """Alone, and with a second endpoint that is asked the same; and again over the old lease."""
    for endpoints in (1, 2, 1):
        async with (
            slow(server, 4 * PATIENCE_S, "PUT") as url,
            AsyncClient([url] * endpoints, timeout_s=PATIENCE_S) as client,
            asyncio.timeout(DEADLINE_S),
        ):
            registry = Registry(client, operator.prefix)
            held = await acquire_lease(
                registry, network(), Attributes(US), None, random.Random(1).choice
            )
        (name,) = operator.subnets()
        assert operator.get(f"subnets/{name}")["modifiedIndex"] == held.lease.index
        assert held.lease.ttl_s > 86000


async def test_the_daemon_with_a_store_that_takes_three_seconds(
    server: Server, operator: Operator, tmp_path: Path
) -> None:
    """It starts, and has one lease."""
    operator.configure(Network="10.5.0.0/16", Backend={"Type": "alloc"})
    async with slow(server, 3.0) as url, asyncio.timeout(DEADLINE_S):
        with daemon(tmp_path, operator, f"-etcd-endpoints={url}") as log:
            while not (tmp_path / "subnet.env").exists():
                await asyncio.sleep(0.05)
            assert "trying again" not in log.read_text()
    assert len(operator.subnets()) == 1
