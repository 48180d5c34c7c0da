"""Births: who is found out to have lost its data, and who can rule out that another one has."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft import Contradicted, DataLost, Identity
from raft.births import Births

ME, OTHER, THIRD = 1, 2, 3
MINE, BEFORE = 7, 8


def births(**on_record: int) -> Births:
    """Those of member 1, whose birth is 7; `m1`, `m2`, `m3`: what is on record."""
    return Births(Identity(5, ME, MINE), lambda member: on_record.get(f"m{member}", 0))


def test_a_birth_is_shown_once_it_is_on_record() -> None:
    """Goal: nobody is known by a birth that only he knows. Method: none, one's own, another one."""
    assert births().shown({OTHER}) == {}
    assert births(m1=MINE, m2=3).shown({OTHER}) == {ME: MINE, OTHER: 3}
    assert births(m1=BEFORE, m2=3).shown({OTHER}) == {OTHER: 3}


@pytest.mark.parametrize(("record", "knows_us"), [*product((0, MINE, BEFORE), repeat=2)])
def test_who_is_known_by_another_birth_than_its_own_has_lost_its_data(
    record: int, knows_us: int
) -> None:
    """Goal: exactly that ends it, unless the cluster that it is on record in is a later one.
    Method: all that may be on record here, and there."""
    shown = {ME: knows_us} if knows_us else {}
    if knows_us == BEFORE and record != MINE:
        with pytest.raises(DataLost, match="peer 2 knows that this member was started before"):
            births(m1=record).compare(OTHER, shown)
    else:
        births(m1=record).compare(OTHER, shown)


@pytest.mark.parametrize(("known", "its_own"), [*product((0, 3, 4), repeat=2)])
def test_who_knows_another_by_a_birth_of_before_ends(known: int, its_own: int) -> None:
    """Goal: it ends if the others have gone on with another birth, and says what to keep. Method:
    all that may be known and shown."""
    shown = {OTHER: its_own} if its_own else {}
    if known and its_own and known != its_own:
        with pytest.raises(Contradicted, match=r"peer 2 has lost the data .* keep it"):
            births(m2=known).compare(OTHER, shown)
    else:
        births(m2=known).compare(OTHER, shown)


@pytest.mark.parametrize(("known", "told"), [*product((0, 3, 4), repeat=2)])
def test_two_that_know_different_births_of_a_third_are_of_two_histories(
    known: int, told: int
) -> None:
    """Goal: that is found out, and nothing else is taken for it. Method: all that both may know."""
    shown = {OTHER: 98} | ({THIRD: told} if told else {})
    found = births(m3=known).contradiction(OTHER, shown)
    assert found == (THIRD if known and told and known != told else 0)
    # Who knows us otherwise, or is another one itself, is let in: one of us ends by that.
    assert not births(m3=known).contradiction(OTHER, {**shown, ME: BEFORE})
    assert not births(m2=97, m3=known).contradiction(OTHER, shown)


@given(
    known=st.sets(st.integers(1, 7)),
    voters=st.frozensets(st.integers(1, 7), min_size=1),
    member=st.integers(1, 7),
)
def test_a_cluster_began_without_who_is_not_of_a_majority_on_record(
    known: set[int], voters: frozenset[int], member: int
) -> None:
    """Goal: only if most voters have come, and the member has not, nothing can have depended on
    it. Method: any sets."""
    found = Births(Identity(5, ME, MINE), lambda number: number if number in known else 0)
    others = len(known & voters)
    enough = others > len(voters) / 2
    assert found.began_without(member, voters) == (member not in known and enough)
