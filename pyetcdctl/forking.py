"""What belongs to one process alone, also when it forks: its connections, and what it holds.

Laws: in a child every connection of its parent's is closed at once, and only its descriptor:
nothing is said on it (no close_notify of TLS's) and nothing is shut down, for the parent goes on
with it. So no answer is ever read by another process than the one that asked. What is kept alive by
a thread or a task is kept by the process that has it, and a child holds nothing of that.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

_connected: Final[weakref.WeakSet[socket.socket]] = weakref.WeakSet()
_here = object()


def here() -> object:
    """This process; numbers are given again."""
    return _here


def is_another(process: object | None) -> bool:
    """Whether it is a process (None: nobody's), and not this one."""
    return process is not None and process is not _here


def connected(sock: socket.socket) -> None:
    """Let this socket be this process's alone: as soon as it is made, before it is connected."""
    _connected.add(sock)


def _begin() -> None:
    global _here
    _here = object()
    for sock in [*_connected]:
        sock.close()


os.register_at_fork(after_in_child=_begin)
