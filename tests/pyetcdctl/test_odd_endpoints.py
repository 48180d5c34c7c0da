"""Endpoints nobody would write on purpose: what etcdctl makes of them, we do."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.pyetcdctl.running import END_S, PROGRAM, environment

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINTS = [
    "http://a..b:1",
    f"http://{'a' * 70}:1",
    "http://::1:1",
    "http://[::1]:1",
    "http://[::1",
    "http://[::1]x",
    "http://[fe80::1%lo]:1",
    "http://%zz",
    "http://%41:1",
    "unix://",
    "unix:///nobody/x",
    "unix://nobody:1",
    "unixs://nobody:1",
    "http://0:1",
    "http://1.2.3:1",
    "http://127.1:1",
    "http://2130706433:1",
    "http://127.0.0.01:1",
    "http://*:1",
    "http://-:1",
    "http://",
    "https://",
    "http://:1",
    "http://127.0.0.1:",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://127.0.0.1:99999999999",
    "http://127.0.0.1:-1",
    "http://127.0.0.1:1x",
    "http://127.0.0.1:\uff11",
    ",",
    "http://127.0.0.1:1,http://127.0.0.1:1",
    "http://u:p@127.0.0.1:1",
    "http://u@x:p@127.0.0.1:1",
    "http://us er:p@127.0.0.1:1",
    "http://u:p%zz@127.0.0.1:1",
    "http://127.0.0.1:1?x=1",
    "http://127.0.0.1:1#f",
    "http://127.0.0.1:1/a%zz",
    "http://127.0.0.1:1/a b",
    "http://a b:1",
    "http://a<b:1",
    "http:/127.0.0.1:1",
    "http:127.0.0.1:1",
    "//127.0.0.1:1",
    "/127.0.0.1:1",
    "127.0.0.1:1",
    "localhost:1",
    "1http://127.0.0.1:1",
    "HTTP://127.0.0.1:1",
    " http://127.0.0.1:1",
    "http://127.0.0.1:1 ",
    "http://127.0.0.1:1/../..",
    "?",
    "#",
    "%",
    ":",
    "*",
]


def said(program: tuple[str, ...], endpoints: str, directory: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a `get` there."""
    words = ["--endpoints", endpoints, "get", "/a"]
    done = subprocess.run(
        [*program, *words],
        env=environment("", ETCDCTL_API="2"),
        capture_output=True,
        text=True,
        timeout=END_S,
        cwd=directory,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("endpoints", ENDPOINTS)
def test_told_as_etcdctl_does(endpoints: str, tmp_path: Path) -> None:
    """Goal: the same words and the same exit code, and nobody is connected to that etcdctl would
    not connect to. Method: both, side by side; only what needs no name server.
    """
    assert said(PROGRAM, endpoints, tmp_path) == said((find_etcdctl(),), endpoints, tmp_path)


def test_a_unix_socket(tmp_path: Path) -> None:
    """Goal: unix://NAME:PORT is the socket NAME:PORT in the working directory, as etcd makes one.
    Method: a listener that ends each connection; what it was asked by each program.
    """
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(tmp_path, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/etcd:1")
        os.close(here)
        listener.listen()

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        asked.append(connection.recv(1 << 16).split(b"\r\n")[:2])

        threading.Thread(target=answer, daemon=True).start()
        outcomes = [
            said(program, "unix://etcd:1", tmp_path) for program in (PROGRAM, (find_etcdctl(),))
        ]
        listener.shutdown(socket.SHUT_RDWR)
    assert outcomes[0] == outcomes[1]
    half = len(asked) // 2
    assert asked[:half] == asked[half:]
