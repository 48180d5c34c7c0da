"""The v2 command line and, under it, a client for programs.

`Client` waits, `AsyncClient` is awaited; both have the same methods (surface). `errors` draws the
tree of what they raise. The command line is in `command`. Nothing of the server's packages is used
here: it all goes over the wire, to real etcd just as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyetcdctl.answers import Member, Node, Result
from pyetcdctl.errors import (
    BadAnswer,
    BadCredentials,
    BadEndpoint,
    BadText,
    BadTLS,
    ClientClosed,
    ClientError,
    ClusterUnavailable,
    CompareFailed,
    DeadlineExceeded,
    DirectoryNotEmpty,
    EmptyAnswer,
    EndpointFailed,
    EtcdError,
    EventIndexCleared,
    KeyNotFound,
    NodeExists,
    NoEndpoints,
    NotADirectory,
    NotAFile,
    OutcomeUnknown,
    RaftFailed,
    Refused,
    RootReadOnly,
    Unauthorized,
    WrongLoop,
)
from pyetcdctl.tls import TLS
from pyetcdctl.watching import RESYNC, Change

if TYPE_CHECKING:
    from pyetcdctl.async_client import AsyncClient
    from pyetcdctl.client import Client
    from pyetcdctl.leases import AsyncLease, Lease, LeaseLost, NoTTL
    from pyetcdctl.locking import AsyncLock, Lock
    from pyetcdctl.turn import LockLost, LockTimeout

__all__ = [
    "RESYNC",
    "TLS",
    "AsyncClient",
    "AsyncLease",
    "AsyncLock",
    "BadAnswer",
    "BadCredentials",
    "BadEndpoint",
    "BadTLS",
    "BadText",
    "Change",
    "Client",
    "ClientClosed",
    "ClientError",
    "ClusterUnavailable",
    "CompareFailed",
    "DeadlineExceeded",
    "DirectoryNotEmpty",
    "EmptyAnswer",
    "EndpointFailed",
    "EtcdError",
    "EventIndexCleared",
    "KeyNotFound",
    "Lease",
    "LeaseLost",
    "Lock",
    "LockLost",
    "LockTimeout",
    "Member",
    "NoEndpoints",
    "NoTTL",
    "Node",
    "NodeExists",
    "NotADirectory",
    "NotAFile",
    "OutcomeUnknown",
    "RaftFailed",
    "Refused",
    "Result",
    "RootReadOnly",
    "Unauthorized",
    "WrongLoop",
]


# Imported when they are first used: the command line needs no event loop, and mostly no lock.
_LATER: Final = {
    "AsyncClient": "async_client",
    "AsyncLease": "leases",
    "AsyncLock": "locking",
    "Client": "client",
    "Lease": "leases",
    "LeaseLost": "leases",
    "Lock": "locking",
    "LockLost": "turn",
    "LockTimeout": "turn",
    "NoTTL": "leases",
}


def __getattr__(name: str) -> Any:
    """Import what is not imported at once."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
