"""Which path is served by whom, on the client port and on the peer port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.app import App
from api.debug import Debug
from api.keys import Keys
from api.members import Members
from api.metrics import Metrics
from api.peer_port import PeerPort
from api.stats import Stats
from api.status import Status

if TYPE_CHECKING:
    from api.backend import Backend
    from api.exchange import Handler

VISITORS_MAX: Final = 16
"""Connections over plain HTTP on a port that is not the clients'. With the members' own they stay
below the descriptors that the server keeps for itself."""


def client_app(
    backend: Backend, *, express: bool = True, connections_max: int | None = None
) -> App:
    """Everything on the client port; `express` opens the express lane."""
    keys = Keys(backend)
    return App(
        _client_routes(backend, keys),
        cors=backend.cors,
        answers_options=True,
        host_whitelist=backend.host_whitelist,
        express=keys if express else None,
        connections_max=connections_max,
    )


def metrics_app(backend: Backend) -> App:
    """What `--listen-metrics-urls` serves."""
    routes = {b"/metrics": Metrics(backend).handle, b"/health": Status(backend).health}
    return App(routes, connections_max=VISITORS_MAX, first_gives_way=True)


def peer_app(backend: Backend) -> App:
    """What the peer port serves to anyone who asks over plain HTTP (cluster.md section 5.2)."""
    return App(_peer_routes(backend), connections_max=VISITORS_MAX, first_gives_way=True)


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
    port = PeerPort(backend)
    return {
        b"/members": port.members,
        b"/version": Status(backend).version,
        b"/raft": port.messages,
        b"/raft/probing": port.probing,
        b"/raft/snapshot": port.messages,
        b"/raft/stream/": port.stream,
    }
