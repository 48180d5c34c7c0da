"""Sockets to listen on, bound before anything is promised to anyone.

Law: binding and serving are two steps. A bound port takes connections into the kernel's queue,
where they wait until the member is ready, as they do with etcd.
"""

import contextlib
import os
import socket
from collections.abc import Iterable

from raft import in_words
from server.options.urls import Url

BACKLOG = 1024
PORT_MAX = 65535


class CannotListen(Exception):
    """A URL cannot be bound; the message is etcd's critical line."""


def bind_all(urls: Iterable[Url]) -> list[socket.socket]:
    """Bind and listen on each URL, or on none; raises CannotListen."""
    bound: list[socket.socket] = []
    try:
        bound.extend(_bind_unix(url) if url.is_unix else _bind_tcp(url) for url in urls)
    except CannotListen:
        close_all(bound)
        raise
    return bound


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close sockets; unix ones leave no file behind."""
    for listener in sockets:
        if listener.family == socket.AF_UNIX:
            with contextlib.suppress(OSError):
                os.unlink(listener.getsockname())
        listener.close()


def _bind_tcp(url: Url) -> socket.socket:
    if not url.port.isdigit() or int(url.port) > PORT_MAX:
        raise CannotListen(f"listen tcp: address {url.port}: invalid port")
    host = "127.0.0.1" if url.host == "localhost" else url.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(url.port)), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = in_words(error).partition(" (while")[0]
        raise CannotListen(f"listen tcp {url.authority}: bind: {reason}") from error


def _bind_unix(url: Url) -> socket.socket:
    path = url.authority
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_abandoned(path):
            os.unlink(path)
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"listen unix {path}: bind: {in_words(error)}") from error
    return listener


def _is_abandoned(path: str) -> bool:
    """Whether a socket file is there that nobody listens on any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
