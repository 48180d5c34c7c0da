"""A member that the log can no longer help: how it comes to be in an assembly of A, B and C.

A leads and has compacted its log to behind what B has; B is cut off and needs a snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.raft.fence.assembly import until
from tests.raft.member import within

if TYPE_CHECKING:
    from tests.raft.fence.assembly import Assembly

A, B, C = 1, 2, 3
# A configuration with which a snapshot is taken soon, and nothing of the log is kept behind it.
SMALL = {"snapshot_count": 5, "trailing_commands": 0}


async def left_behind(house: Assembly, *, commands: int = 20, text: bytes = b"") -> None:
    """A leads and has compacted its log to behind what B has; B is cut off."""
    await house.elect(A)
    await house.same()
    house.partition({A, C}, {B})
    for number in range(commands):
        await within(house[A].propose(b"k%d" % number + text))
    await compacted(house)


async def compacted(house: Assembly) -> None:
    """Have A take a snapshot of all it has, and drop the log before it."""
    compactor = house[A].node.compactor
    while compactor.last_index < house[A].node.applied_index:
        await within(house[A].node._take_snapshot())
        await until(lambda: compactor._task is None, "it is taken")
    assert house[A].node._log.first_index == house[A].node.applied_index


def reconnect(house: Assembly) -> None:
    """B comes back; A notices at its next heartbeat what it lacks."""
    house.connect(A, B)
    house[A].pass_time(101)


async def cut_off_with_ghosts(house: Assembly, count: int = 1) -> None:
    """B led, has entries that nobody else has, and is cut off; A leads and has compacted."""
    await house.elect(B)
    await house.same()
    house.hold_all(B)
    log = house[B].node._log
    for last in range(log.last_index, log.last_index + count):
        house[B].propose(b"ghost")
        await until(lambda: log.last_index > last, "B has it")  # noqa: B023
    house.disconnect(A, B)
    house.disconnect(B, C)
    house.held.clear()
    await house.elect(A, C)
    for number in range(20):
        await within(house[A].propose(b"k%d" % number))
    await compacted(house)
