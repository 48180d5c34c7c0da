"""An argument vector to flags, by the rules of Go's flag package.

Laws: `-x`, `--x`, `-x=v` and `-x v` are the same; a boolean takes its value only after `=`; flags
end at `--` or at the first argument that is not one. Flags come out in order and the first fault
ends the scan, so whatever comes first on the command line is also reported first. Sets nothing.
"""

from collections.abc import Iterator, Mapping, Sequence

from server.options.option import Option


class FlagError(Exception):
    """The command line is not one etcd would take; the message is Go's."""


class HelpAsked(Exception):
    """`-h` or `--help` was met."""


class NotAFlag(Exception):
    """The scan ended at this argument; flags after it were not looked at."""

    def __init__(self, argument: str) -> None:
        super().__init__(argument)
        self.argument = argument


def scan(argv: Sequence[str], options: Mapping[str, Option]) -> Iterator[tuple[Option, str]]:
    """Each flag as (option, text); `argv` is without the program's name."""
    at = 0
    while at < len(argv):
        argument = argv[at]
        if argument == "--":
            at += 1
            break
        if len(argument) < 2 or argument[0] != "-":
            break
        at += 1
        name, has_value, text = _split(argument)
        option = options.get(name)
        if option is None:
            if name in ("help", "h"):
                raise HelpAsked
            raise FlagError(f"flag provided but not defined: -{name}")
        if not has_value:
            if option.kind.is_flag_only:
                text = "true"
            elif at < len(argv):
                text = argv[at]
                at += 1
            else:
                raise FlagError(f"flag needs an argument: -{name}")
        yield option, text
    if at < len(argv):
        raise NotAFlag(argv[at])


def _split(argument: str) -> tuple[str, bool, str]:
    body = argument[2:] if argument.startswith("--") else argument[1:]
    if body[:1] in ("", "-", "="):
        raise FlagError(f"bad flag syntax: {argument}")
    name, equals, text = body.partition("=")
    return name, equals == "=", text
