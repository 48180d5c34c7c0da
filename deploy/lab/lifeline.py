"""What ties a room to the one who made it: its standard input.

Laws: whoever is outside ends, or is told to, closes it by that; the first process inside then ends,
and with it everything in there; only then the one outside goes on. Signals of a terminal reach
nobody inside. What a signal says second is not heard any more.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

_TELLING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SHELL_SIGNALLED: Final = 128


class _Told(BaseException):
    """A signal says to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = _SHELL_SIGNALLED + number


def run(line: Sequence[str], environment: Mapping[str, str], mark: str, prefix: str) -> int:
    """Run a command in a room until it, or we, have ended; its exit status. It finds a directory of
    its own, which goes with it, in the variable `mark`; the directory's name has the prefix.
    """
    for number in _TELLING:
        signal.signal(number, _tell)
    space = ""
    try:
        space = tempfile.mkdtemp(prefix=prefix)
        return _run(line, {**environment, mark: space})
    except _Told as told:
        with contextlib.suppress(OSError):  # the terminal may be what went
            sys.stdout.write("\ninterrupted\n")
            sys.stdout.flush()
        return told.status
    finally:
        if space:
            shutil.rmtree(space, ignore_errors=True)


def _tell(number: int, _frame: Any) -> None:
    for each in _TELLING:
        signal.signal(each, signal.SIG_IGN)
    raise _Told(number)


def _run(line: Sequence[str], environment: Mapping[str, str]) -> int:
    inside = subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, start_new_session=True)
    try:
        return inside.wait()
    finally:
        assert inside.stdin is not None
        inside.stdin.close()
        inside.wait()


def hold() -> None:
    """Inside: end when the one outside does."""
    threading.Thread(target=_end_at_eof, daemon=True).start()


def _end_at_eof() -> None:
    while os.read(0, 1):
        pass
    end()


def end() -> NoReturn:
    """Inside: end as when the terminal goes, and with it all that is in there."""
    os._exit(_SHELL_SIGNALLED + signal.SIGHUP)
