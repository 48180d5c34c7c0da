"""etcd's strict reconfiguration check, as tables (contract/cluster.md section 3)."""

import pytest

from api.reconfiguration import (
    BREAKS_QUORUM,
    HEALTHY_S,
    NOT_ENOUGH_STARTED,
    NOT_HEALTHY,
    objection_to_add,
    objection_to_remove,
)
from kvstore import Member

ME = 1
YOUNG_S = HEALTHY_S - 0.001


def members(started: int, unstarted: int = 0) -> list[Member]:
    """Members 1, 2, ...: first those that have a name."""
    names = ["m"] * started + [""] * unstarted
    return [Member(number, name, (), ()) for number, name in enumerate(names, 1)]


def links(old: int, young: int = 0) -> dict[int, float]:
    """How long members 2, 3, ... have been reachable: some long enough, some not yet."""
    lengths_s = [HEALTHY_S] * old + [YOUNG_S] * young
    return dict(enumerate(lengths_s, 2))


@pytest.mark.parametrize(
    ("started", "unstarted", "old", "young", "objection"),
    [
        (1, 0, 0, 0, None),  # one may become two, at once
        (1, 1, 0, 0, NOT_ENOUGH_STARTED),  # but not three while the second is to come
        (2, 0, 1, 0, None),
        (2, 0, 0, 1, NOT_HEALTHY),
        (2, 0, 0, 0, NOT_HEALTHY),
        (2, 1, 1, 0, NOT_ENOUGH_STARTED),  # 2 of 4 would be no majority
        (3, 0, 2, 0, None),
        (3, 0, 1, 1, NOT_HEALTHY),
        (3, 1, 2, 0, NOT_HEALTHY),  # enough have started, but the fourth can't be reached
        (3, 1, 3, 0, None),
        (3, 2, 4, 0, NOT_ENOUGH_STARTED),
        (4, 1, 4, 0, None),
        (0, 1, 0, 0, NOT_ENOUGH_STARTED),
    ],
)
def test_adding(started: int, unstarted: int, old: int, young: int, objection: str | None) -> None:
    """Goal: n = members + 1, s = started: s = 1 and n = 2, or s >= n/2 + 1; then everyone reachable
    for five seconds. Method: the rule's edges."""
    reachable_s = links(old, young).get
    assert objection_to_add(members(started, unstarted), ME, reachable_s) == objection


@pytest.mark.parametrize(
    ("started", "unstarted", "old", "young", "going", "objection"),
    [
        (1, 0, 0, 0, 1, NOT_ENOUGH_STARTED),  # the last one stays
        (2, 0, 1, 0, 2, None),
        (2, 0, 1, 0, 1, None),
        (2, 0, 0, 1, 2, BREAKS_QUORUM),
        (2, 0, 0, 0, 2, None),  # who can't be reached is no part of the quorum
        (2, 0, 0, 0, 1, BREAKS_QUORUM),  # but we are
        (3, 0, 2, 0, 3, None),
        (3, 0, 2, 0, 1, None),
        (3, 0, 1, 1, 3, BREAKS_QUORUM),
        (3, 0, 1, 0, 2, BREAKS_QUORUM),  # the third is down: two would be left, one of them down
        (3, 0, 1, 0, 3, None),
        (3, 1, 2, 0, 4, None),
        (1, 1, 0, 0, 2, None),
        (1, 1, 0, 0, 1, NOT_ENOUGH_STARTED),
        (1, 2, 0, 0, 2, NOT_ENOUGH_STARTED),
        (3, 0, 2, 0, 9, None),  # nobody: agreement will say so
        (1, 2, 2, 0, 9, NOT_ENOUGH_STARTED),  # unless the check comes first
        (5, 0, 4, 0, 5, None),
        (5, 0, 3, 1, 5, None),
        (5, 0, 2, 2, 5, BREAKS_QUORUM),
    ],
)
def test_removing(
    started: int, unstarted: int, old: int, young: int, going: int, objection: str | None
) -> None:
    """Goal: who stays must have started by majority; then, for one that can be reached, a - 1 >=
    1 + (n - 1)/2. Method: the rule's edges."""
    reachable_s = links(old, young).get
    register = members(started, unstarted)
    assert objection_to_remove(register, ME, reachable_s, going) == objection
