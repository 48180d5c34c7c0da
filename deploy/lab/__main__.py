"""`make lab`: the talk's Lab 1 on this machine, as root."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from deploy.lab import room
from deploy.lab.flavours import FLAVOURS
from deploy.lab.hosts import CommandFailed
from deploy.lab.story import Lab, NotAsItShouldBe

_NEEDED: Final = ("ip", "iptables", "ping", "curl", "unshare", "nsenter", "mount", "sysctl")


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
        space = Path(tempfile.mkdtemp(prefix="pyetcd-lab-"))
        line = room.command("deploy.lab", sys.argv[1:])
        try:
            return subprocess.run(
                line, env=os.environ | {room.MARK: str(space)}, check=False
            ).returncode
        except KeyboardInterrupt:
            return 130
        finally:
            shutil.rmtree(space, ignore_errors=True)
    room.settle()
    signal.signal(signal.SIGTERM, _interrupt)
    names = list(FLAVOURS) if options.backend == "all" else [options.backend]
    return max(_run(name, Path(os.environ[room.MARK]) / name) for name in names)


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt


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
    except KeyboardInterrupt:
        _say("\ninterrupted")
        return 130
    finally:
        lab.close()
        subprocess.run(["umount", "/usr/local/bin"], check=False)
    _say(f"\nAll of Lab 1 works on {name}; it took {time.monotonic() - begun:.1f} s.")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
