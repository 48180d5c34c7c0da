"""The simulation has eyes: faults planted in raft/ and kvstore/ are found within a few seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from tests.simulation.campaign import run

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS_MAX = 40


def acknowledges_before_fsync(driver: Any) -> None:
    """Driver._send_out that keeps nothing back."""
    engine = driver._engine
    for member, message in [*engine.desk.take_outbox(), *engine.desk.take_held()]:
        driver._transport.send(member, message)


def lets_all_reads_through(driver: Any) -> Any:
    """Driver.read_barrier that is open."""
    future = driver._loop.create_future()
    future.set_result(None)
    return future


def forgets_votes(log: Any, term: int, vote: int | None) -> None:
    """Log.setCurrentTerm that keeps the vote in memory only."""
    log._vote = vote
    if term > log._term:
        log._term = term
        log._journal.save_state(term, None)


def takes_everything(intake: Any, message: Any, **_more: Any) -> list[int]:
    """Intake.take that takes what it has taken before."""
    for proposal in message.proposals:
        intake._queue.append((message.origin, proposal))
        intake._bytes += len(proposal.command)
    return []


def counts_outages(clock: Any, stamp_ns: int) -> None:
    """ClusterClock.lead that lets the time without a leader pass."""
    clock._stamp_ns = stamp_ns
    clock._stamped_at_ns = clock._applied_at_ns


def believes_its_log(log: Any, covered: int) -> None:
    """Log.synced that takes everything for durable."""
    log.durable = log.last_index


def forgets_watchers(store: Any, before: Any) -> None:
    """Store.take_over that leaves the watchers of the store before behind."""


def does_not_sync(mount: Any, file: Any, path: str) -> None:
    """A disk that lies."""


PLANTED: list[tuple[str, Callable[..., Any], str, set[str]]] = [
    (
        "raft.driver.Driver._send_out",
        acknowledges_before_fsync,
        "harsh",
        {"promises are durable"},
    ),
    ("raft.driver.Driver.read_barrier", lets_all_reads_through, "harsh", {"a read is never stale"}),
    ("raft.log.Log.setCurrentTerm", forgets_votes, "harsh", {"promises are durable"}),
    ("raft.proposals.Intake.take", takes_everything, "chaos", {"at most once"}),
    ("raft.clock.ClusterClock.lead", counts_outages, "harsh", {"an outage expires nothing"}),
    ("kvstore.store.Store.take_over", forgets_watchers, "snapshot", {"a watcher misses nothing"}),
    (
        "tests.simulation.disk.Mount.sync",
        does_not_sync,
        "harsh",
        {"recovery", "an intact disk is started from"},
    ),
]


@pytest.mark.parametrize(
    ("target", "planted", "mood", "laws"), PLANTED, ids=[p[1].__name__ for p in PLANTED]
)
def test_a_planted_fault_is_found(
    target: str, planted: Callable[..., Any], mood: str, laws: set[str]
) -> None:
    """Goal: a build that breaks a promise is found out, by the law that it breaks. Method: plant
    it, and run seeds until one fails."""
    with mock.patch(target, planted):
        for seed in range(SEEDS_MAX):
            outcome = run(mood, seed)
            if outcome.law:
                assert outcome.law in laws, outcome.detail
                return
    raise AssertionError(f"{planted.__name__} lives through {SEEDS_MAX} seeds")
