"""A real server on a disk that fills up: a tmpfs of its own, mounted for the test."""

import errno
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.waiting import until
from tests.oracle import Pyetcd, Request, Response, Server, StartError, fetch
from tests.server.members import founders, leader_of, start

DISK_BYTES = 160 << 20
BLOCK_BYTES = 1 << 20
BURST = 30
BURST_VALUE = "x" * (3 << 20)
WRITERS = 3


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system; mounting needs root, and its lack is a failure in CI."""
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("mounting needs root")
    directory = Path(tempfile.mkdtemp(prefix="pyetcd-disk-"))
    size = f"size={DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        shutil.rmtree(directory)


@pytest.fixture
def server(disk: Path) -> Iterator[Server]:
    """A server whose data directory is on that disk."""
    with Pyetcd(data_dir=disk / "data") as running:
        yield running


def _fill(disk: Path, *, leave_bytes: int = 0) -> Path:
    """Take what is free but for `leave_bytes`, in a file of ours; the server may take some too."""
    filler = disk / "filler"
    size = 0
    with filler.open("wb") as file:
        while True:
            status = os.statvfs(disk)
            step = min(BLOCK_BYTES, status.f_bavail * status.f_frsize - leave_bytes)
            if step <= 0:
                return filler
            try:
                os.posix_fallocate(file.fileno(), size, step)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            else:
                size += step


def _put(server: Server, key: str, value: str = "x") -> Response:
    return fetch(server.client_port, Request.form("PUT", f"/v2/keys/{key}", f"value={value}"))


def _get(server: Server, key: str) -> int:
    return fetch(server.client_port, Request("GET", f"/v2/keys/{key}".encode())).status


def _is_refused(answer: Response) -> bool:
    """Whether a write was refused, saying that it is the disk."""
    if answer.status in (200, 201):
        return False
    error = json.loads(answer.body)
    assert (answer.status, error["errorCode"]) == (500, 300), answer
    assert "disk" in error["cause"], error
    return True


@pytest.mark.parametrize("leave_bytes", [0, 8 << 20])
def test_writes_stop_reads_go_on_and_all_recovers(
    server: Server, disk: Path, leave_bytes: int
) -> None:
    """Goal: on a full disk writes are refused with 300 and a cause that names the disk, reads and
    quorum reads are served, and writes are taken again once there is room, without a restart.
    Method: a file that takes all that is free, or nearly; then its removal."""
    assert _put(server, "before").status == 201
    filler = _fill(disk, leave_bytes=leave_bytes)
    until(lambda: _is_refused(_put(server, "full")), "writes are refused")
    assert _get(server, "before") == 200
    assert _get(server, "before?quorum=true") == 200
    assert fetch(server.client_port, Request("GET", b"/version")).status == 200
    filler.unlink()
    until(lambda: not _is_refused(_put(server, "after")), "writes are taken again")
    server.restart(kill=True)
    assert _get(server, "before") == 200
    assert _get(server, "after") == 200


@pytest.mark.parametrize("leave_bytes", [64 << 10, 8 << 20])  # the server's log is there, too
def test_a_first_start_on_a_full_disk_says_so(disk: Path, leave_bytes: int) -> None:
    """Goal: who starts on a full disk is told the directory and the reason in one line; with room
    the same command starts. Method: a disk filled, nearly or wholly, before the first start."""
    server = Pyetcd(data_dir=disk / "data")
    filler = _fill(disk, leave_bytes=leave_bytes)
    try:
        with pytest.raises(StartError, match="exited with 1;"):
            server.start()
        complaints = [line for line in server.log().splitlines() if " C | " in line]
        assert len(complaints) == 1, server.log()
        assert str(disk / "data") in complaints[0]
        assert "no space left on device" in complaints[0]
        assert "Errno" not in complaints[0]
        assert "Traceback" not in server.log()
        filler.unlink()
        server.start()
        assert _put(server, "after").status == 201
    finally:
        server.kill()


def test_a_burst_that_fills_the_disk(server: Server, disk: Path) -> None:
    """Goal: large writes that fill the disk faster than anyone looks end in refusals, not in the
    end of the process; what was acknowledged is there. Method: several clients put large values
    until each has been refused; then room, and a restart."""
    filler = _fill(disk, leave_bytes=48 << 20)
    kept: list[str] = []
    refused = threading.Barrier(WRITERS + 1)

    def write(writer: int) -> None:
        for number in range(BURST):
            key = f"burst-{writer}-{number}"
            if _is_refused(_put(server, key, BURST_VALUE)):
                break
            kept.append(key)
        refused.wait()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    refused.wait(60)
    assert server.running, server.log()
    assert all(_get(server, key) == 200 for key in kept)
    filler.unlink()
    until(lambda: not _is_refused(_put(server, "after")), "writes are taken again")
    server.restart(kill=True)
    assert all(_get(server, key) == 200 for key in [*kept, "after"])


def test_a_quorum_read_where_the_full_disk_is(disk: Path) -> None:
    """Goal: who reads on a member that is behind for want of room is told so, and is answered again
    once there is room. Method: one of three members on the small disk, which is filled; the others
    write until it cannot follow."""
    with founders(3) as members:
        small, *others = members
        small.data_dir = disk / "data"
        start(members)
        filler = _fill(disk)
        until(lambda: leader_of([*others, small]) is not small, "a member with room leads")
        for _ in range(BURST):
            assert others[0].put("/burst", BURST_VALUE).status in (200, 201)
        answer = small.ask("GET", "/v2/keys/burst?quorum=true")
        assert json.loads(answer.body)["cause"] == (
            "etcdserver: request timed out; the disk of the data directory is full"
        )
        filler.unlink()
        until(lambda: _get(small, "burst?quorum=true") == 200, "it has caught up")
