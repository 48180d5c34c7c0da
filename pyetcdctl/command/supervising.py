"""A command that runs while something is held for it: its terminal, its signals, its end.

Laws:

* It runs as with `flock` or `env`: with our terminal and in our process group. So it may read from
  the terminal whatever stdin is, and what the terminal's keys send reaches it by itself.
* A signal that is sent to this process alone is passed on: one that may end or stop, to all that
  the command has started; another one, to the command.
* This process never stops, for whoever holds a lock has to keep it: and in the foreground the
  command does not stay stopped, either, as there would be no prompt. What stops in the background
  because it wants the terminal goes on when it has it.
* At a loss all that the command has started gets SIGTERM; what is left of it 5 s later, SIGKILL.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyetcdctl.command import output

if TYPE_CHECKING:
    from pyetcdctl.leases import LeaseLost

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TO_ALL: Final = (*ENDING, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT)
_TO_COMMAND: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
# Blocked only: a message is written, or not, and neither stops nor ends the one who writes it.
_OF_OUTPUT: Final = (signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE)
# Nobody else sends it: the keeper of a lease tells the main thread by it of a loss.
LOSS: Final = signal.SIGALRM
_FROM_TERMINAL: Final = 0x80  # SI_KERNEL
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER
_GRACE_S: Final = 5.0
"""How long a command that is ended may take before it is killed."""
_POLL_S: Final = 0.5
"""How often a stopped command is looked after: no signal tells that the foreground changes."""

_GOES_ON = "lock: a command that holds a lock cannot be stopped at the terminal: it goes on\n"
_WAITS = "lock: the command is stopped until it is in the foreground; it holds the lock\n"


class Loss:
    """Takes a loss in the keeper's thread and wakes the main thread."""

    def __init__(self) -> None:
        self.error: LeaseLost | None = None

    def tell(self, lost: LeaseLost) -> None:
        self.error = lost
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, LOSS)


def heeded(*numbers: signal.Signals) -> set[signal.Signals]:
    """Those of the signals that this process was not started to ignore (`nohup`, `&`)."""
    return {number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN}


def take_signals() -> None:
    """From now on signals wait for `Supervised.run`, and none ends or stops this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would not tell of an end
    signal.pthread_sigmask(
        signal.SIG_BLOCK,
        heeded(*_TO_ALL, *_TO_COMMAND) | {*_OF_OUTPUT, signal.SIGCHLD, LOSS},
    )


class Supervised:
    """A command that has been started. Signals have been taken before."""

    def __init__(self, words: list[str], loss: Loss) -> None:
        """Raises OSError if it cannot be started."""
        # What its children leave behind is ours, and so is found when it has to end.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        self._loss = loss
        self._code: int | None = None
        self._is_stopped = False
        self._pid = os.posix_spawnp(
            words[0],
            words,
            os.environ,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores them
        )

    def run(self) -> int:
        """Wait for its end, or at a loss bring it about; the exit code, or minus the signal."""
        awaited = heeded(*_TO_ALL, *_TO_COMMAND) | {signal.SIGCHLD, LOSS}
        kill_at_s: float | None = None
        is_killed = False
        while True:
            is_alone = self._reap()
            if self._code is not None and (kill_at_s is None or is_killed or is_alone):
                return self._code
            if self._is_stopped and _is_foreground(self._pid):
                self._is_stopped = False
                self._send_to_all(signal.SIGCONT)
            came = _next(awaited, kill_at_s, polls=self._is_stopped)
            if kill_at_s is not None and time.monotonic() >= kill_at_s:
                self._send_to_all(signal.SIGKILL)
                is_killed, kill_at_s = True, time.monotonic() + _GRACE_S
            elif came is not None and came.si_signo == LOSS and self._loss.error is not None:
                output.err(f"Error:  {self._loss.error}; the command is ended\n")
                self._send_to_all(signal.SIGTERM)
                kill_at_s = time.monotonic() + _GRACE_S
            elif came is not None and came.si_code != _FROM_TERMINAL:
                self._pass_on(came.si_signo)

    def _reap(self) -> bool:
        """Take note of who ended or stopped; whether nobody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self._pid and os.WIFSTOPPED(status):
                self._is_stopped = True
                output.err(_GOES_ON if _is_foreground(pid) else _WAITS)
            elif pid == self._pid:
                self._code, self._is_stopped = os.waitstatus_to_exitcode(status), False

    def _pass_on(self, number: int) -> None:
        if number in _TO_ALL:
            self._send_to_all(number)
        elif number in _TO_COMMAND and self._code is None:
            os.kill(self._pid, number)

    def _send_to_all(self, number: int) -> None:
        # What is stopped takes notice of nothing before it goes on.
        numbers = (number,) if number == signal.SIGTSTP else (number, signal.SIGCONT)
        for pid in _descendants():
            with suppress(OSError):  # it has ended by now, or is another user's
                for each in numbers:
                    os.kill(pid, each)


def _next(
    awaited: set[signal.Signals], until_s: float | None, *, polls: bool
) -> signal.struct_siginfo | None:
    """The next signal; None if there is none in time."""
    ends = [_POLL_S] if polls else []
    if until_s is not None:
        ends.append(max(0.0, until_s - time.monotonic()))
    return signal.sigtimedwait(awaited, min(ends)) if ends else signal.sigwaitinfo(awaited)


def _is_foreground(pid: int) -> bool:
    """Whether the controlling terminal, if there is one, is ours or this process's."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) in (os.getpgrp(), os.getpgid(pid))
    except OSError:
        return False
    finally:
        os.close(terminal)


def _descendants() -> list[int]:
    """All processes that this one has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]
