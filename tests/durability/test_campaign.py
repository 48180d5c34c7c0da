"""The short kill -9 campaign, and a look at its eyes."""

import pytest

from tests.durability.campaign import Campaign, Leaf, Report, Writer

ROUNDS = 3


@pytest.mark.campaign
def test_kill_9_under_concurrent_writes(capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: nothing acknowledged is lost when the process is killed. Method: a few rounds of the
    campaign, with snapshots happening throughout; the figures are shown."""
    report = Campaign(seed=7).run(ROUNDS)
    with capsys.disabled():
        print(f"\nkill -9: {report}")  # noqa: T201 - the figures shall be seen
    assert report.losses == []
    assert report.rounds == ROUNDS
    assert report.acknowledged > 100 * ROUNDS
    assert report.snapshots > 0


def test_the_reckoning_has_eyes() -> None:
    """Goal: a loss is seen. Method: a writer that knows two keys finds one older, one gone, and a
    third that it never wrote."""
    writer = Writer(0, "seed")
    writer.known = {"/w0/a": Leaf("new", 9), "/w0/b": Leaf("x", 5), "/w0/c": None}
    report = Report()
    writer.reckon({"/w0/a": Leaf("old", 8), "/w0/d": Leaf("?", 7)}, report)
    assert report.lost == 3
