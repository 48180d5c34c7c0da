"""Completion, in the shells themselves."""

import os
import pty
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyetcdctl import Client
from pyetcdctl.command import completion
from pyetcdctl.command.more import MORE, whole
from pyetcdctl.command.table import COMMANDS, GLOBAL
from tests.pyetcdctl.running import END_S, PROGRAM, environment, run

Complete = Callable[[str], list[str]]


@pytest.fixture
def shells(url: str, tmp_path: Path) -> dict[str, str]:
    """An environment in which `pyetcdctl` is a program."""
    program = tmp_path / "pyetcdctl"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    return environment(url, PATH=f"{tmp_path}:{os.environ['PATH']}", HOME=str(tmp_path))


def in_bash(line: str, env: dict[str, str]) -> list[str]:
    """What bash's own completion machinery gets for a line."""
    script = f"""
        source <(pyetcdctl completion bash)
        compopt() {{ :; }}
        COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=(pyetcdctl)
        [[ $(complete -p pyetcdctl) == "complete -o default -F _pyetcdctl pyetcdctl" ]] || exit 9
        _pyetcdctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return _output(["bash", "--norc", "-c", script], env)


def in_fish(line: str, env: dict[str, str], before: str = "") -> list[str]:
    """What fish says it would offer for a line."""
    quoted = line.replace("\\", "\\\\").replace("'", "\\'")
    script = f"{before}pyetcdctl completion fish | source; complete -C '{quoted}'"
    return [each.partition("\t")[0] for each in _output(["fish", "-c", script], env)]


def _output(command: list[str], env: dict[str, str]) -> list[str]:
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=END_S)
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


CASES = [
    ("pyetcdctl memb", ["member"]),
    ("pyetcdctl cl", ["cluster-health"]),
    ("pyetcdctl du", ["dump"]),
    ("pyetcdctl --no-s", ["--no-sync"]),
    ("pyetcdctl -o ", ["extended", "json", "simple", "table", "yaml"]),
    ("pyetcdctl --timeout 1s member re", ["remove", "replace"]),
    ("pyetcdctl ls --t", ["--tree"]),
    ("pyetcdctl lease k", ["keep"]),
    ("pyetcdctl completion ", ["bash", "fish", "zsh"]),
    ("pyetcdctl get /comp", ["/completed/"]),
    ("pyetcdctl get /completed/", ["/completed/a", "/completed/b/"]),
    ("pyetcdctl rm -r /completed/b", ["/completed/b/"]),
    ("pyetcdctl -o=ya", ["-o=yaml"]),
    ("pyetcdctl --endpoints $ETCDCTL_ENDPOINTS get /comp", ["/completed/"]),
    ("pyetcdctl member replace m", ["m"]),
]
# What bash puts behind the quote that is open, and what fish completes to.
QUOTED = [
    ("pyetcdctl get '/odd/a ", [r"/odd/a b$c\d"]),
    ('pyetcdctl get "/odd/a ', [r"/odd/a b\$c\\d"]),
    (r"pyetcdctl get /odd/a\ ", [r"/odd/a\ b\$c\\d"]),
    ("pyetcdctl get '/odd/it", [r"/odd/it'\''s"]),
    ('pyetcdctl get /odd/"it', ["it's"]),
    ("pyetcdctl get '/odd/c:", ["/odd/c:d"]),
    ('pyetcdctl get "/odd/sp', ["/odd/sp dir/", "/odd/sp dir//"]),
    (r"pyetcdctl get /odd/sp\ dir/", [r"/odd/sp\ dir/x"]),
]


@pytest.fixture
def filled(client: Client) -> None:
    """Some keys."""
    client.set("/completed/a", "v")
    client.set("/completed/b/c", "v")
    for name in (r"a b$c\d", "it's", "c:d", "sp dir/x"):
        client.set(f"/odd/{name}", "v")


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash(shells: dict[str, str], url: str, line: str, expected: list[str]) -> None:
    """Goal: completing works in bash once the script is sourced. Method: bash -c, with what bash
    tells a completion function."""
    if expected == ["m"]:
        expected = [name for name in _names(url) if name.startswith("m")]
    if "=" in line:
        expected = [each.partition("=")[2] for each in expected]  # where bash splits the word
    assert sorted(in_bash(line, shells)) == expected


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("line", "expected"), QUOTED)
def test_bash_quotes(shells: dict[str, str], line: str, expected: list[str]) -> None:
    """Goal: keys are quoted as the word that is typed is, and a directory leaves the quote open.
    Method: as above, with keys that need quoting.
    """
    assert in_bash(line, shells) == expected


@pytest.mark.skipif(
    shutil.which("fish") is None and not os.environ.get("CI"), reason="Debian's package is fish"
)
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("line", "expected"), CASES[:-1])
def test_fish(shells: dict[str, str], line: str, expected: list[str]) -> None:
    """Goal: the same in fish. Method: its `complete -C`."""
    assert sorted(in_fish(line, shells)) == expected


@pytest.mark.skipif(
    shutil.which("fish") is None and not os.environ.get("CI"), reason="Debian's package is fish"
)
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pyetcdctl get '/odd/a ", [r"/odd/a b$c\d"]),
        ('pyetcdctl get "/odd/sp', ["/odd/sp dir/"]),
        (r"pyetcdctl get /odd/sp\ dir/", ["/odd/sp dir/x"]),
        ("pyetcdctl --endpoints $not_exported get /comp", ["/completed/"]),
    ],
)
def test_fish_quotes(shells: dict[str, str], url: str, line: str, expected: list[str]) -> None:
    """Goal: what is quoted, or is a variable, is understood; fish quotes by itself. Method: its
    `complete -C`.
    """
    assert in_fish(line, shells, f"set not_exported {url}; ") == expected


@pytest.mark.skipif(
    shutil.which("zsh") is None and not os.environ.get("CI"), reason="Debian's package is zsh"
)
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("clus\t", "cluster-health"),
        ("get /completed/b\t", "/completed/b/"),
        ("member rep\t", "member replace"),
        ("get /odd/sp\\ dir/\t", "dir/x"),
        ("get '/odd/a \t", r"/odd/a b$c\d'"),
    ],
)
def test_zsh(shells: dict[str, str], typed: str, expected: str) -> None:
    """Goal: the same in zsh. Method: type a line and TAB on its terminal, and wait until what was
    to be completed is shown."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**shells, "PS1": "READY% ", "TERM": "dumb"})
    try:
        os.write(master, b"source <(pyetcdctl completion zsh); print sour''ced\n")
        _read_until(master, "sourced")
        os.write(master, f"pyetcdctl {typed}".encode())
        _read_until(master, expected)
    finally:
        os.close(master)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _read_until(descriptor: int, text: str) -> None:
    import select

    shown, ends = "", time.monotonic() + END_S
    while text not in shown:
        ready = select.select([descriptor], [], [], max(0.0, ends - time.monotonic()))[0]
        assert ready, f"{text!r} is not in {shown!r}"
        shown += os.read(descriptor, 4096).decode("utf-8", "replace")


