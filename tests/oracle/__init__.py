"""Real processes and raw sockets: what the comparing tests are made of.

`process` starts and always ends servers (a real etcd, or pyetcd) with the same identity, so
that ids and URLs need no mapping; `wire` speaks HTTP/1.1 byte by byte, so that nothing a
server sends is lost in a client library. Neither judges an answer.
"""

from tests.oracle.process import Identity, Pyetcd, RealEtcd, Server, StartError
from tests.oracle.wire import Closed, Connection, Late, Request, Response, fetch

__all__ = [
    "Closed",
    "Connection",
    "Identity",
    "Late",
    "Pyetcd",
    "RealEtcd",
    "Request",
    "Response",
    "Server",
    "StartError",
    "fetch",
]
