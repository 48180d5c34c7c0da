"""Goal: a call of iptables that is given up leaves no word of asyncio's on stderr.

Method: a program in iptables' place, which has ended, and nobody has noticed yet, when the call is
cancelled.
"""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from flannel import iptables
from tests.clients.waiting import until

SCRIPT = "echo $$ > new; mv new pid; read line < told"
DEADLINE_S = 20.0


def has_ended(pid: str) -> bool:
    """Whether a child of ours is no more, but for its exit code."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until this is set no thread learns of a child's end."""
    gate = threading.Event()
    waitpid = os.waitpid

    def wait(pid: int, options: int) -> tuple[int, int]:
        if threading.current_thread() is not threading.main_thread():
            gate.wait(DEADLINE_S)
        return waitpid(pid, options)

    monkeypatch.setattr(os, "waitpid", wait)
    return gate


@pytest.mark.parametrize("turns", [2, 100], ids=["while it starts", "while it is listened to"])
async def test_a_call_that_is_given_up_when_it_has_ended(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    late: threading.Event,
    turns: int,
) -> None:
    """Nothing is logged, and no child is left."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("told")
    call = asyncio.ensure_future(iptables._run(["sh", "-c", SCRIPT]))
    for _ in range(turns):
        await asyncio.sleep(0)
    # `until` lets the event loop notice nothing.
    until(Path("pid").exists, "the program runs", deadline_s=DEADLINE_S)
    pid = Path("pid").read_text().strip()
    Path("told").write_text("end\n")
    until(lambda: has_ended(pid), "it has ended", deadline_s=DEADLINE_S)
    call.cancel()
    for _ in range(100):
        await asyncio.sleep(0)
    late.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert caplog.messages == []
    assert not Path(f"/proc/{pid}").exists()
