"""Commands that etcdctl does not have, as data; `help --all` lists them.

Laws: they are new words, so no script of etcdctl's sees them, and their flags are read our way
(flags); colour, tables and progress are for
terminals only. What is new in an old command is in its `more_flags` (table).
"""

from __future__ import annotations

import textwrap
from typing import Final

from pyetcdctl.command import helping
from pyetcdctl.command.flags import BOOL, DURATION, INT, TEXT, Flag
from pyetcdctl.command.table import COMMANDS, Command, called

_TTL: Final = Flag(
    ("ttl",), INT, "seconds after which others go on if this one dies", default=10, shown="10"
)
_WIDTH: Final = 88
_FILE: Final = Flag(("file", "f"), TEXT, "a file in the place of stdin or stdout")


def _examples(text: str, *lines: str) -> str:
    told = textwrap.wrap(text, _WIDTH)
    shown = "".join(f"\n     {line}" for line in lines)
    return "\n   ".join(told) + f"\n\n   EXAMPLES:{shown}"


MORE: Final[tuple[Command, ...]] = (
    Command(
        "completion",
        "print a script that completes commands, flags and keys in a shell",
        "completion:completion",
        "bash|zsh|fish",
        description=_examples(
            "Completes the commands, their flags, and keys (by asking the cluster).",
            "source <(pyetcdctl completion bash)",
            "pyetcdctl completion bash > /etc/bash_completion.d/pyetcdctl",
            "source <(pyetcdctl completion zsh)",
            "pyetcdctl completion fish | source",
        ),
        is_new=True,
    ),
    Command(
        "dump",
        "write a key and all that is below it as JSON or YAML",
        "dumping:dump",
        "[key]",
        (_FILE, Flag(("yaml",), BOOL, "write YAML (default for a file named *.yaml or *.yml)")),
        _examples(
            "Values, directories, TTLs, and the order in which the keys were created. "
            "Keys whose names begin with _ are hidden from it. `load` reads it back.",
            "pyetcdctl dump > all.json",
            "pyetcdctl dump /app --file app.yaml",
            "pyetcdctl dump /app | jq -r '.nodes[].key'",
        ),
        is_new=True,
    ),
    Command(
        "load",
        "create what `dump` has written",
        "dumping:load",
        "[file]",
        (
            Flag(("skip-existing",), BOOL, "leave keys alone that are there already"),
            Flag(("replace",), BOOL, "write over keys that are there already"),
            Flag(("prefix",), TEXT, "load below this key instead of the one that was dumped"),
        ),
        _examples(
            "Reads JSON or YAML from the file, or from stdin. All of it is checked before the "
            "first write. A key that is there already is a failure, unless a flag says otherwise; "
            "directories that are there already are kept. TTLs begin anew with what was left.",
            "pyetcdctl load all.json",
            "pyetcdctl load --replace app.yaml",
            "pyetcdctl dump /app | pyetcdctl load --prefix /copy",
        ),
        is_new=True,
    ),
    Command(
        "lock",
        "run a command while holding a lock",
        "locks:lock",
        "<key> -- <command> [args...]",
        (_TTL, Flag(("wait",), DURATION, "give up after this time", default=-1.0)),
        _examples(
            "Waits its turn in the queue below <key>, runs the command, and ends with its exit "
            "code (128 + N if signal N ended it, 127 if there is no such command). Signals are "
            "passed on; Ctrl-Z does not stop it. If the lock is lost, the command is ended and the "
            "exit code is 4; it is 4, too, if --wait runs out. The command has to stand behind --: "
            "in front of it there are flags and the key, and nothing there is ever run.",
            "pyetcdctl lock /locks/backup -- tar -cf /backup/data.tar /data",
            "pyetcdctl lock --wait 0s /locks/cron -- run-once",
        ),
        is_new=True,
        is_wrapper=True,
    ),
    Command(
        "elect",
        "become the leader of an election and stay it",
        "locks:elect",
        "<name> <value>",
        (_TTL,),
        _examples(
            "Waits its turn in the queue below the key <name>, prints its key and <value> when it "
            "leads, and leads until Ctrl-C or SIGTERM. Whoever has the lowest key there leads. "
            "If the lead is lost, the exit code is 4.",
            "pyetcdctl elect /election/web $(hostname)",
            "pyetcdctl ls --sort /election/web | head -1",
        ),
        is_new=True,
    ),
    Command(
        "lease",
        "keep keys alive",
        group=(
            Command(
                "keep",
                "refresh the TTL of a key until Ctrl-C",
                "locks:keep",
                "<key> <ttl>",
                description=_examples(
                    "Refreshes without waking watchers and without touching the value. <ttl> is in "
                    "seconds. Ends with exit code 4 when the key is gone, or was not refreshed in "
                    "time. A key or directory without a TTL is refused: it would run out "
                    "afterwards.",
                    "pyetcdctl set --ttl 10 /services/web/1 10.0.0.1:80",
                    "pyetcdctl lease keep /services/web/1 10",
                ),
                is_new=True,
            ),
        ),
        is_new=True,
    ),
    Command(
        "mirror",
        "copy keys to another cluster and keep the copy up to date",
        "mirroring:mirror",
        "<from> <to>",
        (
            Flag(("prefix",), TEXT, "only this key and what is below it", default="/", shown='"/"'),
            Flag(("delete",), BOOL, "remove what only the copy has"),
            Flag(("once",), BOOL, "end when the copy is made"),
            Flag(("quiet", "q"), BOOL, "do not print each change"),
        ),
        _examples(
            "Both are endpoints, or lists of them with commas. First everything that differs is "
            "written, then each change as it comes, without gaps. Begun again, it goes on: only "
            "what differs is written. Keys of the copy have no TTL: they go when the originals go. "
            "If the copy has keys that the original has not, nothing is done without --delete.",
            "pyetcdctl mirror http://10.0.0.1:2379 http://10.1.0.1:2379",
            "pyetcdctl mirror --prefix /app --once 10.0.0.1:2379 10.1.0.1:2379",
        ),
        is_new=True,
    ),
)

