"""What becomes of a proposal that does not come back with a reply, and why a start is refused."""

from __future__ import annotations

from typing import Final

# These two never reached the log: the command has not happened and will not.
TIMED_OUT: Final = "etcdserver: request timed out"
STOPPED: Final = "etcdserver: server stopped"
# These two are in the log of some member: the command may still happen.
TIMED_OUT_UNKNOWN: Final = "etcdserver: request timed out, outcome unknown"
STOPPED_UNKNOWN: Final = "etcdserver: server stopped, outcome unknown"
TOO_MANY: Final = "etcdserver: too many requests"
TOO_LARGE: Final = "etcdserver: request is too large"
NO_SPACE: Final = "etcdserver: the disk of the data directory is full"
LEADER_NO_SPACE: Final = "etcdserver: the disk of the leader's data directory is full"
MOST_NO_SPACE: Final = "etcdserver: the disks of most members' data directories are full"


class ProposalFailed(Exception):
    """The cause a v2 client is told with errorCode 300.

    DEVIATES: where the command may still be committed later the cause says so ("outcome unknown");
    etcd's does not.
    """


class ChangeRefused(Exception):
    """A change of the members that makes no sense; the message is etcd's."""


class Refused(Exception):
    """The data directory does not allow a start; the message says why and what to do."""


class DataLost(Exception):
    """This member does not have what others count on its having; the message says what to do."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}; a member that has forgotten what it acknowledged must not go on: give it back"
            " the data directory it had, or remove it from the cluster and add it anew with an"
            " empty one"
        )


class SafetyViolation(Exception):
    """Something happened that agreement rules out: a bug, or a peer that is not one of ours."""


class Contradicted(SafetyViolation):
    """Whoever leads has other entries than what was committed here: somebody has lost data."""


def in_words(error: Exception) -> str:
    """What an error says, without the number the system has for it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)
