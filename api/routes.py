"""Which path is served by whom, on the client port and on the peer port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from api.answers import method_not_allowed
from api.app import App
from api.debug import Debug
from api.exchange import Answer, Handler, Request, Response
from api.keys import Keys
from api.members import Members
from api.metrics import Metrics
from api.render import JSON
from api.stats import Stats
from api.status import Status
from kvstore import register

if TYPE_CHECKING:
    from api.backend import Backend


def client_app(
    backend: Backend, *, express: bool = True, connections_max: int | None = None
) -> App:
    """Everything on the client port; `express` opens the express lane."""
    keys = Keys(backend)
    return App(
        _client_routes(backend, keys),
        cors=backend.cors,
        host_whitelist=backend.host_whitelist,
        express=keys if express else None,
        connections_max=connections_max,
    )


def metrics_app(backend: Backend) -> App:
    """What `--listen-metrics-urls` serves."""
    return App({b"/metrics": Metrics(backend).handle, b"/health": Status(backend).health})


def peer_app(backend: Backend) -> App:
    """What the peer port serves to anyone who asks over plain HTTP (cluster.md section 5.2)."""
    return App(_peer_routes(backend))


def _client_routes(backend: Backend, keys: Keys) -> dict[bytes, Handler]:
    members, stats = Members(backend), Stats(backend)
    status, debug = Status(backend), Debug(backend)
    return {
        b"/v2/keys": keys.handle,
        b"/v2/keys/": keys.handle,
        b"/v2/members": members.handle,
        b"/v2/members/": members.handle,
        b"/v2/machines": members.machines,
        b"/v2/stats/self": stats.self_,
        b"/v2/stats/leader": stats.leader,
        b"/v2/stats/store": stats.store,
        b"/version": status.version,
        b"/health": status.health,
        b"/metrics": Metrics(backend).handle,
        b"/debug/vars": debug.vars,
        b"/config/local/log": debug.log,
    }


def _peer_routes(backend: Backend) -> dict[bytes, Handler]:
    async def members(request: Request) -> Answer:
        if request.method != "GET":
            return method_not_allowed(("GET",))
        shown = []
        for member in register(backend.machine.store.tree):
            row: dict[str, object] = {"id": member.id, "peerURLs": member.peer_urls}
            if member.name:
                row["name"] = member.name
            if member.client_urls:
                row["clientURLs"] = member.client_urls
            shown.append(row)
        cluster = b"X-Etcd-Cluster-Id: %b\r\n" % backend.cluster_id.encode()
        return Response(200, JSON + cluster, orjson.dumps(shown) + b"\n")

    return {b"/members": members, b"/version": Status(backend).version}
