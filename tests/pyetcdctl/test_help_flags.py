"""Flags as etcdctl takes them: `help` does, as every command, and of two names of one only one."""

import subprocess

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.pyetcdctl.running import END_S, PROGRAM, environment


def said(program: tuple[str, ...], line: str) -> tuple[int, str, str]:
    """What a command line says, under one name."""
    done = subprocess.run(
        [*program, *line.split()],
        env=environment("", ETCDCTL_API="2"),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    return done.returncode, done.stdout.replace("pyetcdctl", "etcdctl"), done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "help --help",
        "h -h x",
        "help --nope",
        "help get --help",
        "help get --nope",
        "help --help=false",
        "help --help=maybe",
        "help -- ls",
        "help -",
        "member help --help",
        "member help --nope",
        "member help add --nope",
        "member help add -h",
        "member help -- add",
    ],
)
def test_as_etcdctl(line: str) -> None:
    """Goal: the same words and exit code. Method: both command lines, side by side."""
    assert said(PROGRAM, line) == said((find_etcdctl(),), line)


@pytest.mark.parametrize(
    "line",
    [
        "rm -r --recursive /x",
        "ls --recursive -r=false /",
        "watch -r --recursive -f --forever /x",
        "cluster-health -f=false --forever=false",
        "role grant --rw --readwrite --path /x r",
        "rm -r --recursive --nope /x",
        "-o json --output json ls",
        "-h --help -o json --output json",
        "-v --version -h --help",
        "-h --help --nope",
        "role -h --help",
        "role -h --help --nope",
        "role -h --help=maybe",
        "help -h --help",
        "-v -v",
    ],
)
def test_two_names_of_one_flag(line: str) -> None:
    """Goal: nothing is executed whose flags say a thing twice. Method: as above, at an endpoint
    where nobody listens.
    """
    line = f"--endpoints http://127.0.0.1:1 {line}"
    assert said(PROGRAM, line) == said((find_etcdctl(),), line)
