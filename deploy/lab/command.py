"""`make lab`: the talk's Lab 1 on this machine, as root."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from deploy.lab import lifeline, room
from deploy.lab.flavours import FLAVOURS
from deploy.lab.hosts import CommandFailed
from deploy.lab.story import Lab, NotAsItShouldBe

_NEEDED: Final = ("ip", "iptables", "ping", "curl", "unshare", "nsenter", "mount", "sysctl")
_SETTINGS: Final = ("ETCD", "FLANNEL", "DOCKER", "NOTIFY_SOCKET")


def main() -> int:
    """Run the lab; 0 if every step was as it should be."""
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--backend",
        choices=(*FLAVOURS, "all"),
        default="vxlan",
        help="flannel's way between the hosts: vxlan and host-gw on Atomic hosts, udp on CoreOS's",
    )
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("make lab: namespaces and interfaces are made as root: sudo make lab\n")
        return 1
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        sys.stderr.write(f"make lab: not installed: {', '.join(missing)} (sudo make tools)\n")
        return 1
    if not room.is_inside():
        line = room.command("deploy.lab", sys.argv[1:])
        return lifeline.run(line, _environment(), room.MARK, "pyetcd-lab-")
    lifeline.hold()
    room.settle()
    names = list(FLAVOURS) if options.backend == "all" else [options.backend]
    return max(_run(name, Path(os.environ[room.MARK]) / name) for name in names)


def _environment() -> dict[str, str]:
    """Ours, without what would have a say in the lab: settings of the programs shown, and proxies,
    by which no host in there is reached.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_SETTINGS) and not name.lower().endswith("_proxy")
    }


def _run(name: str, space: Path) -> int:
    space.mkdir()
    # What the units call /usr/local/bin is where this Python has its programs.
    subprocess.run(
        ["mount", "--bind", str(Path(sys.executable).parent), "/usr/local/bin"], check=True
    )
    begun = time.monotonic()
    flavour = FLAVOURS[name]
    lab = Lab(space, _say)
    try:
        lab.hosts()
        lab.etcd()
        lab.keys()
        lab.flannel(flavour)
        lab.docker(flavour)
        lab.page(flavour)
    except (NotAsItShouldBe, CommandFailed) as error:
        _say(f"\nNOT AS IT SHOULD BE: {error}")
        return 1
    finally:
        lab.close()
        subprocess.run(["umount", "/usr/local/bin"], check=False)
    _say(f"\nAll of Lab 1 works on {name}; it took {time.monotonic() - begun:.1f} s.")
    return 0


def _say(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:  # nobody reads it any more
        lifeline.end()
