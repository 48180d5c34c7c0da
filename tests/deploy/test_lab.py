"""The talk's Lab 1 from end to end, and the reader of its unit files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.lab.flavours import DEPLOY, FLAVOURS
from deploy.lab.units import Unit, command_line, environment_file

ROOT = Path(__file__).resolve().parents[2]
LAB_S = 110


@pytest.mark.parametrize("backend", FLAVOURS)
def test_lab_1(backend: str) -> None:
    """Goal: all that the talk does works, up to the page that a container on one host fetches from
    one on another. Method: the lab itself, whose every step checks what it shows; afterwards no
    interface of it is left.
    """
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("hosts need root")
    before = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(
        [sys.executable, "-m", "deploy.lab", "--backend", backend],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LAB_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"All of Lab 1 works on {backend}" in done.stdout
    after = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert after.count("\n") == before.count("\n")


def test_command_lines_are_read_as_systemd_does() -> None:
    """Goal: options of a sysconfig file reach the program. Method: flanneld's unit and file."""
    flavour = FLAVOURS["vxlan"]
    variables = environment_file(flavour.sample.read_text())
    assert command_line(Unit(flavour.unit).one("ExecStart"), variables) == [
        "/usr/local/bin/pyflanneld",
        "-etcd-endpoints=http://127.0.0.1:2379",
        "-etcd-prefix=/atomic.io/network",
        "--ip-masq=true",
        "--iface=eth1",
    ]


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.service")), ids=lambda path: path.stem)
def test_units_start_programs_that_exist(path: Path) -> None:
    """Goal: no unit names a program that is not installed. Method: the entry points beside this
    Python.
    """
    unit = Unit(path)
    for line in (*unit.all("ExecStart"), *unit.all("ExecStartPost")):
        program = Path(line.split()[0])
        assert program.parent == Path("/usr/local/bin")
        assert (Path(sys.executable).parent / program.name).exists()
