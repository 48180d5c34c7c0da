"""What a figure was measured on: versions, processor, kernel, file system, other load."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from bench import servers, wrk
from server.version import __version__


def facts(space: Path) -> dict[str, str]:
    """What a reader needs in order to place the figures; `space` is where the data goes."""
    return {
        "etcd": servers.etcd_release(),
        "pyetcd": f"{__version__} ({_revision()})",
        "python": f"{platform.python_implementation()} {platform.python_version()}, "
        + ", ".join(f"{name} {metadata.version(name)}" for name in ("uvloop", "httptools")),
        "wrk": wrk.version(),
        "cpu": f"{os.cpu_count()} x {_cpu_model(Path('/proc/cpuinfo').read_text())}",
        "kernel": f"{platform.system()} {platform.release()}",
        "disk": file_system(space, Path("/proc/self/mounts").read_text()),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def print_facts(found: dict[str, str]) -> None:
    """Print them, and a warning where they make the figures doubtful."""
    for name, words in found.items():
        print(f"{name + ':':8} {words}")
    if found["disk"].startswith(("tmpfs", "ramfs")):
        print("warning: the data is in memory, so PUT does not wait for any disk; see --directory")
    if os.getloadavg()[0] > 0.3 * (os.cpu_count() or 1):
        print("warning: the machine is busy with something else; repeat this when it is idle")
    print(flush=True)


def _cpu_model(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        name, _, words = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware"):
            return words.strip()
    return platform.machine()


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system a path is on, given the text of /proc/self/mounts."""
    best, kind = "", "unknown"
    real = os.path.realpath(path)
    for line in mounts.splitlines():
        _device, point, this_kind = line.split(" ")[:3]
        inside = point == "/" or real == point or real.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, this_kind
    return kind


def _revision() -> str:
    done = subprocess.run(
        ["git", "-C", os.path.dirname(__file__), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or f"not a git checkout, {sys.platform}"
