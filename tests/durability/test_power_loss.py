"""A power loss at any moment loses nothing that was acknowledged, and leaves nothing half-done."""

import asyncio
import random
from unittest import mock

import pytest

from raft import JournalCorrupt
from tests.durability.power_loss import Figures, Life, Lives, Lost, small

LIVES = 7
LIVES_MAX = 70
SEEDS = range(6)
FIRST_START_OPERATIONS = 14


@pytest.fixture(scope="module")
def total() -> Figures:
    """What the histories of this module add up to."""
    return Figures()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost(seed: int, total: Figures) -> None:
    """Goal: after any power loss each acknowledged command is there with its modifiedIndex, and
    the store is what the log says. Method: many lives on one simulated disk, with concurrent
    proposals, snapshots, rolls and compactions; the judge is a second store fed with the log."""
    history = Lives(random.Random(seed))
    history.run(LIVES)
    total.add(history.figures)


def test_something_happened(total: Figures) -> None:
    """Goal: the histories above were no idle ones. Method: count."""
    assert total.acknowledged > 500 * len(SEEDS)
    assert total.unknown > 0
    assert total.snapshots > 0
    assert total.compacted_to > 1
    assert total.born_dead > 0


@pytest.mark.parametrize("keeps", [False, True], ids=["keeps nothing", "keeps some"])
@pytest.mark.parametrize("operations", range(FIRST_START_OPERATIONS))
def test_a_first_start_that_fails_can_be_repeated(operations: int, keeps: bool) -> None:
    """Goal: no power loss during the very first start makes a directory that cannot be started
    from. Method: lose it after each number of operations; the next start has to serve."""
    for seed in range(5 if keeps else 1):
        chance = random.Random(seed)
        history = Lives(chance, fail_recovery=0)
        history.disk.lose_power_after(operations)
        with small(), mock.patch.object(Life, "on_serving", return_value=None):
            asyncio.run(Life(history).live())
            history.disk.crash(chance if keeps else None)
            asyncio.run(Life(history, peaceful=True).live())


@pytest.mark.parametrize("seed", range(3))
def test_a_disk_that_does_not_sync_is_seen(seed: int) -> None:
    """Goal: the test above has eyes. Method: the same, on a disk whose fdatasync does nothing once
    the member serves: acknowledged commands are gone, and the judge says so."""
    history = Lives(random.Random(seed), fail_syncs=False)

    def lazy(life: Life) -> None:
        history.disk.lazy = True
        history.disk.lose_power_after(100)

    with (
        mock.patch.object(Life, "on_serving", lazy),
        pytest.raises((Lost, JournalCorrupt)) as raised,
    ):
        history.run(LIVES)
    assert history.figures.acknowledged
    if isinstance(raised.value, Lost):
        assert "before the crash" in str(raised.value) or "had been applied" in str(raised.value)


def test_a_failed_fdatasync_ends_the_member() -> None:
    """Goal: after an fdatasync that failed nothing more is acknowledged, and nothing acknowledged
    before is lost. Method: a failure in each life; what it had acknowledged by then is all that
    counts, and the next life is judged by it."""
    history = Lives(random.Random(1))

    def arm(life: Life) -> None:
        history.disk.fail_sync_after(life.chance.randrange(100))
        # A snapshot's sync may fail without harm: then the power ends this life.
        history.disk.lose_power_after(800)

    with small(), mock.patch.object(Life, "on_serving", arm):
        # How often it is a snapshot's sync depends on how busy the machine is.
        while history.figures.lives < LIVES or history.figures.failed_syncs < 2:
            assert history.figures.lives < LIVES_MAX, history.figures
            asyncio.run(Life(history).live())
            history.disk.crash(None)
        asyncio.run(Life(history, peaceful=True).live())
