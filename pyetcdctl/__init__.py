"""The v2 command line and, under it, a client for programs.

`Client` waits, `AsyncClient` is awaited; both have the same methods (surface). `errors` draws the
tree of what they raise. The command line is in `command`. Nothing of the server's packages is used
here: it all goes over the wire, to real etcd just as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyetcdctl.answers import Member, Node, Result
from pyetcdctl.errors import (
    BadAnswer,
    BadEndpoint,
    BadTLS,
    ClientError,
    ClusterUnavailable,
    CompareFailed,
    DeadlineExceeded,
    DirectoryNotEmpty,
    EndpointFailed,
    EtcdError,
    EventIndexCleared,
    KeyNotFound,
    NodeExists,
    NoEndpoints,
    NotADirectory,
    NotAFile,
    RaftFailed,
    Refused,
    RootReadOnly,
    Unauthorized,
)
from pyetcdctl.tls import TLS
from pyetcdctl.watching import RESYNC, Change

if TYPE_CHECKING:
    from pyetcdctl.async_client import AsyncClient
    from pyetcdctl.client import Client

__all__ = [
    "RESYNC",
    "TLS",
    "AsyncClient",
    "BadAnswer",
    "BadEndpoint",
    "BadTLS",
    "Change",
    "Client",
    "ClientError",
    "ClusterUnavailable",
    "CompareFailed",
    "DeadlineExceeded",
    "DirectoryNotEmpty",
    "EndpointFailed",
    "EtcdError",
    "EventIndexCleared",
    "KeyNotFound",
    "Member",
    "NoEndpoints",
    "Node",
    "NodeExists",
    "NotADirectory",
    "NotAFile",
    "RaftFailed",
    "Refused",
    "Result",
    "RootReadOnly",
    "Unauthorized",
]


def __getattr__(name: str) -> Any:
    """Import a client when it is first used: the command line needs no event loop."""
    if name == "Client":
        from pyetcdctl.client import Client

        return Client
    if name == "AsyncClient":
        from pyetcdctl.async_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
