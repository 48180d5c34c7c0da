"""Who remembers whose data: how a member is found out that has lost what it acknowledged.

Each log has a birth: a number drawn when it was begun, kept in its segments' headers, and published
with the member's name. The members' state machine keeps the first one it is told of each member.

Laws:

* Two births of one member mean that what it had under the first one is gone. Who is unknown by its
  own birth, and known by another one, ends; so does who knows another member by a birth of before,
  if the others have gone on with a later one.
* A founder that has nothing and never voted does not know whether it is new or has forgotten. It
  helps nobody to lead who may lack what it acknowledged: only who has nothing either (they found a
  cluster together), or who has seen the cluster begin without it: a majority is on record, and it
  is not one of them. Where no majority has come without it, it may have been there. (Of an even
  number nobody has to wait: a majority that lacks an entry, and of whose members one has forgotten
  it, is one member short.) One that joins was added by others, and waits for nobody either.

Both are more than Raft asks for, which takes disks for eternal; see docs/adr/0004.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raft.errors import Contradicted, DataLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from raft.records import Identity


class Births:
    """What one member's state machine knows of all members' births; 0 stands for no birth."""

    def __init__(self, identity: Identity, birth_of: Callable[[int], int]) -> None:
        self._identity = identity
        self._birth_of = birth_of

    @property
    def shown(self) -> int:
        """Our own birth, once we are known by it."""
        birth = self._identity.birth
        return birth if self._birth_of(self._identity.member_id) == birth else 0

    def known(self, member: int) -> int:
        """A member's birth."""
        return self._birth_of(member)

    def compare(self, member: int, shown: int, knows_us: int) -> None:
        """Hear what a member shows of itself and knows of us; raises DataLost or Contradicted."""
        if knows_us not in (0, self._identity.birth) and not self.shown:
            raise DataLost(
                f"peer {member:x} knows that this member was started before, and its data of then"
                " is not here"
            )
        if shown and self.known(member) not in (0, shown):
            raise Contradicted(
                f"peer {member:x} has lost the data by which this member knows it, and others have"
                " gone on without: what they lack may be in this member's data directory alone:"
                " keep it"
            )

    def began_without(self, member: int, voters: frozenset[int]) -> bool:
        """Whether the voters can have got along without this member, as far as is on record."""
        known = sum(self._birth_of(voter) != 0 for voter in voters)
        is_enough = 2 * known > len(voters) or len(voters) % 2 == 0
        return is_enough and not self._birth_of(member)
