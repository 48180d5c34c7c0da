"""What a write did: one event per index, rendered once and shared by everyone who sees it."""

from __future__ import annotations

from typing import Final

import msgspec

# The actions that take a node away.
REMOVALS: Final = frozenset({b"delete", b"expire", b"compareAndDelete"})


class Event(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An action at an index.

    `body` is the JSON document with its newline: the reply to the writer and the message to every
    watcher. `removed_dir` marks the removal of a directory, which history scans match differently;
    `refresh` marks a write that watchers must not see (contract/keys.md section 5.7).
    """

    index: int
    key: bytes
    action: bytes
    body: bytes
    created: bool = False
    removed_dir: bool = False
    refresh: bool = False
