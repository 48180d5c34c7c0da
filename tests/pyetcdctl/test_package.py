"""The package's names, which are imported when they are used."""

import subprocess
import sys
from types import ModuleType

import pytest

import pyetcdctl


@pytest.mark.parametrize("name", pyetcdctl.__all__)
def test_every_name_is_there(name: str) -> None:
    """Goal: what is listed can be had, and is seen by `dir`. Method: all of it."""
    assert getattr(pyetcdctl, name) is not None
    assert name in dir(pyetcdctl)


def test_modules_are_there_whatever_was_used_before() -> None:
    """Goal: `pyetcdctl.errors` needs no import of its own. Method: a fresh program."""
    program = "import pyetcdctl; print(pyetcdctl.errors.KeyNotFound, pyetcdctl.answers.Node)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert isinstance(pyetcdctl.watching, ModuleType)


def test_what_is_not_there() -> None:
    """Goal: a misspelt name is told as in any module. Method: one."""
    with pytest.raises(AttributeError, match="module 'pyetcdctl' has no attribute 'Clinet'"):
        getattr(pyetcdctl, "Clinet")  # noqa: B009
