"""What can only be tried in a room: `python -m tests.cluster.inside hosts`; see test_network.py."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.lab import room
from tests.cluster.disks import Disk, can_limit
from tests.cluster.hosts import Hosts
from tests.cluster.member import now

PORT = 2380
HEAR = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', {port})); "
    "s.settimeout({wait}); print('listening', flush=True); s.recv(9)"
)
SAY = (
    "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "while True: s.sendto(b'hello', ('{address}', {port})); time.sleep(0.05)"
)
LISTENING_S, DEAF_S = 10.0, 0.5


def reaches(hosts: Hosts, origin: str, target: str, *, expected: bool) -> bool:
    """Whether any of many datagrams sent by one host arrives at another."""
    here, there = hosts.host(origin), hosts.host(target)
    wait = LISTENING_S if expected else DEAF_S
    listener = subprocess.Popen(
        [*there.prefix, sys.executable, "-c", HEAR.format(port=PORT, wait=wait)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert listener.stdout is not None
    assert listener.stdout.readline() == b"listening\n"
    say = SAY.format(address=there.address, port=PORT)
    sayer = subprocess.Popen([*here.prefix, sys.executable, "-c", say])
    try:
        return listener.wait() == 0
    finally:
        sayer.kill()
        sayer.wait()


def check(hosts: Hosts) -> None:
    """Cut and heal."""

    def ways(*cut: str) -> None:
        for one in "abc":
            for other in "abc".replace(one, ""):
                whole = one + other not in cut
                assert reaches(hosts, one, other, expected=whole) is whole, (one, other, cut)

    ways()
    hosts.cut("a", "b")
    ways("ab")
    hosts.heal()
    ways()
    hosts.unplug("a")
    ways("ab", "ac", "ba", "ca")
    hosts.heal()
    ways()


def check_hosts() -> None:
    """Ways and cables."""
    hosts = Hosts()
    for name in "abc":
        asyncio.run(hosts.place(name))
    check(hosts)
    asyncio.run(hosts.close())


def check_disks() -> None:
    """Full and not, slow and not."""
    space = Path(tempfile.mkdtemp(prefix="disks-"))
    disk = Disk(space / "disk")
    try:
        assert _can_write(disk)
        disk.fill()
        assert not _can_write(disk)
        disk.free()
        assert _can_write(disk)
        disk.fill(leave_bytes=ROOM_BYTES)
        assert _can_write(disk)
        disk.free()
        if can_limit():
            quick = _sync_s(disk)
            disk.limit(WRITES_PER_S)
            assert _sync_s(disk) > SYNCS / WRITES_PER_S, quick
            disk.unlimit()
            assert _sync_s(disk) < SYNCS / WRITES_PER_S
    finally:
        disk.close()
        shutil.rmtree(space)


ROOM_BYTES = 8 << 20
WRITES_PER_S = 20
SYNCS = 10


def _can_write(disk: Disk) -> bool:
    path = disk.path / "file"
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 1 << 20)
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)
    return True


def _sync_s(disk: Disk) -> float:
    """How long some writes take that each wait for the disk."""
    with (disk.path / "file").open("wb", buffering=0) as file:
        began = now()
        for _ in range(SYNCS):
            file.write(b"x")
            os.fdatasync(file.fileno())
        return now() - began


def stay() -> None:
    """Make a host with a process in it, and stay."""
    hosts = Hosts()
    asyncio.run(hosts.place("a"))
    sys.stdout.write("the hosts are up\n")
    sys.stdout.flush()
    subprocess.run([*hosts.host("a").prefix, "sleep", "infinity"])


if __name__ == "__main__":
    room.enter("tests.cluster.inside", sys.argv[1:])
    {"hosts": check_hosts, "disks": check_disks, "stay": stay}[sys.argv[1]]()
