"""Servers that advertise the URLs they listen on, for clients that follow the member list.

Two servers made with the same ports, one after the other, have the same ids and URLs: what clients
print about them needs no mapping.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.clients.waiting import until
from tests.oracle import Identity, Pyetcd, RealEtcd, Request, Server
from tests.oracle.process import free_port

KINDS: tuple[type[Server], ...] = (RealEtcd, Pyetcd)


def reachable(kind: type[Server], ports: tuple[int, int] | None = None) -> Server:
    """Make a server that clients find again at its advertised client URL."""
    client_port, peer_port = ports or (free_port(), free_port())
    server = kind(
        identity=Identity(
            client_url=f"http://127.0.0.1:{client_port}",
            peer_url=f"http://127.0.0.1:{peer_port}",
        )
    )
    server.client_port, server.peer_port = client_port, peer_port
    return server


def watchers(server: Server) -> int:
    """How many watchers the store has."""
    with server.connect() as connection:
        answer = connection.ask(Request("GET", b"/v2/stats/store"))
    count: int = json.loads(answer.body)["watchers"]
    return count


@contextmanager
def first_watcher(server: Server) -> Iterator[Callable[[], None]]:
    """Give a function that waits until a watcher is registered, when there was none before."""
    until(lambda: watchers(server) == 0, "earlier watchers are gone")
    yield lambda: until(lambda: watchers(server) > 0, "a watcher is registered")
