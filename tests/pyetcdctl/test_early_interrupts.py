"""Ctrl-C while the program is still loading."""

import signal
import subprocess
import sys
import tomllib

import pytest

from tests.oracle.process import ROOT
from tests.pyetcdctl.running import END_S, environment

ENTRY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["pyetcdctl"]
SCRIPT = "from {} import {} as program; program()".format(*ENTRY.split(":"))
MODULE = "runpy.run_module('pyetcdctl', run_name='__main__', alter_sys=True)"
# Notes what is imported, or presses Ctrl-C when something is; imports nothing that Python has not.
PROBE = """
import os, runpy, sys
when, sys.argv = sys.argv[1], ["pyetcdctl", "--version"]
class Probe:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if not when:
            print(name, file=sys.stderr)
        elif name == when:
            os.kill(os.getpid(), 2)
sys.meta_path.insert(0, Probe)
"""


def loaded(way: str, when: str) -> tuple[int, str, str]:
    """How it went: code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE + way, when],
        env=environment(""),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("way", [SCRIPT, MODULE], ids=["script", "module"])
def test_no_traceback(way: str) -> None:
    """Goal: whoever presses Ctrl-C at once sees no traceback: it ends the program as it ends any,
    from the first line of its entry on, and in front of that nothing of weight is loaded. Method:
    press it at each module that is imported behind the entry.
    """
    code, _out, asked = loaded(way, "")
    assert code == 0
    entry = ENTRY.partition(":")[0]
    before, _, behind = asked.partition(f"{entry}\n")
    assert {*before.split()} <= {"pyetcdctl", "pyetcdctl.__main__", "pyetcdctl.command"}
    assert len(behind.split()) > 10
    for name in behind.split():
        assert (name, *loaded(way, name)) == (name, -signal.SIGINT, "", "")


def test_started_to_ignore_it() -> None:
    """Goal: in the background of a script, where a shell has it ignored, Ctrl-C ends nothing.
    Method: so, with one that presses it on itself.
    """
    words = ["env", "--ignore-signal=INT", sys.executable, "-c", PROBE + SCRIPT, "signal"]
    done = subprocess.run(
        words, env=environment(""), capture_output=True, timeout=END_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_library_leaves_signals_alone() -> None:
    """Goal: a program that imports the library keeps its own Ctrl-C. Method: look, with the names
    that the package gives from its modules.
    """
    script = (
        "import signal, pyetcdctl\n"
        "assert all(getattr(pyetcdctl, name) for name in pyetcdctl.__all__)\n"
        "assert pyetcdctl.errors.KeyNotFound is pyetcdctl.KeyNotFound\n"
        "assert not hasattr(pyetcdctl, 'Nothing')\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment(""),
        capture_output=True,
        timeout=END_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
