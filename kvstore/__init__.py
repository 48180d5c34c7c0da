"""The state machine: given these commands, this is the tree.

Start with `paths` and `node` (what a key and a node are), then `tree` (where nodes live), `store`
(what each command does), `history` and `watch` (who is told), `expiry` (what runs out), `machine`
(how the log drives all that, and how it is saved). `commands` are what goes in, `store.Reply` is
what comes out; `errors` is etcd's catalogue, `gojson` its spelling and `gotext` Go's quoting.

The package is pure: no I/O, no clock, no randomness, no asyncio. The server drives it through the
log; tests and tools drive it directly.
"""

from kvstore.errors import EtcdError
from kvstore.event import Event
from kvstore.machine import Machine, UnknownFormat
from kvstore.members import Member, birth_of, cluster_version, is_removed, register
from kvstore.paths import KEY_BYTES_MAX, KEY_DEPTH_MAX
from kvstore.store import Reply, Store, error_reply
from kvstore.watch import Watcher

__all__ = [
    "KEY_BYTES_MAX",
    "KEY_DEPTH_MAX",
    "EtcdError",
    "Event",
    "Machine",
    "Member",
    "Reply",
    "Store",
    "UnknownFormat",
    "Watcher",
    "birth_of",
    "cluster_version",
    "error_reply",
    "is_removed",
    "register",
]
