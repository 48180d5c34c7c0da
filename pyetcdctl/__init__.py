"""The v2 command line and, under it, a client for programs.

`Client` waits, `AsyncClient` is awaited; both have the same methods (surface). `errors` draws the
tree of what they raise. The command line is in `command`. Nothing of the server's packages is used
here: it all goes over the wire, to real etcd just as well.
"""

# Nothing is imported before it is used: the command line needs no event loop and mostly no lock,
# and has to settle what Ctrl-C means before anything that takes long (command.entry). So it does
# without typing, whose name for this is the same.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from pyetcdctl.answers import Member, Node, Result
    from pyetcdctl.async_client import AsyncClient
    from pyetcdctl.client import Client
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
    from pyetcdctl.leases import AsyncLease, Lease, LeaseLost, NoTTL
    from pyetcdctl.locking import AsyncLock, Lock
    from pyetcdctl.tls import TLS
    from pyetcdctl.turn import LockLost, LockTimeout
    from pyetcdctl.watching import RESYNC, Change

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

# The modules of all but the errors.
_MODULES = {
    "RESYNC": "watching",
    "TLS": "tls",
    "AsyncClient": "async_client",
    "AsyncLease": "leases",
    "AsyncLock": "locking",
    "Change": "watching",
    "Client": "client",
    "Lease": "leases",
    "LeaseLost": "leases",
    "Lock": "locking",
    "LockLost": "turn",
    "LockTimeout": "turn",
    "Member": "answers",
    "NoTTL": "leases",
    "Node": "answers",
    "Result": "answers",
}


if not TYPE_CHECKING:  # or whoever checks types would find whatever name there is

    def __getattr__(name):
        """Import what is used for the first time."""
        from importlib import import_module

        if name in ("errors", *_MODULES.values()):
            return import_module(f"{__name__}.{name}")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
        globals()[name] = found
        return found

    def __dir__():
        """All there is, imported or not."""
        return sorted({*globals(), *__all__})
