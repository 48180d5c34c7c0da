"""Whether a change of the members might cost the quorum: etcd's strict reconfiguration check.

Laws:

* Pure, and only a precaution: it judges by what this member knows at this moment. What keeps a
  cluster safe is agreement's own rule, one change at a time.
* Arithmetic and order are etcd 3.4's (contract/cluster.md section 3). A member counts as started
  once it has published its name; this member is always in touch with itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kvstore import Member

# How long a member must have been reachable to count on it.
HEALTHY_S: Final = 5.0

NOT_ENOUGH_STARTED: Final = "not enough started members"
NOT_HEALTHY: Final = "not healthy for reconfigure"
BREAKS_QUORUM: Final = "reconfigure breaks active quorum"


def objection_to_add(
    members: Sequence[Member], me: int, reachable_s: Callable[[int], float | None]
) -> str | None:
    """Return why a member must not be added now, None if it may.

    `reachable_s` tells for how long a member has been reachable, None if it is not.
    """
    size = len(members) + 1
    started = _started(members)
    # A cluster of one may always grow.
    if not (started == 1 and size == 2) and started < size // 2 + 1:
        return NOT_ENOUGH_STARTED
    if _healthy(members, me, reachable_s) < len(members):
        return NOT_HEALTHY
    return None


def objection_to_remove(
    members: Sequence[Member], me: int, reachable_s: Callable[[int], float | None], going: int
) -> str | None:
    """Return why the member `going` must not be removed now, None if it may."""
    staying = [member for member in members if member.id != going]
    if _started(staying) < len(staying) // 2 + 1:
        return NOT_ENOUGH_STARTED
    if going != me and reachable_s(going) is None:
        return None  # it is no part of the quorum there is
    if _healthy(members, me, reachable_s) - 1 < 1 + (len(members) - 1) // 2:
        return BREAKS_QUORUM
    return None


def _started(members: Sequence[Member]) -> int:
    return sum(1 for member in members if member.name)


def _healthy(members: Sequence[Member], me: int, reachable_s: Callable[[int], float | None]) -> int:
    return sum(
        1 for member in members if member.id == me or (reachable_s(member.id) or 0.0) >= HEALTHY_S
    )
