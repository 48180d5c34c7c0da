"""Births: who is found out to have lost its data, and who can rule out that another one has."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft import Contradicted, DataLost, Identity
from raft.births import Births

ME, OTHER = 1, 2
MINE, BEFORE = 7, 8


def births(**on_record: int) -> Births:
    """Those of member 1, whose birth is 7; `m1`, `m2`: what is on record."""
    return Births(Identity(5, ME, MINE), lambda member: on_record.get(f"m{member}", 0))


def test_a_birth_is_shown_once_it_is_on_record() -> None:
    """Goal: nobody is known by a birth that only he knows. Method: none, one's own, another one."""
    assert births().shown == 0
    assert births(m1=MINE).shown == MINE
    assert births(m1=BEFORE).shown == 0


@pytest.mark.parametrize(("record", "knows_us"), [*product((0, MINE, BEFORE), repeat=2)])
def test_who_is_known_by_another_birth_than_its_own_has_lost_its_data(
    record: int, knows_us: int
) -> None:
    """Goal: exactly that ends it, unless the cluster that it is on record in is a later one.
    Method: all that may be on record here, and there."""
    if knows_us == BEFORE and record != MINE:
        with pytest.raises(DataLost, match="peer 2 knows that this member was started before"):
            births(m1=record).compare(OTHER, 0, knows_us)
    else:
        births(m1=record).compare(OTHER, 0, knows_us)


@pytest.mark.parametrize(("known", "shown"), [*product((0, 3, 4), repeat=2)])
def test_who_knows_another_by_a_birth_of_before_ends(known: int, shown: int) -> None:
    """Goal: it ends if the others have gone on with another birth, and says what to keep. Method:
    all that may be known and shown."""
    if known and shown and known != shown:
        with pytest.raises(Contradicted, match=r"peer 2 has lost the data .* keep it"):
            births(m2=known).compare(OTHER, shown, 0)
    else:
        births(m2=known).compare(OTHER, shown, 0)


@given(
    known=st.sets(st.integers(1, 7)),
    voters=st.frozensets(st.integers(1, 7), min_size=1),
    member=st.integers(1, 7),
)
def test_a_cluster_began_without_who_is_not_of_a_majority_on_record(
    known: set[int], voters: frozenset[int], member: int
) -> None:
    """Goal: only if most voters have come, or their number is even, and the member has not come,
    can it be that nothing depended on it. Method: any sets."""
    found = Births(Identity(5, ME, MINE), lambda number: number if number in known else 0)
    others = len(known & voters)
    enough = len(voters) in (2, 4, 6) or others > len(voters) / 2
    assert found.began_without(member, voters) == (member not in known and enough)
