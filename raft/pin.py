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

# First 16 hex digits of the sha256 of each module the engine runs through.
SOURCES: Final = {
    "syncobj.py": "e8bdf06797085d73",
    "journal.py": "9cf1eaf6acc70458",
    "transport.py": "0c9d89f9c4781ec9",
    "node.py": "e4a3f027cd8291f5",
    "pickle.py": "e9327780738065ce",
    "config.py": "fbbc7ff9f18e4d15",
}


def check() -> None:
    """Raise Refused unless the installed PySyncObj is the audited one."""
    folder = Path(pysyncobj.__file__).parent
    for name, expected in SOURCES.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16]
        if found != expected:
            raise Refused(
                f"the installed pysyncobj is not the audited {VERSION}: {name} has sha256 "
                f"{found}..., expected {expected}...; reinstall it with: "
                f"pip install --force-reinstall pysyncobj=={VERSION}"
            )
