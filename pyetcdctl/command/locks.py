"""lock, elect and lease keep: what goes on until a command, a signal or a loss ends it.

Laws: on the way out the lock is given back. Whoever is interrupted while it waits ends with
128 + the signal's number. A loss is told in a sentence, and is exit 4. The command of a lock has
the terminal if there is one; signals sent to this process are passed on, those of the terminal's
keys reach the command anyway. Off a terminal it is a process group of its own, and all of it is
ended when the lock is lost.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pyetcdctl.command import flags, output
from pyetcdctl.command.session import SERVER_ERROR, Exit, fail, fail_plainly
from pyetcdctl.errors import ClientError, in_words
from pyetcdctl.leases import Lease, LeaseLost
from pyetcdctl.locking import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyetcdctl.command.session import Session

_NO_COMMAND: Final = 127
_BY_SIGNAL: Final = 128
_GRACE_S: Final = 5.0
"""How long a command that is ended may take before it is killed."""
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PASSED_ON: Final = (*_ENDING, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
# Nobody else sends it: the keeper of a lease tells the main thread by it of a loss.
_LOSS: Final = signal.SIGALRM
_FROM_TERMINAL: Final = 0x80  # SI_KERNEL


class _Interrupted(Exception):
    """A signal came while waiting."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _interruptible() -> Iterator[None]:
    """Signals end the waiting in here, and the place in the queue is left."""

    def interrupt(number: int, _frame: Any) -> None:
        raise _Interrupted(number)

    signal.pthread_sigmask(signal.SIG_BLOCK, {_LOSS})
    before = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    except _Interrupted as interrupted:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise Exit(_BY_SIGNAL + interrupted.number) from None
    except ClientError as error:
        fail(error, SERVER_ERROR)
    for number, handler in before.items():
        signal.signal(number, handler)


class _Loss:
    """Takes a loss in the keeper's thread and wakes the main thread."""

    def __init__(self) -> None:
        self.error: LeaseLost | None = None

    def tell(self, lost: LeaseLost) -> None:
        self.error = lost
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, _LOSS)


def _ttl(text: object) -> int:
    try:
        ttl = flags.integer(str(text))
    except (ValueError, OverflowError):
        ttl = 0
    if ttl < 1:
        fail_plainly(f'the TTL is "{text}", but has to be a whole number of seconds from 1 on')
    return ttl


def lock(session: Session) -> None:
    """Run a command while nobody else holds the lock."""
    if len(session.operands) < 2 or not session.operands[0]:
        fail_plainly("lock: key and command required: lock <key> -- <command> [args...]")
    ttl, wait_s = _ttl(session.flags["ttl"]), session.flags["wait"]
    key, *words = session.operands
    if shutil.which(words[0]) is None:
        fail_plainly(f'lock: exec: "{words[0]}": executable file not found in $PATH', _NO_COMMAND)
    loss, client = _Loss(), session.client()
    held = Lock(client, key, ttl=ttl, wait_s=wait_s if wait_s >= 0 else None, on_lost=loss.tell)
    with _interruptible():
        held.acquire()
        # From here on signals are waited for, not handled.
        signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED_ON, signal.SIGCHLD})
    try:
        status = _supervised(words, loss)
    finally:
        held.release()
    raise Exit(status)


def _supervised(words: list[str], loss: _Loss) -> int:
    """Run the command to its end; its exit status."""
    is_group = not os.isatty(0)
    group: dict[str, Any] = {"setpgroup": 0} if is_group else {}
    try:
        child = os.posix_spawnp(
            words[0],
            words,
            os.environ,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGPIPE),
            **group,
        )
    except OSError as error:
        fail_plainly(f"lock: {words[0]}: {in_words(error)}", _NO_COMMAND)

    def send(number: int) -> None:
        # Until it is waited for, the number is nobody else's.
        os.killpg(child, number) if is_group else os.kill(child, number)

    awaited = {*_PASSED_ON, signal.SIGCHLD, _LOSS}
    while True:
        has_lost = loss.error is not None
        came = signal.sigtimedwait(awaited, _GRACE_S) if has_lost else signal.sigwaitinfo(awaited)
        if came is None:
            send(signal.SIGKILL)
        elif came.si_signo == _LOSS:
            output.err(f"Error:  {loss.error}; the command is ended\n")
            send(signal.SIGTERM)
        elif came.si_signo != signal.SIGCHLD:
            if is_group or came.si_code != _FROM_TERMINAL:
                send(came.si_signo)
        else:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
    if loss.error is not None:
        return SERVER_ERROR
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _BY_SIGNAL - code


def elect(session: Session) -> None:
    """Lead until a signal or a loss ends it."""
    if len(session.operands) != 2:
        fail_plainly("elect: name and value required: elect <name> <value>")
    name, value = session.operands
    loss, ttl = _Loss(), _ttl(session.flags["ttl"])
    leading = Lock(session.client(), name, ttl=ttl, value=value, on_lost=loss.tell)
    with _interruptible():
        leading.acquire()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    output.out(f"{leading.key} {value}\n")
    _wait(loss)
    leading.release()
    if loss.error is not None:
        fail(str(loss.error), SERVER_ERROR)


def keep(session: Session) -> None:
    """Keep a key alive until a signal or a loss ends it."""
    if len(session.operands) != 2:
        fail_plainly("lease keep: key and ttl required: lease keep <key> <ttl>")
    key, ttl = session.operands[0], _ttl(session.operands[1])
    loss = _Loss()
    lease = Lease(session.client(), key, ttl, on_lost=loss.tell)
    with _interruptible():
        lease.start()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    output.out(f"{key} is kept alive, with a TTL of {ttl} s\n")
    _wait(loss)
    if loss.error is not None:
        fail(str(loss.error), SERVER_ERROR)
    lease.close()


def _wait(loss: _Loss) -> None:
    """Until a signal comes, or the loss."""
    signal.sigwaitinfo({*_ENDING, _LOSS} if loss.error is None else {_LOSS})
