"""A real server whose fdatasync fails once: it ends, with one line and without another reply."""

import sys
import threading
from dataclasses import dataclass, field

from tests.clients.waiting import until
from tests.oracle import Closed, Pyetcd, Request, Server

WRITERS = 8
GOOD_SYNCS = 60

# A server whose disk fails with EIO after so many syncs; the data it was to sync is dropped, as
# Linux does: the file is cut back to what the last good sync covered.
FAULTY = """
import errno, sys
from raft import disk
from server.main import main

left = int(sys.argv.pop(1))
good_pwrite, good_sync = disk.RealFile.pwrite, disk.RealFile.sync
unsynced = {}

def pwrite(self, data, offset):
    unsynced.setdefault(self, []).append((offset, self.pread(len(data), offset)))
    good_pwrite(self, data, offset)

def sync(self):
    global left
    left -= 1
    if left < 0:
        for offset, before in reversed(unsynced.pop(self, [])):
            good_pwrite(self, before, offset)
        good_sync(self)
        raise OSError(errno.EIO, "Input/output error")
    good_sync(self)
    unsynced.pop(self, None)

disk.RealFile.pwrite, disk.RealFile.sync = pwrite, sync
main()
"""


class Faulty(Pyetcd):
    """pyetcd on a disk that fails after some syncs."""

    kind = "faulty"

    def command(self) -> list[str]:
        """The interpreter, the fault, and the server."""
        return [sys.executable, "-c", FAULTY, str(GOOD_SYNCS)]


@dataclass
class Kept:
    """What the writers were told."""

    keys: list[str] = field(default_factory=list)
    others: list[int] = field(default_factory=list)


def _write(server: Server, writer: int, kept: Kept) -> None:
    try:
        with server.connect() as connection:
            for number in range(10 * GOOD_SYNCS):
                key = f"/v2/keys/w{writer}/{number}"
                answer = connection.ask(Request.form("PUT", key, "value=x"))
                if answer.status == 201:
                    kept.keys.append(key)
                else:
                    kept.others.append(answer.status)
    except (OSError, Closed):
        return


def test_a_failed_fdatasync_ends_the_process() -> None:
    """Goal: exit code 1, one line that says why, no answer to the writes that were not synced, and
    none that was acknowledged is lost. Method: concurrent writers until the sync fails and drops
    its data; then a start on a good disk."""
    kept = Kept()
    server = Faulty()
    try:
        server.start()
        threads = [
            threading.Thread(target=_write, args=(server, number, kept))
            for number in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: not server.running, "the process ends")
        complaints = [line for line in server.log().splitlines() if " C | " in line]
        assert len(complaints) == 1, server.log()
        assert "input/output error" in complaints[0]
        assert "Traceback" not in server.log()
        assert server.kill() == 1
        assert kept.keys
        assert kept.others == []
        good = Pyetcd(data_dir=server.data_dir)
        with good, good.connect() as connection:
            for key in kept.keys:
                assert connection.ask(Request("GET", key.encode())).status == 200, key
    finally:
        server.discard()
