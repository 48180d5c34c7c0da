"""/version and /health, on the client port and on the peer port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from api.answers import json, method_not_allowed, text
from api.exchange import Answer, Request, Response
from api.render import NO_SNIFF
from kvstore import cluster_version
from raft import ProposalFailed

if TYPE_CHECKING:
    from api.backend import Backend

METHODS: Final = ("GET",)
HEALTH_TIMEOUT_S: Final = 1.0


class Status:
    """The handlers of /version and /health."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def version(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        agreed = cluster_version(self._backend.machine.store.tree) or "not_decided"
        server = self._backend.versions.etcd
        return json({"etcdserver": server, "etcdcluster": agreed}, newline=False)

    async def health(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        healthy = await self._is_healthy()
        self._backend.meter.health[healthy] += 1
        if healthy:
            return text(b'{"health":"true"}')
        return Response(503, NO_SNIFF, b'{"health":"false"}\n')

    async def _is_healthy(self) -> bool:
        node = self._backend.node
        if not node.status.leader:
            return False
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await node.read_barrier()
        except (ProposalFailed, TimeoutError):
            return False
        return not node.driver.disk_full
