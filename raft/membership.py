"""Who the members are: the configurations in the log, and in the snapshot below it.

Laws (as etcd's raft; Ongaro, "Consensus", 2014, section 4.1, for why one member at a time):

* A configuration is in force once it is known to be committed. So one that is in the log and not
  known to be committed is not in force yet, but the one before it is: nobody appends a
  configuration before the last one is committed.
* Configurations differ from the one before by at most one member, so that the majorities of two
  neighbours overlap. Who proposes one sees to that (`changed`), and to it that only one is under
  way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from raft.errors import ChangeRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raft.batch import Peer
    from raft.messages import Change

ADD: Final = "add"
REMOVE: Final = "remove"
UPDATE: Final = "update"


class Membership:
    """The configurations the log holds, oldest first; there is always one."""

    def __init__(self, index: int, peers: Sequence[Peer]) -> None:
        """`peers` have been in force since `index`; none at all for a member that has to join."""
        self._history: list[tuple[int, tuple[Peer, ...]]] = [(index, tuple(peers))]
        self._committed = index
        # Counts changes of what is in the log or in force, so that others notice them cheaply.
        self.version = 0

    @property
    def index(self) -> int:
        """The index of the newest configuration in the log."""
        return self._history[-1][0]

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The newest configuration in the log."""
        return self._history[-1][1]

    @property
    def voters(self) -> frozenset[int]:
        """The ids of the members whose votes and acknowledgements count."""
        under_way = self.index > self._committed and len(self._history) > 1
        return frozenset(peer.id for peer in self._history[-2 if under_way else -1][1])

    def at(self, index: int) -> tuple[Peer, ...]:
        """The configuration as of an index, which must not be below the oldest one kept."""
        return next((peers for since, peers in reversed(self._history) if since <= index), ())

    def append(self, index: int, peers: Sequence[Peer]) -> None:
        """A configuration has been appended to the log."""
        self._history.append((index, tuple(peers)))
        self.version += 1

    def committed(self, index: int) -> bool:
        """The log is known to be committed up to an index; tell whether that puts one in force."""
        now_in_force = self._committed < self.index <= index
        self.version += now_in_force
        self._committed = max(self._committed, index)
        return now_in_force

    def truncate(self, index: int) -> None:
        """The entries from `index` on have gone."""
        while len(self._history) > 1 and self._history[-1][0] >= index:
            self._history.pop()
            self.version += 1

    def compact(self, index: int) -> None:
        """The entries before `index` have gone; what they say is in a snapshot."""
        while len(self._history) > 1 and self._history[1][0] <= index:
            del self._history[0]

    def reset(self, index: int, peers: Sequence[Peer]) -> None:
        """A snapshot has replaced the log."""
        self._history = [(index, tuple(peers))]
        self._committed = max(self._committed, index)
        self.version += 1


def changed(
    peers: tuple[Peer, ...], change: Change, is_removed: Callable[[int], bool]
) -> tuple[Peer, ...]:
    """Return the members after a change, sorted by id; raises ChangeRefused with etcd's words."""
    peer = change.peer
    others = [other for other in peers if other.id != peer.id]
    is_member = len(others) < len(peers)
    if is_removed(peer.id):
        raise ChangeRefused("membership: ID removed")
    if change.kind == ADD and is_member:
        raise ChangeRefused("membership: ID exists")
    if change.kind in (REMOVE, UPDATE) and not is_member:
        raise ChangeRefused("membership: ID not found")
    if change.kind == REMOVE:
        if not others:
            raise ChangeRefused("membership: the last member cannot be removed")
        return tuple(others)
    if change.kind not in (ADD, UPDATE):
        raise ChangeRefused(f"membership: no such change: {change.kind!r}")
    if any(set(other.urls) & set(peer.urls) for other in others):
        raise ChangeRefused("membership: peerURL exists")
    return tuple(sorted((*others, peer), key=lambda member: member.id))
