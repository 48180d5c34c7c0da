"""lock, elect and lease keep: what goes on until a command, a signal or a loss ends it.

Laws: a server that does not answer before there is a place in the queue ends the run, as it does
for other commands; afterwards it is waited for, and each outage told once. On the way out the lock
is given back, unless it is lost already: nobody tries that for more than 2 s, and a second signal
ends it at once, for the key runs out by itself. Whoever is interrupted while it waits ends with
128 + the signal's number. A loss is told in a sentence, and is exit 4. Signals that this process
was started to ignore (`nohup`, `&`) end nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pyetcdctl.arguments import TTL_MAX_S
from pyetcdctl.command import flags, output, supervising
from pyetcdctl.command.session import SERVER_ERROR, Exit, fail, fail_plainly
from pyetcdctl.command.supervising import ENDING, LOSS, Loss, heeded
from pyetcdctl.errors import ClientError, KeyNotFound, in_words
from pyetcdctl.leases import Lease
from pyetcdctl.locking import LEAVING_S, Lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyetcdctl.command.session import Session

_NOT_RUNNABLE: Final = 126
_NO_COMMAND: Final = 127
_BY_SIGNAL: Final = 128
_TWICE_S: Final = 0.2
"""Signals that come this close after one another are one: `timeout` sends each twice."""


class _Interrupted(Exception):
    """A signal came while waiting."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _interruptible() -> Iterator[None]:
    """Signals end the waiting in here, and the place in the queue is left."""

    def interrupt(number: int, _frame: Any) -> None:
        _let_signals_end()
        raise _Interrupted(number)

    signal.pthread_sigmask(signal.SIG_BLOCK, {LOSS})
    before = {number: signal.signal(number, interrupt) for number in heeded(*ENDING)}
    try:
        yield
    except _Interrupted as interrupted:
        raise Exit(_BY_SIGNAL + interrupted.number) from None
    except ClientError as error:
        fail(error, SERVER_ERROR)
    for number, handler in before.items():
        signal.signal(number, handler)


def _let_signals_end() -> None:
    """From now on a signal that has not come yet ends this process at once."""
    since_s = time.monotonic()

    def end(number: int, _frame: Any) -> None:
        if time.monotonic() - since_s > _TWICE_S:
            os._exit(_BY_SIGNAL + number)

    ending = heeded(*ENDING)
    for number in ending:
        signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)


def _give_back(held: Lock) -> None:
    if held.lost is None:
        _let_signals_end()
        held.release(within_s=LEAVING_S)


def _ttl(text: object) -> int:
    try:
        ttl = flags.integer(str(text))
    except (ValueError, OverflowError):
        ttl = 0
    if not 1 <= ttl <= TTL_MAX_S:
        fail_plainly(
            f'the TTL is "{text}", but has to be a whole number of seconds, 1 to {TTL_MAX_S}'
        )
    return ttl


def lock(session: Session) -> None:
    """Run a command while nobody else holds the lock."""
    key, words = _split(session.operands)
    ttl, wait_s = _ttl(session.flags["ttl"]), session.flags["wait"]
    _check_program(words[0])
    loss = Loss()
    held = _lock(session, key, ttl=ttl, wait_s=wait_s if wait_s >= 0 else None, on_lost=loss.tell)
    try:
        with _interruptible():
            held.acquire()
            supervising.take_signals()
            held.check()  # who was stopped until now may have lost it again
        code = _run(words, loss)
    finally:
        _give_back(held)
    if loss.error is not None:
        code = SERVER_ERROR
    raise Exit(code if code >= 0 else _BY_SIGNAL - code)


def _split(operands: list[str]) -> tuple[str, list[str]]:
    """The key and the command. A word that is not behind `--` is not run: it may be the key behind
    a flag that was misread, or another key.
    """
    usage = "lock <key> -- <command> [args...]"
    end = operands.index("--") if "--" in operands else len(operands)
    keys, words = operands[:end], operands[end + 1 :]
    if keys and not words and keys[1:]:
        fail_plainly(f"lock: the command has to stand behind --: {usage}")
    if keys[1:]:
        fail_plainly(f"lock: one key is wanted, and not {keys[1]!r} as well: {usage}")
    if not words or not keys or not keys[0]:
        fail_plainly(f"lock: key and command required: {usage}")
    return keys[0], words


def _lock(session: Session, key: str, **options: Any) -> Lock:
    """A lock to wait for at a server that answers."""
    client = session.client()
    try:
        client.get(key, quorum=True)
    except KeyNotFound:
        pass
    except ClientError as error:
        fail(error, SERVER_ERROR)

    def tell(error: ClientError) -> None:
        if not held.index:
            raise error
        output.err(f"the server does not answer, it is tried again: {str(error).strip()}\n")

    held = Lock(client, key, on_outage=tell, **options)
    return held


def _check_program(program: str) -> None:
    """End the run before it waits for a lock that it could not use."""
    if shutil.which(program) is not None:
        return
    if "/" in program and os.path.exists(program):
        reason = "is a directory" if os.path.isdir(program) else "permission denied"
        fail_plainly(f"lock: {program}: {reason}", _NOT_RUNNABLE)
    fail_plainly(f'lock: exec: "{program}": executable file not found in $PATH', _NO_COMMAND)


def _run(words: list[str], loss: Loss) -> int:
    try:
        return supervising.Supervised(words, loss).run()
    except OSError as error:
        status = _NO_COMMAND if error.errno == errno.ENOENT else _NOT_RUNNABLE
        fail_plainly(f"lock: {words[0]}: {in_words(error)}", status)


def elect(session: Session) -> None:
    """Lead until a signal or a loss ends it."""
    if len(session.operands) != 2:
        fail_plainly("elect: name and value required: elect <name> <value>")
    name, value = session.operands
    loss, ttl = Loss(), _ttl(session.flags["ttl"])
    leading = _lock(session, name, ttl=ttl, value=value, on_lost=loss.tell)
    try:
        with _interruptible():
            leading.acquire()
            signal.pthread_sigmask(signal.SIG_BLOCK, heeded(*ENDING))
        output.out(f"{leading.key} {value}\n")
        _wait(loss)
    finally:
        _give_back(leading)
    if loss.error is not None:
        fail(str(loss.error), SERVER_ERROR)


def keep(session: Session) -> None:
    """Keep a key alive until a signal or a loss ends it."""
    if len(session.operands) != 2:
        fail_plainly("lease keep: key and ttl required: lease keep <key> <ttl>")
    key, ttl = session.operands[0], _ttl(session.operands[1])
    loss = Loss()
    lease = Lease(session.client(), key, ttl, on_lost=loss.tell)
    with _interruptible():
        lease.start()
        signal.pthread_sigmask(signal.SIG_BLOCK, heeded(*ENDING))
    output.out(f"{key} is kept alive, with a TTL of {ttl} s\n")
    _wait(loss)
    if loss.error is not None:
        fail(str(loss.error), SERVER_ERROR)


def _wait(loss: Loss) -> None:
    """Until a signal comes, or the loss."""
    while signal.sigwait(heeded(*ENDING) | {LOSS}) == LOSS and loss.error is None:
        continue