_REPLACE: Final = Command(
    "replace",
    "replace a member that is broken, by its name or ID",
    "replacing:replace",
    "<name|ID> [peerURL]",
    description=_examples(
        "Asks every member how it is, removes the member, adds one of its name in its place (at "
        "its own peer URLs, or at another one), and prints how to start it. It refuses if the "
        "others could not keep the quorum until the new member runs.",
        "pyetcdctl member replace infra2",
        "pyetcdctl member replace 8211f1d0f64f3269 http://10.0.0.9:2380",
    ),
    is_new=True,
)

_MEMBER: Final = next(command for command in COMMANDS if command.name == "member")


def beside(commands: tuple[Command, ...]) -> tuple[Command, ...]:
    """The new commands in the place where these are."""
    if commands is COMMANDS:
        return MORE
    return (_REPLACE,) if commands is _MEMBER.group else ()


def whole(command: Command) -> Command:
    """A command with all its flags and subcommands, old and new."""
    return command._replace(
        flags=command.flags + command.more_flags,
        group=command.group + beside(command.group) if command.group else (),
    )


def help_all() -> str:
    """The program's help text, and the rest."""
    rows = [(command.name, command.about) for command in MORE]
    rows.append((f"member {_REPLACE.name}", _REPLACE.about))
    new_flags = [
        (f"{command.name} {names}", about)
        for command in COMMANDS
        for names, about in map(helping.flag_row, command.more_flags)
    ]
    formats = [
        ("-o yaml, -o table", "for keys, `ls`, `member list` and `cluster-health`"),
        ("--endpoints ...", "and all other global options are for the new commands, too"),
    ]
    return (
        f"{helping.app()}\nMORE COMMANDS:\n{helping.columns(rows)}"
        f"\nMORE OPTIONS:\n{helping.columns([*new_flags, *formats])}"
        "\n   `pyetcdctl help <command>` explains one, with examples;\n"
        "   `pyetcdctl help <command> --all` explains an old one with its new options.\n"
    )


def help_about(command: Command, words: list[str], *, is_all: bool) -> str:
    """What `help command words` (`--all`) says if it says more than etcdctl; else ""."""
    path = called(command)
    if is_all and not words:
        every = whole(command)
        return helping.group(path, every) if every.group else helping.command(path, every)
    for each in whole(command).group:
        if words and each.name == words[0] and each.is_new:
            return helping.command(called(command, each), each)
    if command.is_new and command.group:
        return helping.group(path, command)
    return ""
