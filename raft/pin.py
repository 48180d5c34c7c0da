"""PySyncObj is pinned by version and by the hash of its sources.

The fence in `engine` leans on private names and on when PySyncObj does what (raft/audit.md section
4.2). A patched or newer copy may look alike and lose data, so a server with another one refuses to
start. To move to a new version: docs/adr/0001 lists what must pass first.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import pysyncobj

from raft.errors import Refused

VERSION: Final = "0.3.17"

# sha256 over the names and contents of all its modules, in the order of their names.
SOURCES: Final = "13b94ebe02b8444e7766d11fde3bfab92df324a60214b3b30b62dcbe469dd413"


def check() -> None:
    """Raise Refused unless the installed PySyncObj is the audited one."""
    found = digest()
    if found != SOURCES:
        raise Refused(
            f"the installed pysyncobj is not the audited {VERSION} (its sources have sha256 "
            f"{found[:16]}..., expected {SOURCES[:16]}...); reinstall it with: "
            f"pip install --force-reinstall pysyncobj=={VERSION}"
        )


def digest() -> str:
    """Return the fingerprint of the installed PySyncObj."""
    folder = Path(pysyncobj.__file__).parent
    total = hashlib.sha256()
    for module in sorted(folder.glob("*.py")):
        total.update(module.name.encode() + b"\0" + module.read_bytes() + b"\0")
    return total.hexdigest()
