"""The register of members: who belongs to the cluster, kept in the store's hidden /0 subtree.

Laws:

* A change of the register is an ordinary write to keys no client can name, so it takes part in the
  one index as etcd's does: adding, changing peer URLs, publishing and the cluster's version count
  one each, removing counts two (contract/keys.md section 8).
* Paths and JSON are etcd's own: members/<id>/raftAttributes, members/<id>/attributes and
  removed_members/<id>.
* An id that was removed stays removed: it is remembered for ever. So is the birth of its log that a
  member was first published with (raft.births).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from kvstore.commands import (
    AddMember,
    Create,
    Delete,
    PublishMember,
    RemoveMember,
    Set,
    SetClusterVersion,
    Update,
    UpdateMember,
)
from kvstore.paths import CLUSTER_ROOT

if TYPE_CHECKING:
    from kvstore.tree import Tree

_MEMBERS: Final = CLUSTER_ROOT + b"/members"
_REMOVED: Final = CLUSTER_ROOT + b"/removed_members"
_VERSION: Final = CLUSTER_ROOT + b"/version"


class _RaftAttributes(msgspec.Struct, rename="camel"):
    peer_urls: tuple[str, ...] = msgspec.field(name="peerURLs", default=())


class _Attributes(msgspec.Struct, omit_defaults=True):
    name: str = ""
    client_urls: tuple[str, ...] = msgspec.field(name="clientURLs", default=())
    birth: int = 0


class Member(msgspec.Struct, frozen=True):
    """A member as /v2/members shows it; the name is empty until it has started once."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]


def added(command: AddMember) -> Create:
    """The write that records a new member."""
    return Create(_key(command.id, b"raftAttributes"), _raft_attributes(command.peer_urls))


def updated(command: UpdateMember) -> Update:
    """The write that changes a member's peer URLs."""
    return Update(_key(command.id, b"raftAttributes"), _raft_attributes(command.peer_urls))


def removed(command: RemoveMember) -> tuple[Delete, Create]:
    """The two writes that take a member out and remember its id."""
    return (
        Delete(b"%b/%x" % (_MEMBERS, command.id), dir=True, recursive=True),
        Create(_removed_key(command.id)),
    )


def published(tree: Tree, command: PublishMember) -> Set:
    """The write by which a started member tells its name and client URLs."""
    birth = birth_of(tree, command.id) or command.birth
    attributes = _Attributes(command.name, command.client_urls, birth)
    return Set(_key(command.id, b"attributes"), msgspec.json.encode(attributes))


def version_set(command: SetClusterVersion) -> Set:
    """The write that records the cluster's version."""
    return Set(_VERSION, command.version.encode())


def register(tree: Tree) -> list[Member]:
    """Return all members, sorted by id."""
    directory = tree.nodes.get(_MEMBERS)
    keys = directory.children if directory is not None else None
    return sorted((_member(tree, key) for key in keys or ()), key=lambda member: member.id)


def birth_of(tree: Tree, member_id: int) -> int:
    """Return the birth of its log that a member was first published with, 0 for none."""
    node = tree.nodes.get(_key(member_id, b"attributes"))
    return msgspec.json.decode(node.value, type=_Attributes).birth if node else 0


def is_removed(tree: Tree, member_id: int) -> bool:
    """Tell whether a member with this id was removed; the id then can't come back."""
    return _removed_key(member_id) in tree.nodes


def cluster_version(tree: Tree) -> str | None:
    """Return the version the cluster has agreed on, None before it has."""
    node = tree.nodes.get(_VERSION)
    return node.value.decode() if node is not None else None


def _key(member_id: int, attribute: bytes) -> bytes:
    return b"%b/%x/%b" % (_MEMBERS, member_id, attribute)


def _removed_key(member_id: int) -> bytes:
    return b"%b/%x" % (_REMOVED, member_id)


def _raft_attributes(peer_urls: tuple[str, ...]) -> bytes:
    return msgspec.json.encode(_RaftAttributes(tuple(sorted(peer_urls))))


def _member(tree: Tree, key: bytes) -> Member:
    raft_node = tree.nodes.get(key + b"/raftAttributes")
    raft = msgspec.json.decode(raft_node.value, type=_RaftAttributes) if raft_node else None
    node = tree.nodes.get(key + b"/attributes")
    attributes = msgspec.json.decode(node.value, type=_Attributes) if node else _Attributes()
    return Member(
        id=int(key.rpartition(b"/")[2], 16),
        name=attributes.name,
        peer_urls=raft.peer_urls if raft else (),
        client_urls=attributes.client_urls,
    )
