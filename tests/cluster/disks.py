"""A small disk of its own for each member, which can be filled up and slowed down.

Method: an ext4 image on a loop device. Slow means a limit of the kernel on the device's writes
per second (`blkio.throttle.write_iops_device`), so that an fdatasync takes its time whatever the
program is written in; full means a file of ours that takes all there is. Wants root, and for the
slowness a kernel with the first version of the blkio control group.

Law: inside a `room` the mount, and with it the loop device, ends with the process.
"""

import errno
import os
import subprocess
from pathlib import Path

SIZE_BYTES = 1 << 30
STEP_BYTES = 1 << 20
BLKIO = Path("/sys/fs/cgroup/blkio")
LIMIT = "blkio.throttle.write_iops_device"


class Disk:
    """A file system on `path`, of which the member gets a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        image = path.with_name(path.name + ".img")
        with image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        path.mkdir()
        _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,nodiscard", str(image))
        _run("mount", "-o", "loop,noatime", str(image), str(path))
        image.unlink()  # the loop device keeps it for as long as the mount is there
        # A limit on this device's number may have been left by somebody killed.
        self.unlimit()

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take everything but `leave_bytes`."""
        size = 0
        step = 64 * STEP_BYTES
        with self._filler.open("wb") as file:
            while step:
                status = os.statvfs(self.path)
                left = status.f_bavail * status.f_frsize - leave_bytes
                if left < step:
                    step = step // 2 if step > 4096 else 0
                    continue
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2
                else:
                    size += step

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)

    def unlimit(self) -> None:
        """As fast as it can again, if it can be slowed at all."""
        if can_limit():
            self.limit(0)

    def limit(self, writes_per_s: int) -> None:
        """Let the device do only so many writes a second; 0: as many as it can."""
        status = os.stat(self.path)
        device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        _limit_file().write_text(f"{device} {writes_per_s}\n")

    def close(self) -> None:
        """Unmount it."""
        self.unlimit()
        subprocess.run(["umount", "--lazy", str(self.path)], check=False)

    @property
    def _filler(self) -> Path:
        return self.path / "filler"


def can_limit() -> bool:
    """Whether this kernel lets us slow a device down."""
    return os.access(_limit_file(), os.W_OK)


def _limit_file() -> Path:
    # A limit holds for the processes of one group: ours, which the members are in too.
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if "blkio" in controllers.split(","):
            return BLKIO / group.lstrip("/") / LIMIT
    return BLKIO / LIMIT


def _run(*line: str) -> None:
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (line, done.stderr)
