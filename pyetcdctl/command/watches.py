"""watch and exec-watch (contract/etcdctl.md, sections 9.9 and 9.10).

Laws: a member that is stopped ends the long polls at it with an empty answer; nobody sees that, the
question is asked again, at once and then less and less often. What else fails ends the run.
"""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from pyetcdctl import requests
from pyetcdctl.backoff import Backoff
from pyetcdctl.command import output
from pyetcdctl.command.session import BAD_ARGUMENTS, SERVER_ERROR, Exit, fail
from pyetcdctl.errors import ClientError, EmptyAnswer, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyetcdctl.answers import Result
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session


def end_quietly_on_interrupt() -> None:
    """From now on Ctrl-C is how it is meant to end."""

    def end(_signal: int, _frame: Any) -> None:
        os._exit(0)

    signal.signal(signal.SIGINT, end)


def events(session: Session, key: str) -> Iterator[Result]:
    """The events behind the index that was given, each once."""
    client = session.client()
    after = session.flags["after-index"]
    index = after + 1 if after else 0
    while True:
        request = requests.wait(key, recursive=session.flags["recursive"], wait_index=index)
        result = _next(client, request)
        index = result.node.modified_index + 1
        yield result


def _next(client: Client, request: requests.Request) -> Result:
    backoff = Backoff()
    while True:
        try:
            return client.keys(request)
        except EmptyAnswer:
            time.sleep(backoff.pause_s)
            backoff.failed()
        except ClientError as error:
            fail(error, SERVER_ERROR)


def watch(session: Session) -> None:
    """Print the next change of a key, or all of them."""
    tell: Callable[[Result], bool] = partial(_tell, session)
    if session.flags["format"] or session.flags["timestamps"]:
        from pyetcdctl.command import event_lines

        form = event_lines.form(session.flags["format"], timestamps=session.flags["timestamps"])
        tell = partial(event_lines.tell, form)
    if not session.operands:
        session.client()
        session.key()
    end_quietly_on_interrupt()
    for result in events(session, session.operands[0]):
        if tell(result) and not session.flags["forever"]:
            return


def _tell(session: Session, result: Result) -> bool:
    """Tell of a change as etcdctl does, which passes over directories."""
    if result.node.dir:
        return False
    if session.flags["recursive"]:
        output.out(f"[{result.action}] {result.node.key}\n")
    session.print(result)
    return True


def exec_watch(session: Session) -> None:
    """Run a command for each change of a key."""
    if len(session.operands) < 2:
        session.client()
        fail("key and command to exec required", BAD_ARGUMENTS)
    key, words = _split(session.operands)
    end_quietly_on_interrupt()
    running: list[Any] = []
    for result in events(session, key):
        if result.node.dir:
            output.err(f"Ignored dir {result.node.key} change\n")
            continue
        running = [child for child in running if child.poll() is None]
        running.append(_start(words, result))


def _split(operands: list[str]) -> tuple[str, list[str]]:
    """Which of the operands are the key and the command."""
    if "--" in operands[1:]:
        return operands[0], operands[2:]
    return operands[-1], operands[:-1]


def _start(words: list[str], result: Result) -> Any:
    import subprocess

    environment = {
        **os.environ,
        "ETCD_WATCH_ACTION": result.action,
        "ETCD_WATCH_MODIFIED_INDEX": str(result.node.modified_index),
        "ETCD_WATCH_KEY": result.node.key,
        "ETCD_WATCH_VALUE": result.node.value,
    }
    program = words[0] if words else ""
    try:
        return subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL)
    except (OSError, IndexError, ValueError) as error:
        if "/" in program:
            reason = in_words(error) if isinstance(error, OSError) else "no such file or directory"
            output.err(f"fork/exec {program}: {reason}")
        else:
            output.err(f'exec: "{program}": executable file not found in $PATH')
        raise Exit(BAD_ARGUMENTS) from None
