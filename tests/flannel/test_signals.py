"""Goal: a signal ends the daemon at once, whatever it waits for, and a bad file does not hold it.

Method: the real program with a resolver that answers after a minute; a pipe in the file's place.
"""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.clients.waiting import until
from tests.oracle.process import ROOT

SLOW = """
import socket, sys, time
def slow(*arguments, **named):
    print("asked", arguments[0], file=sys.stderr, flush=True)
    time.sleep(60)
socket.getaddrinfo = slow
from flannel import main
main.main()
"""
AT_ONCE_S = 2.0
"""A second by contract, and one for a busy machine."""
DEADLINE_S = 20.0
STORE = "-etcd-endpoints=http://store.example:2379"


def start(
    tmp_path: Path, *arguments: str, program: str = SLOW
) -> tuple[subprocess.Popen[bytes], Path]:
    """The program, and its log."""
    log = tmp_path / "log"
    line = [sys.executable, "-c", program, "-iface-regex=.", STORE, *arguments]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            line, stderr=file, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
    return process, log


@pytest.mark.parametrize(
    ("arguments", "name"),
    [([], "store.example"), (["-healthz-ip=nonsense.", "-healthz-port=38099"], "nonsense.")],
    ids=["the store", "healthz"],
)
def test_a_name_that_is_being_looked_up(tmp_path: Path, arguments: list[str], name: str) -> None:
    """The resolver is not waited for."""
    process, log = start(tmp_path, *arguments)
    try:
        until(lambda: f"asked {name}" in log.read_text(), "the resolver is asked",
              deadline_s=DEADLINE_S)  # fmt: skip
        told_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
        assert time.monotonic() - told_s < AT_ONCE_S
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


def test_a_pipe_in_the_subnet_files_place(tmp_path: Path) -> None:
    """A sentence and exit 1."""
    pipe = tmp_path / "subnet.env"
    os.mkfifo(pipe)
    process, log = start(tmp_path, f"-subnet-file={pipe}")
    try:
        assert process.wait(DEADLINE_S) == 1
    finally:
        process.kill()
        process.wait()
    assert f"-subnet-file must be a file, and {pipe} is a pipe" in log.read_text()


DEAF = """
import asyncio, sys
from flannel import entry, main
async def serve(options, environ):
    while True:
        try:
            print("asked", file=sys.stderr, flush=True)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
main.serve = serve
entry.pyflanneld()
"""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_kills(tmp_path: Path, second: signal.Signals) -> None:
    """A daemon that does not come to its end, for whatever reason."""
    process, log = start(tmp_path, program=DEAF)
    try:
        until(lambda: log.read_text().count("asked") == 1, "it runs", deadline_s=DEADLINE_S)
        process.send_signal(signal.SIGINT)
        until(lambda: log.read_text().count("asked") == 2, "it was told", deadline_s=DEADLINE_S)
        process.send_signal(second)
        assert process.wait(DEADLINE_S) == -second
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("program", "late"), [("pyflanneld", "aiohttp"), ("pyflannel-docker-opts", "getopt")]
)
def test_a_signal_while_it_loads(tmp_path: Path, program: str, late: str) -> None:
    """A module that comes late in loading interrupts it."""
    (tmp_path / f"{late}.py").write_text("import os; os.kill(os.getpid(), 2)")
    # As the installed command does.
    line = [sys.executable, "-c", _installed(program)]
    environ = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(line, env=environ, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == -signal.SIGINT


def _installed(program: str) -> str:
    """What an entry point runs."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts[program].partition(":")
    return f"from {module} import {function}; {function}()"
