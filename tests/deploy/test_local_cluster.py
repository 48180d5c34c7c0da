"""`make cluster`: three members that go when the terminal does."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.waiting import until

ROOT = Path(__file__).resolve().parents[2]
END_S = 30.0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_is_closed(number: signal.Signals, tmp_path: Path) -> None:
    """Goal: no member goes on unseen. Method: a network of its own, where the ports are free; the
    output is closed, then a signal comes."""
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("a network namespace needs root")
    script = 'ip link set lo up && exec "$@"'
    line = ["unshare", "--net", "--", "sh", "-c", script, "-", sys.executable, "-m",
            "deploy.local_cluster", "--directory", str(tmp_path / "data")]  # fmt: skip
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as cluster:
        assert cluster.stdout is not None
        told = ""
        while "kill -9" not in told:
            told = cluster.stdout.readline()
        pids = re.findall(r"\w+ (\d+)", told.partition("(")[2])
        assert len(pids) == 3
        cluster.stdout.close()
        cluster.send_signal(number)
        cluster.wait(END_S)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all have ended")
