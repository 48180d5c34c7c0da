"""The commands the log carries: everything that can ever change the store.

Laws:

* A command says what the client asked for, not what should come of it: two stores that are given
  the same commands with the same stamps end up equal.
* The encoding is msgpack arrays with a tag. Tags and the order of fields are a file format:
  existing ones never change, new fields go to the end with a default.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec


class Set(msgspec.Struct, tag="set", array_like=True, frozen=True, gc=False):
    """Create or replace a file or, with `dir`, create a directory. `ttl` in seconds."""

    key: bytes
    value: bytes = b""
    dir: bool = False
    ttl: int | None = None
    refresh: bool = False


class Create(msgspec.Struct, tag="create", array_like=True, frozen=True, gc=False):
    """Create a node that must not exist."""

    key: bytes
    value: bytes = b""
    dir: bool = False
    ttl: int | None = None


class CreateInOrder(msgspec.Struct, tag="post", array_like=True, frozen=True, gc=False):
    """Create a child of `key` named after the new index (POST)."""

    key: bytes
    value: bytes = b""
    dir: bool = False
    ttl: int | None = None


class Update(msgspec.Struct, tag="update", array_like=True, frozen=True, gc=False):
    """Change the value and TTL of a file, or the TTL of a directory, that exists."""

    key: bytes
    value: bytes = b""
    ttl: int | None = None
    refresh: bool = False


class CompareAndSwap(msgspec.Struct, tag="cas", array_like=True, frozen=True, gc=False):
    """Set a file if it has the given value (empty: any) and modifiedIndex (0: any)."""

    key: bytes
    value: bytes
    prev_value: bytes
    prev_index: int
    ttl: int | None = None
    refresh: bool = False


class Delete(msgspec.Struct, tag="delete", array_like=True, frozen=True, gc=False):
    """Remove a file, an empty directory (`dir`) or a whole subtree (`recursive`)."""

    key: bytes
    dir: bool = False
    recursive: bool = False


class CompareAndDelete(msgspec.Struct, tag="cad", array_like=True, frozen=True, gc=False):
    """Remove a file if it has the given value (empty: any) and modifiedIndex (0: any)."""

    key: bytes
    prev_value: bytes
    prev_index: int


class Sync(msgspec.Struct, tag="sync", array_like=True, frozen=True, gc=False):
    """Remove every node whose deadline the stamp of this batch has reached (etcd's SYNC)."""


class AddMember(msgspec.Struct, tag="member-add", array_like=True, frozen=True, gc=False):
    """Record a member of the cluster by its id and peer URLs (index +1)."""

    id: int
    peer_urls: tuple[str, ...]


class UpdateMember(msgspec.Struct, tag="member-update", array_like=True, frozen=True, gc=False):
    """Change a member's peer URLs (index +1)."""

    id: int
    peer_urls: tuple[str, ...]


class RemoveMember(msgspec.Struct, tag="member-remove", array_like=True, frozen=True, gc=False):
    """Take a member out for good: its id is never used again (index +2)."""

    id: int


class PublishMember(msgspec.Struct, tag="member-publish", array_like=True, frozen=True, gc=False):
    """Record the name and client URLs a member has started with (index +1).

    `birth` is that of its log (raft.births), 0 for none.
    """

    id: int
    name: str
    client_urls: tuple[str, ...]
    birth: int = 0


class SetClusterVersion(msgspec.Struct, tag="version", array_like=True, frozen=True, gc=False):
    """Record the version the cluster as a whole speaks (index +1, or +0 if it is that already)."""

    version: str


# What clients ask for.
KeyCommand: TypeAlias = (
    Set | Create | CreateInOrder | Update | CompareAndSwap | Delete | CompareAndDelete
)

Command: TypeAlias = (
    KeyCommand | Sync | AddMember | UpdateMember | RemoveMember | PublishMember | SetClusterVersion
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Command]] = msgspec.msgpack.Decoder(Command)


def encode(command: Command) -> bytes:
    """Return the bytes the log keeps."""
    return _encoder.encode(command)


def decode(data: bytes) -> Command:
    """Return the command; raises msgspec.DecodeError if `data` is not one (a bug, hence fatal)."""
    return _decoder.decode(data)
