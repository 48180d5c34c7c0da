"""A room of one's own: network, mounts and processes that vanish with the one who entered.

Law: inside, this process is the first of a PID namespace, so that whatever way it ends, all it
started ends too, and with it every mount, interface and namespace; only files stay. Wants root.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

MARK = "PYETCD_ROOM"
UNSHARE = (
    "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
)  # fmt: skip


def is_inside() -> bool:
    """Whether this process is in a room."""
    return MARK in os.environ


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs a module in a room; the module calls `enter` first."""
    return [*UNSHARE, sys.executable, "-m", module, *arguments]


def enter(module: str, arguments: Sequence[str]) -> None:
    """Go on inside: this process is replaced by one in a room that runs the module again."""
    if not is_inside():
        line = command(module, arguments)
        os.execvpe(line[0], line, os.environ | {MARK: "1"})
    settle()


def settle() -> None:
    """Make a room that was just entered fit to live in."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Mounts made here later shall be seen by the hosts' mount namespaces too; the outside has
    # been left by `unshare` already.
    subprocess.run(["mount", "--make-rshared", "/"], check=True)
