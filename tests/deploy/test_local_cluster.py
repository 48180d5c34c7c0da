"""`make cluster`: three members that go when the terminal does."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local_cluster import Member, Terminal, _follow
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


async def test_lines_of_any_length(capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: a member's longest line is shown as far as fits, and those around it whole. Method: a
    process that writes 300,000 bytes in one line, and a last line that does not end."""
    script = r"import sys; sys.stdout.write('a\n\n' + 'x' * 300_000 + '\nb\r\nend')"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    await _follow(Member.number(0), process, Terminal(6))
    long = "x" * 16_384 + " ...(283616 more bytes)"
    told = [f"infra0 | {line}" for line in ("a", "", long, "b\r", "end")]
    told.append("       | infra0 has ended with code 0")
    assert capsys.readouterr().out.split("\n") == [*told, ""]
