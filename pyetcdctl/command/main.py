"""The program: finds the command, and makes an exit status of how it went.

Laws (contract/etcdctl.md, sections 1 and 3): usage errors say why and how it is meant; an unknown
command is exit 3; whatever goes wrong, nobody sees a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import closing
from typing import Any, Final, NamedTuple, NoReturn

from pyetcdctl.command import flags, helping, output
from pyetcdctl.command.session import BAD_ARGUMENTS, INTERRUPTED, NO_HELP_TOPIC, Exit, Session
from pyetcdctl.command.table import COMMANDS, GLOBAL, NAME, VERSION, VERSION_FLAG, Command, called
from pyetcdctl.errors import in_words

_NESTED_MAX: Final = 5000
"""How deep Python may call itself: directories are nested, and what handles them is. A stack of 8
MiB has room for three times that."""


class _Level(NamedTuple):
    """Where flags are read: how a mistake is told there, and that a flag has two of its names."""

    mistake: str
    two_forms: str


_PROGRAM: Final = _Level("Incorrect Usage. {}\n\n", "{}\n")
_GROUP: Final = _Level("Incorrect Usage. {}\n\n", "{}\n\n")
_COMMAND: Final = _Level("Incorrect Usage: {}\n\n", "Incorrect Usage: {}\n\n")
_FLAGS: Final = (*GLOBAL, flags.HELP, VERSION_FLAG)
# Of `help`, and not etcdctl's.
_ALL: Final = flags.Flag(("all",), flags.BOOL, "show what is new, too")


def main() -> NoReturn:
    """Run the command line; never returns."""
    sys.setrecursionlimit(_NESTED_MAX)
    status = 0
    try:
        run(sys.argv[1:])
    except Exit as end:
        status = end.status
    except OSError as error:
        output.err(f"{in_words(error)}\n")
        status = BAD_ARGUMENTS
    except KeyboardInterrupt:  # where Ctrl-C has more to end than the process
        status = INTERRUPTED
    except RecursionError:
        output.err("the answer is nested too deeply\n")
        status = BAD_ARGUMENTS
    # Nothing is left to clean up, and taking the interpreter down takes as long as a request.
    os._exit(status)


def run(words: list[str]) -> None:
    """Run a command line; raises Exit unless all went well."""
    api = os.environ.get("ETCDCTL_API", "")
    if api == "3":
        output.err(
            "this is the v2 client: for API version 3 use etcdctl of etcd 3 "
            "(unset ETCDCTL_API, or set it to 2)\n"
        )
        raise Exit(BAD_ARGUMENTS)
    if api not in ("", "2"):
        output.err(f"unsupported API version {api}\n")
        raise Exit(BAD_ARGUMENTS)
    settings, rest = _parsed(_PROGRAM, _FLAGS, words, helping.app())
    if settings["help"]:
        output.out(helping.app())
    elif settings["version"]:
        output.out(f"{NAME} version: {VERSION}\nAPI version: 2\n")
    elif not rest:
        output.out(helping.app())
    elif not rest[0]:
        output.out(helping.app_as_group())
    elif rest[0] in ("help", "h"):
        _help(rest[1:])
    else:
        _run(_found(COMMANDS, rest[0]), rest[1:], settings)


def _parsed(
    level: _Level, known: tuple[flags.Flag, ...], words: list[str], text: str, **how: bool
) -> tuple[dict[str, Any], list[str]]:
    try:
        return flags.parse(known, words, forms_first=level is not _COMMAND, **how)
    except flags.Usage as reason:
        heading = level.two_forms if isinstance(reason, flags.TwoForms) else level.mistake
        output.out(heading.format(reason) + text)
        output.err(f"{reason}\n")
        raise Exit(BAD_ARGUMENTS) from None


def _found(commands: tuple[Command, ...], name: str) -> Command:
    for command in commands:
        if command.name == name:
            return command
    from pyetcdctl.command import more

    for command in more.beside(commands):
        if command.name == name:
            return command
    output.err(f"No help topic for '{name}'\n")
    raise Exit(NO_HELP_TOPIC)


def _help(words: list[str]) -> None:
    operands, is_all = _help_flags("", (_ALL,), words)
    if operands is None:
        return
    if not operands and is_all:
        from pyetcdctl.command import more

        output.out(more.help_all())
    elif not operands:
        output.out(helping.app())
    elif operands[0] in ("help", "h"):
        output.out(helping.help_help(""))
    elif not operands[0]:
        output.out(helping.app_as_group())
    else:
        command = _found(COMMANDS, operands[0])
        if command.is_new or is_all or len(operands) > 1:
            from pyetcdctl.command import more

            text = more.help_about(command, operands[1:], is_all=is_all)
        else:
            text = ""
        output.out(text or helping.command(called(command), command))


def _help_flags(
    path: str, known: tuple[flags.Flag, ...], words: list[str]
) -> tuple[list[str] | None, bool]:
    """The operands of a `help`, None if it was asked about itself; and whether of --all."""
    text = helping.help_help(path)
    is_ours = flags.is_any(known, words)
    words = words if is_ours else flags.reordered(known, words)
    values, operands = _parsed(_COMMAND, known, words, text, anywhere=is_ours)
    if values["help"]:
        output.out(text)
        return None, False
    return operands, values.get(_ALL.name, False)


def _run(command: Command, words: list[str], settings: dict[str, Any]) -> None:
    if command.group:
        _run_group(command, words, settings)
    else:
        _run_command(called(command), command, words, settings)


def _run_group(group: Command, words: list[str], settings: dict[str, Any]) -> None:
    text = helping.group(called(group), group)
    values, rest = _parsed(_GROUP, (), words, text)
    if values["help"] or not rest or not rest[0]:
        output.out(text)
    elif rest[0] in ("help", "h"):
        _help_in_group(group, rest[1:], text)
    else:
        command = _found(group.group, rest[0])
        _run_command(called(group, command), command, rest[1:], settings)


def _help_in_group(group: Command, words: list[str], text: str) -> None:
    path = called(group)
    operands, _is_all = _help_flags(f"{path} help", (), words)
    if operands is None:
        return
    if not operands:
        output.out(helping.group_help(path, group))
    elif not operands[0]:
        output.out(text)
    else:
        command = _found(group.group, operands[0])
        output.out(helping.command(called(group, command), command))


def _run_command(path: str, command: Command, words: list[str], settings: dict[str, Any]) -> None:
    text = helping.command(path, command)
    known = command.flags + command.more_flags
    is_ours = command.is_new or flags.is_any(command.more_flags, words)
    if command.name == "exec-watch":
        words = flags.reordered_upstream(words)
    elif not is_ours:
        words = flags.reordered(known, words)
    values, operands = _parsed(
        _COMMAND, known, words, text, anywhere=is_ours, keeps_end=command.is_wrapper
    )
    if values["help"]:
        output.out(text)
        return
    is_formatted = command.run_formatted and settings["output"] in ("yaml", "table")
    run = command.run_formatted if is_formatted else command.run
    module, _, function = run.partition(":")
    run_it = getattr(importlib.import_module(f"pyetcdctl.command.{module}"), function)
    with closing(Session(settings, values, operands)) as session:
        run_it(session)
