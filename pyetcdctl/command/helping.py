"""Help texts, byte for byte those of etcdctl 3.4.23 (contract/etcdctl.md, section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyetcdctl.command.flags import BOOL, HELP, Flag
from pyetcdctl.command.table import (
    ABOUT,
    COMMANDS,
    GLOBAL,
    HELP_LINE,
    NAME,
    VERSION,
    VERSION_FLAG,
    Command,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def app() -> str:
    """The help text of the program."""
    commands = [(command.name, command.about) for command in COMMANDS]
    flags = [flag_row(flag) for flag in (*GLOBAL, HELP, VERSION_FLAG)]
    return (
        f"NAME:\n   {NAME} - {ABOUT}\n\n"
        f"USAGE:\n   {NAME} [global options] command [command options] [arguments...]\n\n"
        f"VERSION:\n   {VERSION}\n\n"
        f"COMMANDS:\n{columns([*commands, HELP_LINE])}\n"
        f"GLOBAL OPTIONS:\n{columns(flags)}"
    )


def app_as_group() -> str:
    """What the program says to a command whose name is empty: a group's help text."""
    commands = [(command.name, command.about) for command in COMMANDS]
    return _group(NAME, ABOUT, [*commands, HELP_LINE], (*GLOBAL, HELP, VERSION_FLAG))


def command(path: str, command: Command) -> str:
    """The help text of a command; `path` is how it is called."""
    options = " [command options]" if command.flags else ""
    text = f"NAME:\n   {path} - {command.about}\n\nUSAGE:\n   {path}{options} {command.operands}\n"
    if command.description:
        text += f"\nDESCRIPTION:\n   {command.description}\n"
    if command.flags:
        text += f"\nOPTIONS:\n{columns(flag_row(flag) for flag in command.flags)}   \n"
    return text


def group(path: str, group: Command) -> str:
    """The help text of a group of commands."""
    return _group(path, group.about, [(each.name, each.about) for each in group.group], (HELP,))


def _group(
    path: str, about: str, commands: Iterable[tuple[str, str]], flags: Iterable[Flag]
) -> str:
    return (
        f"NAME:\n   {path} - {about}\n\n"
        f"USAGE:\n   {path} command [command options] [arguments...]\n\n"
        f"COMMANDS:\n{columns(commands)}\n"
        f"OPTIONS:\n{columns(flag_row(flag) for flag in flags)}   \n"
    )


def group_help(path: str, group: Command) -> str:
    """What a group's own `help` says."""
    return (
        f"NAME:\n   {path} - {group.about}\n\n"
        f"USAGE:\n   {path} [global options] command [command options] [arguments...]\n\n"
        f"VERSION:\n   {VERSION}\n\n"
        f"COMMANDS:\n{columns((each.name, each.about) for each in group.group)}\n"
        f"GLOBAL OPTIONS:\n{columns([flag_row(HELP)])}"
    )


def help_help(path: str) -> str:
    """What a `help` says of itself; the program's own has an empty path."""
    return f"NAME:\n   {path} - {HELP_LINE[1]}\n\nUSAGE:\n   {path} [command]\n"


def flag_row(flag: Flag) -> tuple[str, str]:
    """A flag's row: its names, and what it is for."""
    value = "" if flag.kind == BOOL else f" {flag.called}"
    names = ", ".join(f"{'--' if len(name) > 1 else '-'}{name}{value}" for name in flag.names)
    return names, flag.about + (f" (default: {flag.shown})" if flag.shown else "")


def columns(rows: Iterable[tuple[str, str]]) -> str:
    """Rows in two columns, as help texts have them."""
    rows = list(rows)
    width = max((len(first) for first, _second in rows), default=0)
    return "".join(f"   {first:{width}}  {second}\n" for first, second in rows)
