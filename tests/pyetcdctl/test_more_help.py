"""What is new can be found, and the old help does not know of it."""

import pytest

from pyetcdctl.command import helping
from pyetcdctl.command.more import MORE, beside, whole
from pyetcdctl.command.table import COMMANDS
from tests.pyetcdctl.running import run

NOWHERE = "http://127.0.0.1:1"
NEW = [command.name for command in MORE]


def test_help_all_shows_the_rest() -> None:
    """Goal: everything new is in `help --all`, behind the old text as it is. Method: compare with
    the help text without it, and look for each new command and flag."""
    old, every = run(NOWHERE, "help").out, run(NOWHERE, "help", "--all").out
    assert every.startswith(old)
    for word in (*NEW, "member replace", "ls --tree", "watch --format", "watch --timestamps"):
        assert f"   {word}" in every[len(old) :]
        assert f"   {word}" not in old


@pytest.mark.parametrize("words", [*((name,) for name in NEW), ("member", "replace")])
def test_each_new_command_has_examples(words: tuple[str, ...]) -> None:
    """Goal: its help shows how it is used. Method: EXAMPLES in the help text, asked for both
    ways, and no line that is wider than a terminal of 100."""
    if words == ("lease",):
        words = ("lease", "keep")
    said = run(NOWHERE, "help", *words)
    assert said.code == 0
    assert (
        f"EXAMPLES:\n     pyetcdctl {words[0]}" in said.out
        or "     source <(" in said.out
        or ("     pyetcdctl set --ttl" in said.out)
    )
    assert said.out.startswith(f"NAME:\n   pyetcdctl {' '.join(words)} - ")
    assert f"USAGE:\n   pyetcdctl {' '.join(words)} " in said.out
    assert all(len(line) <= 100 for line in said.out.splitlines())
    assert run(NOWHERE, *words, "--help") == said


def test_new_flags_are_shown_when_asked_for() -> None:
    """Goal: `help ls --all` shows --tree, `help ls` and a usage error do not. Method: look."""
    assert "--tree" in run(NOWHERE, "help", "ls", "--all").out
    assert "--tree" not in run(NOWHERE, "help", "ls").out
    assert "--tree" not in run(NOWHERE, "ls", "--nope").out
    assert "replace" in run(NOWHERE, "help", "member", "--all").out
    assert "replace" not in run(NOWHERE, "member", "--help").out


def test_no_old_name_is_taken() -> None:
    """Goal: what is new is no word that etcdctl has. Method: the tables."""
    assert not {command.name for command in COMMANDS} & set(NEW)
    for command in COMMANDS:
        old = {name for flag in command.flags for name in flag.names}
        assert not old & {name for flag in command.more_flags for name in flag.names}
        if command.group:
            assert not {each.name for each in command.group} & {
                each.name for each in beside(command.group)
            }
        assert helping.command("x", command) != helping.command("x", whole(command)) or not (
            command.more_flags
        )


def test_a_get_imports_nothing_of_it() -> None:
    """Goal: old commands stay quick. Method: the modules a get that fails has loaded."""
    script = (
        "import sys, os\n"
        "from pyetcdctl.command import main\n"
        "try: main.run(['--no-sync', 'get', '/k'])\n"
        "except BaseException: pass\n"
        "print([n for n in ('rich', 'yaml', 'asyncio', 'aiohttp', 'pyetcdctl.command.more',"
        " 'pyetcdctl.locking') if n in sys.modules])\n"
    )
    import subprocess
    import sys

    from tests.pyetcdctl.running import environment

    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(NOWHERE),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "[]\n"