def _names(url: str) -> list[str]:
    lines = run(url, "member", "list").out.splitlines()
    return [line.split("name=")[1].split()[0] for line in lines]


def test_everything_in_the_tables_is_offered() -> None:
    """Goal: no command and no flag is forgotten, old or new. Method: the tables."""
    offered = {name for name, _ in completion.candidates([""])}
    assert offered == {command.name for command in (*COMMANDS, *MORE)} | {"help"}
    flags = {name for name, _ in completion.candidates(["--"])}
    assert {f"--{flag.name}" for flag in GLOBAL} <= flags
    for command in map(whole, (*COMMANDS, *MORE)):
        for sub in command.group or (command,):
            path = [command.name, sub.name] if command.group else [command.name]
            given = {name for name, _ in completion.candidates([*path, "-"])}
            assert {f"--{f.name}" for f in sub.flags if len(f.name) > 1} <= given, path


def test_help_is_completed() -> None:
    """Goal: --all is offered where it is documented, and the commands of a group. Method: ask."""
    for words in (["help"], ["help", "ls"], ["help", "member", "replace"]):
        assert "--all" in {name for name, _ in completion.candidates([*words, ""])}
    assert completion.candidates(["help", "ls", "--all", ""]) == []
    members = [name for name, _ in completion.candidates(["help", "member", ""])]
    assert members == ["list", "add", "remove", "update", "replace", "--all"]


def test_nobody_there(shells: dict[str, str]) -> None:
    """Goal: a cluster that is away costs no more than its second, and says nothing. Method: an
    endpoint that refuses."""
    line = "pyetcdctl --endpoints http://127.0.0.1:1 get /"
    assert in_bash(line, shells) == []


@pytest.mark.parametrize("words", [["--timeout", "x", "get", "/"], ["--no-such", "x", "get", "/"]])
def test_behind_a_flag_that_is_wrong(words: list[str]) -> None:
    """Goal: nothing to say is said, and no traceback. Method: a value, a name that is wrong."""
    assert completion.candidates(words) == []


def test_an_unknown_shell() -> None:
    """Goal: a sentence. Method: a shell that is none."""
    said = run("http://127.0.0.1:1", "completion", "tcsh")
    assert (said.code, said.out) == (1, "")
    assert said.err == 'the shell is "tcsh", but has to be one of bash, zsh, fish\n'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b", ["a", "b"]),
        ("a b ", ["a", "b", ""]),
        ("a 'b c", ["a", "b c"]),
        ("a b\\ c", ["a", "b c"]),
        ('a "" ', ["a", "", ""]),
        (r"""a "b\"\\\c" '\d""", ["a", r'b"\\c', r"\d"]),
    ],
)
def test_lines_are_split_as_a_shell_does(line: str, words: list[str]) -> None:
    """Goal: half a line is understood. Method: quotes and backslashes, open and closed."""
    assert completion._split(line).words == words
