"""Agreement: these bytes, in this order, on a majority's disks.

Start with `machine` (what the package drives) and `node` (its door). Below that: `driver` (what
happens in which order; `proposing`, `writing` and `applying` do it), `engine` and `log` (PySyncObj
behind its fence; the engine's parts are `candidacy`, `following` and `leading`), `births` (who has
lost what it acknowledged), `batch` (what an entry holds), `journal` and `records` (the log on
disk), `space` (room for it), `snapshots` and `compaction` (what makes the log short again), `clock`
(cluster time), `disk` and `transport` (the seams that simulation replaces).

PySyncObj gives elections, vote rules, log bookkeeping and the commit loop; everything that makes
these safe is ours (docs/adr/0001). The package knows no keys: a StateMachine is handed in.
"""

from raft.batch import Peer
from raft.core import Timing
from raft.errors import ChangeRefused, Contradicted, DataLost, ProposalFailed, Refused, in_words
from raft.journal import Identity, IdentityMismatch, JournalCorrupt
from raft.machine import StateMachine
from raft.messages import Change
from raft.node import Bootstrap, Node, NodeConfig, Status
from raft.records import BIRTH_BITS
from raft.resealing import reseal
from raft.snapshots import SnapshotCorrupt

__all__ = [
    "BIRTH_BITS",
    "Bootstrap",
    "Change",
    "ChangeRefused",
    "Contradicted",
    "DataLost",
    "Identity",
    "IdentityMismatch",
    "JournalCorrupt",
    "Node",
    "NodeConfig",
    "Peer",
    "ProposalFailed",
    "Refused",
    "SnapshotCorrupt",
    "StateMachine",
    "Status",
    "Timing",
    "in_words",
    "reseal",
]
