"""The servers that can be put into a cluster, and what may be asked of each.

Law: all take the same settings, as flags or as ETCD_* variables.
"""

import sys
from dataclasses import dataclass, field

from tests.oracle.process import find_etcd


@dataclass(frozen=True, slots=True)
class Program:
    """How a member is started, and which promises it makes."""

    kind: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    serves_without_quorum: bool = True
    """Local reads are answered after a restart without quorum too."""
    refuses_without_data: bool = True
    """A member whose data is gone ends instead of going on under its old id."""
    survives_full_disk: bool = True
    """A full disk refuses writes; it does not end the process."""
    cluster_time: bool = True
    """Time to live runs on the cluster's own time: an outage expires nothing."""
    steady: bool = True
    """What befalls a follower alone disturbs no client of the other members (pre-vote)."""
    streams_from_the_past: bool = True
    """`stream=true` with a `waitIndex` in the past delivers everything since."""


def etcd() -> Program:
    """The real etcd of this machine."""
    return Program(
        "etcd",
        (find_etcd()[0],),
        {"ETCD_ENABLE_V2": "true"},
        serves_without_quorum=False,
        refuses_without_data=False,
        survives_full_disk=False,
        cluster_time=False,
        steady=False,
        streams_from_the_past=False,
    )


def pyetcd(module: str = "server") -> Program:
    """Ours; `module` may be one of `tests.cluster.planted`, which have something done to it."""
    return Program("pyetcd", (sys.executable, "-m", module))


KINDS = ("etcd", "pyetcd")


def program(kind: str) -> Program:
    """The program with that name; `pyetcd:MODULE` is ours with something done to it."""
    name, _, module = kind.partition(":")
    if name == "etcd":
        return etcd()
    return pyetcd(module or "server")
