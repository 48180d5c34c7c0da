"""Every captured exchange with etcd 3.4.23, replayed against pyetcd."""
# ruff: noqa: T201 - the counts shall be seen in every run

import pytest

from tests.conformance.examples import load
from tests.conformance.replay import Replayer
from tests.conformance.verdicts import (
    DEVIATION,
    HEADING,
    NOT_YET,
    Known,
    judge,
    known_differences,
)
from tests.oracle import Pyetcd, RealEtcd
from tests.oracle.process import REFERENCE, find_etcd

RUN_S = 400
SAMPLE_EVERY = 8
DIFFER_IN_3_5 = frozenset(
    {
        "config-log-bad-json",
        "config-log-bad-level",
        "config-log-put",
        "put-malformed-body-semicolon",
        "refresh-dir-prevExist-true",
        "update-dir-event-vs-node-modifiedIndex",
        "update-dir-no-value-no-dirflag",
        "update-dir-ttl",
    }
)
"""What etcd 3.5.1, the stand-in for 3.4, answers otherwise."""
NAMES = [example.name for example in load()]


@pytest.fixture(scope="session")
def results() -> dict[str, list[str]]:
    """What differs, by the exchange's name; two servers run at a time."""
    return Replayer(Pyetcd).run(load())


@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize("name", NAMES)
def test_exchange(name: str, results: dict[str, list[str]]) -> None:
    """Goal: pyetcd answers as etcd did, or the page says why not. Method: replay on a fresh
    server; a difference must be listed in docs/compatibility.md, and a listed one must exist."""
    listed = known_differences().get(name)
    if listed is None:
        assert results[name] == []
    else:
        assert results[name], f"listed as '{listed.verdict}', but it passes: take it off the list"


@pytest.mark.timeout(RUN_S)
def test_counts(results: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: the three counts are seen in every run. Method: judge all results by the page."""
    tally = judge(results, known_differences())
    with capsys.disabled():
        print(f"\ncaptured exchanges: {tally.counts()}")
    assert tally.failures == {}


def test_real_etcd_passes_a_sample() -> None:
    """Goal: the comparison itself is right. Method: replay every eighth exchange against a real
    etcd; nothing differs but what the release at hand is known for."""
    results = Replayer(RealEtcd).run(load()[::SAMPLE_EVERY])
    known = frozenset() if find_etcd()[1].startswith(REFERENCE) else DIFFER_IN_3_5
    assert {name for name, found in results.items() if found} <= known, results


def test_listed_difference_that_passes_is_a_failure() -> None:
    """Goal: the page's list stays true. Method: judge made-up results against a made-up list."""
    known = {"a": Known(NOT_YET, "why"), "b": Known(DEVIATION, "why"), "gone": Known(NOT_YET, "x")}
    tally = judge({"a": [], "b": ["x"], "c": [], "d": ["y"]}, known)
    assert (tally.passed, tally.deviations, tally.not_yet) == (["c"], ["b"], [])
    assert tally.failures.keys() == {"a", "d", "gone"}


def test_page_has_the_table() -> None:
    """Goal: the list is where readers look. Method: parse the page's table."""
    assert HEADING.startswith("## ")
    assert set(known_differences()) <= set(NAMES)
