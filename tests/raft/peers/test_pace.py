"""The times between members follow etcd's knobs, within bounds."""

import pytest

from raft.core import Timing
from raft.peers.pace import Pace


@pytest.mark.parametrize(("election_ms", "timeout_s"), [(100, 1.0), (3000, 3.0), (50000, 5.0)])
def test_a_handshake_takes_an_election_time_out_within_bounds(
    election_ms: int, timeout_s: float
) -> None:
    """Goal: 1 to 5 seconds. Method: below, between, above."""
    assert Pace.of(Timing(10, election_ms)).timeout_s == timeout_s


def test_the_pause_doubles_to_a_second_with_jitter() -> None:
    """Goal: the first attempt at once, then from a heartbeat to a second, half of it by chance.
    Method: both ends of the chance."""
    pace = Pace.of(Timing(100, 1000))
    assert [pace.backoff_s(n, 0.5) for n in range(6)] == pytest.approx(
        [0, 0.075, 0.15, 0.3, 0.6, 0.75]
    )
    assert pace.backoff_s(10**9, 0.0) == 0.5
    assert pace.backoff_s(10**9, 1.0) == 1.0
