"""What becomes of a disk that somebody meddles with, tried on copies of the disks of a seed.

Laws:

* "damage is found": a start from a disk on which bits have flipped is refused with a sentence, or
  what it finds is all that was there.
* Files that are cut short, gone or misplaced may look like a write that never completed, or like an
  older log: the start is refused, or works, but never ends in a traceback.
* "a copy is a copy": resealed for another cluster it holds what the original does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kvstore import Machine
from raft import (
    JournalCorrupt,
    Node,
    NodeConfig,
    Refused,
    SnapshotCorrupt,
    records,
    snapshots,
)
from raft.journal import Journal
from tests.simulation.disk import SNAP, WAL, MemberDisk

if TYPE_CHECKING:
    import random

    from raft.journal import Recovered
    from tests.simulation.member import Member

DAMAGES_PER_DISK = 3


def spoil(member: Member) -> None:
    """Try some damages on copies of a member's disk; raises Violation."""
    segment_bytes = member.world.mood.segment_bytes
    truth = _found(member.disk.clone(), segment_bytes)
    for _ in range(DAMAGES_PER_DISK):
        disk = member.disk.clone()
        damage = member.luck.choice(DAMAGES)
        what = damage(disk, member.luck)
        try:
            node: Node[object] = Node(
                Machine(),
                NodeConfig(WAL, SNAP, segment_bytes=segment_bytes),
                identity=None,
                bootstrap=None,
                on_fatal=lambda _error: None,
                clock=member.live.clocks,
                disk=disk,
            )
        except (JournalCorrupt, SnapshotCorrupt, Refused):
            member.world.counts["damage refused"] += 1
            continue
        node.journal.close()
        member.world.counts["damage survived"] += 1
        if damage is flip_a_bit and _found(disk, segment_bytes) != truth:
            detail = f"member {member.id} starts from another state after this: {what}"
            member.world.accuse("damage is found", detail)


def reseal(member: Member) -> None:
    """Make a copy of a member's disk another cluster's; raises Violation."""
    if member.journal.damaged:
        return  # is refused, before anything is copied
    segment_bytes = member.world.mood.segment_bytes
    disk = member.disk.clone()
    truth = _found(disk, segment_bytes)
    apart = replace(truth.identity, cluster_id=truth.identity.cluster_id + 1)
    for path, _size in disk.files():
        if path.endswith(".log"):
            disk.overwrite(path, records.resealed(disk.content(path), apart))
        elif path.endswith(snapshots.SUFFIX):
            disk.overwrite(path, snapshots.resealed(disk.content(path), apart))
    if _found(disk, segment_bytes) != replace(truth, identity=apart):
        detail = f"a copy of member {member.id} for another cluster is none"
        member.world.accuse("a copy is a copy", detail)
    snapshots.SnapshotStore(disk, SNAP, identity=apart).newest()


def _found(disk: MemberDisk, segment_bytes: int) -> Recovered:
    """What a journal holds, whatever it says of repairs."""
    journal, found = Journal.open(disk, WAL, identity=None, segment_bytes=segment_bytes)
    journal.close()
    return replace(found, repaired=None)


def _some(disk: MemberDisk, luck: random.Random, suffix: str = "") -> tuple[str, int] | None:
    files = [file for file in disk.files() if file[0].endswith(suffix) and file[1]]
    return luck.choice(files) if files else None


def flip_a_bit(disk: MemberDisk, luck: random.Random) -> str:
    """One bit of one file, mostly where something is written."""
    found = _some(disk, luck)
    assert found is not None
    path, size = found
    used = len(disk.content(path).rstrip(b"\0"))
    bit = luck.randrange(8 * (used if luck.random() < 0.9 and used else size))
    disk.flip(path, bit)
    return f"bit {bit} of {path} is flipped"


def cut_short(disk: MemberDisk, luck: random.Random) -> str:
    """A file loses its end."""
    found = _some(disk, luck)
    assert found is not None
    path, size = found
    left = luck.choice((0, 1, 100, luck.randrange(size)))
    disk.overwrite(path, disk.content(path)[:left])
    return f"{path} is cut to {left} of {size} bytes"


def remove_a_file(disk: MemberDisk, luck: random.Random) -> str:
    """A file is gone."""
    found = _some(disk, luck, luck.choice((".log", ".snapshot", "")))
    if found is None:
        return "nothing to remove"
    disk.unlink(found[0])
    return f"{found[0]} is gone"


def rename_a_file(disk: MemberDisk, luck: random.Random) -> str:
    """A file has another one's name, or one of its own."""
    path, _size = _some(disk, luck) or ("", 0)
    kind = path.rpartition(".")[2]
    number = luck.choice((1, 2, 3, 99))
    name = f"{number:016x}" if kind == "log" else f"{number:016x}-{luck.randrange(1, 60):016x}"
    new = f"{path.rpartition('/')[0]}/{name}.{kind}"
    disk.rename(path, new)
    return f"{path} is called {new}"


def leave_foreign_files(disk: MemberDisk, luck: random.Random) -> str:
    """Another etcd has been here."""
    path = luck.choice((f"{WAL}/0000000000000000-0000000000000000.wal", f"{SNAP}/1-1.snap"))
    disk.open(path, create=True)
    return f"there is {path}"


DAMAGES = (
    flip_a_bit,
    flip_a_bit,
    flip_a_bit,
    cut_short,
    remove_a_file,
    rename_a_file,
    leave_foreign_files,
)
