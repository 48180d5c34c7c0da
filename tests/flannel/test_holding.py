"""Goal: our lease is renewed in time and news of it are understood.

Method: every row of the decision table, with a clock that is a number.
"""

import math

import pytest

from flannel.duration import go_duration
from flannel.holding import RETRY_S, Finding, Holding, News
from flannel.lease import TTL_S
from tests.flannel.sample import MAC, OTHER, OTHER_MAC, US, lease

MARGIN_S = 3600.0
OURS = lease("10.5.7.0/24", US, mac=MAC, index=50)


def held() -> Holding:
    """Leased at second 1000 since boot."""
    return Holding(OURS, since_s=1000.0)


def test_it_is_due_an_hour_before_its_end() -> None:
    """23 hours after it was written, and from then on."""
    assert held().due_in(1000.0, MARGIN_S) == 23 * 3600
    assert held().due_in(1000.0 + 23 * 3600, MARGIN_S) == 0
    assert held().due_in(1000.0 + 40 * 3600, MARGIN_S) == 0


def test_a_reservation_is_never_due() -> None:
    """Whatever the time."""
    reserved = Holding(lease("10.5.7.0/24", US, ttl_s=0), since_s=0.0)
    assert reserved.due_in(1e9, MARGIN_S) == math.inf


def test_a_failed_try_is_repeated_after_a_minute_and_a_success_forgets_it() -> None:
    """For ever, also when the lease has ended meanwhile."""
    late = 1000.0 + 30 * 3600
    failed = held().failed(late)
    assert failed.due_in(late, MARGIN_S) == RETRY_S
    assert failed.due_in(late + RETRY_S, MARGIN_S) == 0
    again = failed.written(lease("10.5.7.0/24", US, mac=MAC, index=90), late + RETRY_S)
    assert again.due_in(late + RETRY_S, MARGIN_S) == TTL_S - MARGIN_S


def test_a_store_that_gives_too_little_time_is_written_to_once_a_minute() -> None:
    """Were it due at once each time, the daemon would do nothing else."""
    short = held().written(lease("10.5.7.0/24", US, ttl_s=100, index=60), 2000.0)
    assert short.due_in(2000.0, MARGIN_S) == RETRY_S
    spoilt, _ = short.hear(News(61), 2001.0)
    assert spoilt.due_in(2001.0, MARGIN_S) == 0


NEWS = [
    ("old", News(50, attributes=OURS.attributes, ttl_s=9), Finding.STALE, True),
    ("old removal", News(49, gone=True), Finding.STALE, True),
    ("gone", News(51, gone=True), Finding.REVOKED, True),
    ("written by another", News(51, attributes=OURS.attributes, ttl_s=TTL_S), Finding.SHARED, True),
    (
        "another daemon",
        News(51, attributes=lease("10.5.7.0/24", US, mac=OTHER_MAC).attributes, ttl_s=TTL_S),
        Finding.RIVAL,
        False,
    ),
    (
        "taken over",
        News(51, attributes=lease("10.5.7.0/24", OTHER, mac=MAC).attributes, ttl_s=TTL_S),
        Finding.TAKEN,
        False,
    ),
    ("garbled", News(51), Finding.GARBLED, True),
]


@pytest.mark.parametrize(("_name", "news", "finding", "ours"), NEWS, ids=[row[0] for row in NEWS])
def test_news(_name: str, news: News, finding: Finding, ours: bool) -> None:
    """The table."""
    after, found = held().hear(news, 2000.0)
    assert found is finding
    assert after.is_ours is ours
    assert after.lease.attributes == OURS.attributes


def test_a_ttl_given_or_taken_by_an_operator_counts() -> None:
    """Without one it is a reservation; a short one is renewed at once."""
    reserved, _ = held().hear(News(51, attributes=OURS.attributes, ttl_s=0), 2000.0)
    assert reserved.due_in(1e9, MARGIN_S) == math.inf
    short, _ = reserved.hear(News(52, attributes=OURS.attributes, ttl_s=100), 3000.0)
    assert short.due_in(3000.0, MARGIN_S) == 0


def test_a_write_that_may_have_arrived_is_not_taken_for_another_hosts() -> None:
    """The answer was lost, the event says it was done."""
    after, found = (
        held().failed(2000.0).hear(News(51, attributes=OURS.attributes, ttl_s=TTL_S), 2001.0)
    )
    assert found is Finding.RENEWED
    assert after.due_in(2001.0, MARGIN_S) == TTL_S - MARGIN_S


def test_what_became_unreadable_is_written_at_once_and_stays_a_reservation_if_it_was() -> None:
    """Others cannot reach us meanwhile."""
    for ttl_s in (TTL_S, 0):
        before = Holding(lease("10.5.7.0/24", US, ttl_s=ttl_s, index=50), since_s=1000.0)
        spoilt, _ = before.hear(News(51), 2000.0)
        assert spoilt.due_in(2000.0, MARGIN_S) == 0
        assert spoilt.lease.is_reservation is (ttl_s == 0)


def test_what_was_taken_over_is_never_renewed() -> None:
    """Two daemons would overwrite each other for ever."""
    taken, _ = held().hear(NEWS[5][1], 2000.0)
    assert taken.due_in(1e9, MARGIN_S) == math.inf
    mine, _ = taken.hear(News(52, attributes=OURS.attributes, ttl_s=TTL_S), 3000.0)
    assert mine.due_in(3000.0, MARGIN_S) == TTL_S - MARGIN_S


@pytest.mark.parametrize("lost", NEWS[4:6], ids=lambda row: row[0])
def test_what_was_lost_is_not_fought_for_when_it_becomes_unreadable(
    lost: tuple[str, News, Finding, bool],
) -> None:
    """Goal: it stays its new owner's, who writes it anew. Method: bad values after the loss."""
    after, _ = held().hear(lost[1], 2000.0)
    for index in (52, 53):
        after, found = after.hear(News(index), 3000.0)
        assert found is Finding.ANOTHERS
        assert not after.is_ours
        assert after.due_in(1e9, MARGIN_S) == math.inf
        assert after.hear(News(index), 3000.0)[1] is Finding.STALE
    mine, found = after.hear(News(54, attributes=OURS.attributes, ttl_s=TTL_S), 4000.0)
    assert found is Finding.SHARED
    assert mine.is_ours


def test_durations_are_shown_as_go_shows_them() -> None:
    """As in flanneld's log."""
    assert go_duration(23 * 3600 - 0.2) == "22h59m59s"
    assert go_duration(61) == "1m1s"
    assert go_duration(9.9) == "9s"
