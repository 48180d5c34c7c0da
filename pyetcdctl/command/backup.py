"""backup: an offline copy of a stopped member's data directory (contract/etcdctl.md, 9.13).

The formats of the data directory are the server's affair: `pyetcd backup` makes the copy. A data
directory of Go's etcd is refused there, by its own sentence.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from pyetcdctl.command.session import fail_plainly

if TYPE_CHECKING:
    from pyetcdctl.command.session import Session


def backup(session: Session) -> None:
    """Run `pyetcd backup` in the place of this process."""
    flags = session.flags
    for name in ("data-dir", "backup-dir"):
        if not flags[name]:
            fail_plainly(f"backup: --{name} is required")
    beside = os.path.join(os.path.dirname(sys.executable), "pyetcd")
    program = beside if os.access(beside, os.X_OK) else shutil.which("pyetcd")
    if program is None:
        fail_plainly("backup: the program `pyetcd`, which makes the copy, is not installed")
    words = [program, "backup"]
    paths = ("data-dir", "wal-dir", "backup-dir", "backup-wal-dir")
    words += [f"--{name}={flags[name]}" for name in paths if flags[name]]
    os.execv(program, words)
