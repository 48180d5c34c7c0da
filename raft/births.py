"""Who remembers whose data: how a member is found out that has lost what it acknowledged.

Each log has a birth: a number drawn when it was begun, kept in its segments' headers, and published
with the member's name. The members' state machine keeps the first one it is told of each member.

Laws:

* Two births of one member mean that what it had under the first one is gone. Who is unknown by its
  own birth, and known by another one, ends; so does who knows another member by a birth of before,
  if the others have gone on with a later one. Two that know different births of a third one are of
  two histories, and have nothing to say to each other.
* Who has seen a cluster begin without a founder, with a majority on record that it is none of, need
  not fear that this founder has forgotten something (see `candidacy`). Where no majority has come
  without it, it may have been there.

Both are more than Raft asks for, which takes disks for eternal; see docs/adr/0004.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raft.errors import Contradicted, DataLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from raft.records import Identity


class Births:
    """What one member's state machine knows of all members' births; 0 stands for no birth."""

    def __init__(self, identity: Identity, birth_of: Callable[[int], int]) -> None:
        self._identity = identity
        self._birth_of = birth_of

    def shown(self, members: Iterable[int]) -> dict[int, int]:
        """Those on record of these members and of ourselves; ours only if it is our own."""
        me = self._identity
        births = {member: self._birth_of(member) for member in (*members, me.member_id)}
        if births[me.member_id] != me.birth:
            del births[me.member_id]
        return {member: birth for member, birth in births.items() if birth}

    def contradiction(self, member: int, shown: Mapping[int, int]) -> int:
        """Of whom, besides us and itself, a member knows another birth than we do; 0 for nobody, or
        if one of us two is known to the other by another one: that ends one of us.
        """
        if self._knows_us_otherwise(shown) or self._is_another(member, shown):
            return 0
        for other in sorted(shown.keys() - {member, self._identity.member_id}):
            if self._birth_of(other) not in (0, shown[other]):
                return other
        return 0

    def compare(self, member: int, shown: Mapping[int, int]) -> None:
        """Hear what a member knows of itself and of us; raises DataLost or Contradicted."""
        is_on_record = self._birth_of(self._identity.member_id) == self._identity.birth
        if self._knows_us_otherwise(shown) and not is_on_record:
            raise DataLost(
                f"peer {member:x} knows that this member was started before, and its data of then"
                " is not here"
            )
        if self._is_another(member, shown):
            raise Contradicted(
                f"peer {member:x} has lost the data by which this member knows it, and others have"
                " gone on without: what they lack may be in this member's data directory alone:"
                " keep it"
            )

    def _knows_us_otherwise(self, shown: Mapping[int, int]) -> bool:
        me = self._identity
        return shown.get(me.member_id, me.birth) != me.birth

    def _is_another(self, member: int, shown: Mapping[int, int]) -> bool:
        known = self._birth_of(member)
        return known not in (0, shown.get(member, known))

    def began_without(self, member: int, voters: frozenset[int]) -> bool:
        """Whether a majority of the voters is on record, and this member is not."""
        known = sum(self._birth_of(voter) != 0 for voter in voters)
        return not self._birth_of(member) and 2 * known > len(voters)
