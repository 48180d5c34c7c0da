"""Keys as paths: the only module that knows what "/" and "_" mean.

Laws:

* A key is clean: it begins with its namespace's root, has no empty segment and no trailing slash.
  Making it clean is the business of whoever reads the wire.
* The first byte names the namespace. Users' keys begin with "/". The cluster's own data lies below
  "0" (etcd's hidden /0) and is addressed "0/members/...". No path a client can send begins with
  anything but "/", so one flat dictionary holds both and they share one index.
"""

from __future__ import annotations

from typing import Final

USER_ROOT: Final = b"/"
CLUSTER_ROOT: Final = b"0"
ROOTS: Final = (CLUSTER_ROOT, USER_ROOT)

# Each segment of a new path may become a directory that stores its whole path, so memory is
# length x depth: both are bounded. etcd 3.4 bounds neither, but its request line (4,096 bytes,
# 2,040 segments) lies within both limits.
KEY_BYTES_MAX: Final = 64 * 1024
KEY_DEPTH_MAX: Final = 4096


def parent(key: bytes) -> bytes:
    """Return the directory a key lies in; a root has none and must not be asked."""
    return key.rpartition(b"/")[0] or USER_ROOT


def below(directory: bytes) -> bytes:
    """Return the prefix that every key strictly below `directory` has."""
    return directory if directory == USER_ROOT else directory + b"/"


def is_hidden(key: bytes) -> bool:
    """Tell whether the last segment begins with an underscore."""
    return key.rpartition(b"/")[2].startswith(b"_")


def is_hidden_from(watched: bytes, key: bytes) -> bool:
    """Tell whether a watcher of `watched` may not see an event at `key` (keys.md section 9.2).

    Only the part of `key` after `watched` counts; an event above the watched path (the removal
    of an ancestor) is never hidden.
    """
    if len(watched) > len(key):
        return False
    return b"/_" in b"/" + key[len(watched) :]


def ancestors(key: bytes) -> list[bytes]:
    """Return the key itself and every directory above it, deepest first."""
    found = [key]
    while key not in ROOTS:
        key = parent(key)
        found.append(key)
    return found
