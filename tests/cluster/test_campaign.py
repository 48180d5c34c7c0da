"""The short campaigns on real processes, and the planted defects that they must find."""

import os
import re
import subprocess
import sys

import pytest

from tests.oracle.process import ROOT

GRACE_S = 200.0
SHORT_MINUTES = 2.0
ACKNOWLEDGED = re.compile(r"^acknowledged writes (\d+) \((\d+)/s,", re.MULTILINE)
FAULTS = re.compile(r"^faults: (\d+)", re.MULTILINE)


def _campaign(*arguments: str, minutes: float) -> "subprocess.CompletedProcess[str]":
    """Run a campaign to its end; it wants root, and its lack is a failure in CI."""
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("disks and namespaces need root")
    line = [sys.executable, "-m", "tests.cluster", "--minutes", str(minutes), *arguments]
    return subprocess.run(
        line,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=minutes * 60 + GRACE_S,
    )


@pytest.mark.campaign
@pytest.mark.timeout(SHORT_MINUTES * 60 + GRACE_S + 20)
@pytest.mark.parametrize(
    ("arguments", "minutes"),
    [
        (("--members", "3", "--seed", "1"), SHORT_MINUTES),
        (("--members", "5", "--seed", "2", "--namespaces"), 0.5),
    ],
    ids=["three on loopback", "five on hosts"],
)
def test_a_cluster_under_load_and_harm(
    arguments: tuple[str, ...], minutes: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: nothing acknowledged is lost, no quorum read is stale, no watcher misses anything, and
    outside of times of trouble every request succeeds. Method: the short campaign; the
    figures are shown."""
    done = _campaign(*arguments, minutes=minutes)
    with capsys.disabled():
        print(f"\n{done.stdout}")  # noqa: T201 - the figures shall be seen
    assert done.returncode == 0, done.stdout
    found = ACKNOWLEDGED.search(done.stdout)
    assert found is not None
    assert int(found[1]) >= 1000 * minutes
    faults = FAULTS.search(done.stdout)
    assert faults is not None
    assert int(faults[1]) >= minutes


@pytest.mark.campaign
@pytest.mark.timeout(GRACE_S + 60)
def test_the_campaign_finds_nothing_wrong_with_a_real_etcd() -> None:
    """Goal: no false alarms. Method: the same campaign on the server that sets the standard."""
    done = _campaign("--kind", "etcd", "--seed", "3", minutes=0.4)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "only", "rules"),
    [
        ("early_ack", "kill -9 of all", ("conflict", "chain", "order", "read")),
        ("stale_reads", "follower", ("order",)),
    ],
)
@pytest.mark.timeout(GRACE_S + 60)
def test_the_campaign_has_eyes(module: str, only: str, rules: tuple[str, ...]) -> None:
    """Goal: the campaign finds a server that acknowledges before its log is on disk, and one whose
    quorum reads are stale. Method: such servers, and the faults that bring it out."""
    kind = f"pyetcd:tests.cluster.planted.{module}"
    snapshots = ("--snapshot-count", "1000000")
    done = _campaign("--kind", kind, "--only", only, "--no-disks", *snapshots, minutes=0.5)
    assert done.returncode == 1, done.stdout
    found = re.findall(r"^VIOLATION (\w+):", done.stdout, re.MULTILINE)
    assert set(found) & set(rules), done.stdout
