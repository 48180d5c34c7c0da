"""Streams as parents leave them: non-blocking, unbuffered, with an end."""

import array
import fcntl
import json
import os
import subprocess
import termios
from pathlib import Path

import pytest

from pyetcdctl import Client
from tests.clients.waiting import until
from tests.pyetcdctl.running import END_S, PROGRAM, environment

DUMP = {"pyetcdctl-dump": 1, "key": "/h", "nodes": [{"key": "/h/streams", "value": "1"}]}


def waiting_bytes(pipe: int) -> int:
    """How many bytes are in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


@pytest.mark.parametrize(
    ("words", "text", "user"),
    [
        (["set", "KEY"], "first-second", ""),
        (["mk", "KEY-mk"], "first-second", ""),
        (["load", "--replace"], json.dumps(DUMP), ""),
        (["set", "KEY", "first-second"], "pass\n", "root"),
    ],
)
def test_a_stdin_that_does_not_block(
    client: Client, url: str, place: str, words: list[str], text: str, user: str
) -> None:
    """Goal: all of it is read, whenever it comes. Method: a pipe whose second half comes when the
    first one was read.
    """
    words = [word.replace("KEY", f"{place}/{len(words)}") for word in words]
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with subprocess.Popen(
        [*PROGRAM, *words],
        env=environment(url, ETCDCTL_USERNAME=user),
        stdin=ours,
        stderr=subprocess.PIPE,
    ) as process:
        for half in (text[:5], text[5:]) if not user else (text[:2], text[2:]):
            os.write(theirs, half.encode())
            until(lambda: waiting_bytes(ours) == 0, "it is read")
        os.close(theirs)
        os.close(ours)
        _out, err = process.communicate(timeout=END_S)
    assert process.returncode == 0, err
    key = "/h/streams" if words[0] == "load" else words[1]
    assert client.get(key).node.value == ("1" if words[0] == "load" else "first-second")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stdout_that_does_not_block(
    client: Client, url: str, place: str, unbuffered: str
) -> None:
    """Goal: all of a long value is printed, however slowly it is read. Method: a pipe that is
    emptied when it is full.
    """
    value = "0123456789" * 30_000
    client.set(place, value)
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    full = fcntl.fcntl(theirs, fcntl.F_GETPIPE_SZ)
    more = {"PYTHONUNBUFFERED": unbuffered} if unbuffered else {}
    with subprocess.Popen(
        [*PROGRAM, "get", place],
        env=environment(url, **more),
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        until(lambda: waiting_bytes(ours) == full, "it is full")
        with os.fdopen(ours, "rb") as pipe:
            printed = pipe.read()
        _out, err = process.communicate(timeout=END_S)
    assert (process.returncode, err) == (0, b"")
    assert printed.decode() == f"{value}\n"


@pytest.mark.parametrize("words", [["get", "KEY"], ["dump", "KEY", "--file", "/dev/fd/1"]])
def test_an_unbuffered_stdout_that_ends(
    client: Client, url: str, place: str, words: list[str], tmp_path: Path
) -> None:
    """Goal: what could be printed in part only is told. Method: a limit for files, which the first
    bytes still fit under.
    """
    client.set(place, "v" * 100_000)
    words = [word.replace("KEY", place) for word in words]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 8; exec "$@" > "$0"', tmp_path / "out", *PROGRAM, *words],
        env=environment(url, PYTHONUNBUFFERED="1"),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("file too large\n")
    assert (tmp_path / "out").stat().st_size == 8 << 10
