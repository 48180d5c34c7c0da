"""`help` takes flags, as every command does."""

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
