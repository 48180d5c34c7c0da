"""The short version of the long run `python -m tests.differential`."""
# ruff: noqa: T201 - the counts shall be seen in every run

import pytest

from tests.differential.run import Plan, Report, run
from tests.differential.steps import show
from tests.oracle import Pyetcd

REQUESTS = 1500
EPISODE_REQUESTS = 500
RUN_S = 300


def _text(report: Report) -> str:
    scripts = ["\n    ".join(["script:", *map(show, script)]) for script in report.scripts]
    return "\n".join([*map(str, report.differences), *scripts])


@pytest.mark.campaign
@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize("express", ["true", "false"])
def test_pyetcd_answers_as_etcd_does(capsys: pytest.CaptureFixture[str], express: str) -> None:
    """Goal: no client can tell pyetcd from etcd, whichever lane answers it. Method: the same random
    requests to both; all answers and events are equal, or a documented deviation explains them."""
    plan = Plan(
        requests=REQUESTS,
        seed=f"ci {express}",
        make_tested=lambda: Pyetcd(args=(f"--express-lane={express}",)),
        episode_requests=EPISODE_REQUESTS,
    )
    report = run(plan)
    with capsys.disabled():
        print(f"\ndifferential: {report.requests} requests, {report.events} events;", end=" ")
        print(f"unexplained {len(report.differences)}, explained {dict(report.explained)}")
    assert report.differences == [], _text(report)
    assert report.requests >= REQUESTS
