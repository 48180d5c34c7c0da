"""The short kill -9 campaign, and a look at its eyes."""

import signal
import sys

import pytest

from tests.clients.waiting import until
from tests.durability.campaign import Campaign, Leaf, Report, Writer
from tests.durability.launch import refused
from tests.oracle import Pyetcd, Request
from tests.oracle.process import free_port

ROUNDS = 3
FIRST_START_SYNCS = 5

# A server that is killed with SIGKILL when it is about to sync a file for the given time.
KILLED_AT_SYNC = """
import os, signal, sys
from raft import disk
from server.main import main

left = int(sys.argv.pop(1))
good_sync = disk.RealFile.sync

def sync(self):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    good_sync(self)

disk.RealFile.sync = sync
main()
"""


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


@pytest.mark.parametrize("number", range(1, FIRST_START_SYNCS + 1))
def test_killed_during_the_first_start(number: int) -> None:
    """Goal: a first start that was killed can be repeated. Method: SIGKILL at each of its syncs;
    the next start serves."""
    server = Pyetcd()
    try:
        server.client_port, server.peer_port = free_port(), free_port()
        program = (sys.executable, "-c", KILLED_AT_SYNC, str(number))
        assert refused(server, program=program).code == -signal.SIGKILL
        server.start()
        with server.connect() as connection:
            assert connection.ask(Request.form("PUT", "/v2/keys/a", "value=1")).status == 201
    finally:
        server.discard()


def test_killed_with_a_spare_segment() -> None:
    """Goal: the file that waits to be the next segment does not stand in the way of a start.
    Method: fill more than half of a segment, wait for the file, kill."""
    value = "x" * (1 << 20)
    with Pyetcd() as server:
        wal = server.data_dir / "member" / "wal"
        with server.connect() as connection:
            for _ in range(10):
                connection.ask(Request.form("PUT", "/v2/keys/a", f"value={value}"))
        until(lambda: len(list(wal.iterdir())) > 1, "the next segment's file is there")
        server.restart(kill=True)
        with server.connect() as connection:
            assert connection.ask(Request("GET", b"/v2/keys/a")).status == 200
