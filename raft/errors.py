"""What becomes of a proposal that does not come back with a reply, and why a start is refused."""

from __future__ import annotations

from typing import Final

# Never handed to the engine, or handed in and forgotten: it has not happened and will not.
TIMED_OUT: Final = "etcdserver: request timed out"
# In the log of some member: it may still happen.
OUTCOME_UNKNOWN: Final = "etcdserver: request timed out, outcome unknown"
STOPPED: Final = "etcdserver: server stopped"
TOO_MANY: Final = "etcdserver: too many requests"
NO_SPACE: Final = "etcdserver: the disk of the data directory is full"


class ProposalFailed(Exception):
    """The cause a v2 client is told with errorCode 300.

    DEVIATES: where the command may still be committed later the cause says so ("outcome unknown");
    etcd's does not.
    """


class Refused(Exception):
    """The data directory does not allow a start; the message says why and what to do."""
