"""The files of a member made those of a member of another cluster: a copy's.

Two clusters with one id take each other for one: a copy that is started beside the cluster it was
made of could end its members. So a copy gets an id of its own.

Laws: only the identity in the heads, and the checksums that it seeds, change; the files are whole
(they have been replayed) and nobody uses them; what was changed is synced. A crash in between
leaves files that do not check together: whoever copies names the copy only afterwards.
"""

import os
from pathlib import Path

from raft import records, snapshots
from raft.records import Identity


def reseal(wal: Path, snap: Path, identity: Identity) -> None:
    """Let all segments and snapshots in these directories be that member's."""
    for path in sorted(wal.glob("*.log")):
        _rewrite(path, records.resealed(path.read_bytes(), identity))
    for path in sorted(snap.glob(f"*{snapshots.SUFFIX}")):
        _rewrite(path, snapshots.resealed(path.read_bytes(), identity))


def _rewrite(path: Path, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
