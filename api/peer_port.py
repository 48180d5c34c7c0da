"""What the peer port tells anyone who asks over plain HTTP (contract/cluster.md section 5.2).

Members themselves speak another protocol there (raft.peers) and never come this way. A real etcd
that takes this member for one of its own is told that the two do not fit.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from api.answers import json, method_not_allowed
from api.exchange import Answer, Request, Response
from api.render import NO_SNIFF, TEXT
from api.stats import local_time
from kvstore import register

if TYPE_CHECKING:
    from api.backend import Backend

_INCOMPATIBLE: Final = b"incompatible version\n"


class PeerPort:
    """The handlers of the peer port."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._cluster = b"X-Etcd-Cluster-Id: %b\r\n" % backend.cluster_id.encode()
        self._version = b"X-Server-Version: %b\r\n" % backend.versions.etcd.encode()

    async def members(self, request: Request) -> Answer:
        """Who the cluster is, for joiners and proxies; ids are decimal numbers here."""
        if request.method != "GET":
            return method_not_allowed(("GET",))
        shown = []
        for member in register(self._backend.machine.store.tree):
            row: dict[str, object] = {"id": member.id, "peerURLs": member.peer_urls}
            if member.name:
                row["name"] = member.name
            if member.client_urls:
                row["clientURLs"] = member.client_urls
            shown.append(row)
        return json(shown, headers=self._cluster)

    async def probing(self, request: Request) -> Answer:
        """How etcd members measure round trips."""
        now = local_time(time.time_ns()).encode()
        return Response(200, TEXT, b'{"OK":true,"Now":"%b"}\n' % now)

    async def messages(self, request: Request) -> Answer:
        """Where a real etcd would send messages and snapshots."""
        if request.method != "POST":
            return method_not_allowed(("POST",))
        return Response(412, self._cluster + NO_SNIFF, _INCOMPATIBLE)

    async def stream(self, request: Request) -> Answer:
        """Where a real etcd would ask for a stream of messages."""
        if request.method != "GET":
            return method_not_allowed(("GET",))
        return Response(412, self._cluster + self._version + NO_SNIFF, _INCOMPATIBLE)
