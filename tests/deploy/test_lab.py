"""The talk's Lab 1 from end to end, and the reader of its unit files."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from string import Template

import pytest

from deploy.lab import room
from deploy.lab.flavours import DEPLOY, FLAVOURS
from deploy.lab.units import Unit, environment_file
from flannel import flags

ROOT = Path(__file__).resolve().parents[2]
LAB_S = 110
END_S = 20.0
PROXY = "http://127.0.0.1:9"
OWN_AFFAIRS = {"http_proxy": PROXY, "ETCDCTL_ENDPOINTS": PROXY, "FLANNELD_PUBLIC_IP": "192.0.2.1"}


as_root = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="hosts need root"
)


def started(tmp_path: Path, stderr: int | None = None) -> subprocess.Popen[str]:
    """A lab that has been started, with its directory in this one."""
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.lab"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )


def until_a_member_runs(lab: subprocess.Popen[str]) -> None:
    """Read what a lab tells up to where it starts the first member."""
    assert lab.stdout is not None
    while "systemctl start etcd" not in lab.stdout.readline():
        assert lab.poll() is None


@as_root
@pytest.mark.parametrize("backend", FLAVOURS)
def test_lab_1(backend: str) -> None:
    """Goal: all that the talk does works, up to the page that a container on one host fetches from
    one on another. Method: the lab itself, whose every step checks what it shows, begun by somebody
    with a proxy and settings of their own; afterwards no interface of it is left.
    """
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
        env=os.environ | OWN_AFFAIRS,
    )
    assert done.returncode == 0, done.stdout
    assert f"All of Lab 1 works on {backend}" in done.stdout
    after = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert after.count("\n") == before.count("\n")


CLOSED = """
import socket
from deploy.lab import room
from deploy.lab.hosts import Switch
room.settle()
switch = Switch()
for _ in range(3):
    switch.add()
switch.close()
assert [name for _, name in socket.if_nameindex()] == ["lo"]
"""


@as_root
def test_hosts_can_be_made_again_at_once() -> None:
    """Goal: `--backend all` does not fail by chance. Method: the interfaces after three hosts."""
    done = subprocess.run(
        [*room.UNSHARE, sys.executable, "-c", CLOSED],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LAB_S,
        check=False,
        env=os.environ | {room.MARK: "1"},
    )
    assert done.stderr == ""
    assert done.returncode == 0


@as_root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_lab_that_is_told_to_end(number: signal.Signals, tmp_path: Path) -> None:
    """Goal: nothing of it is left, whatever tells it, and how often. Method: signals to the process
    that was started, while a member runs; its output ends, and no file is there.
    """
    with started(tmp_path, stderr=subprocess.STDOUT) as lab:
        until_a_member_runs(lab)
        lab.send_signal(number)
        lab.send_signal(number)
        out, _ = lab.communicate(timeout=END_S)
    assert lab.returncode == 128 + number
    assert "Traceback" not in out
    assert not [*tmp_path.iterdir()]


@as_root
def test_a_lab_whose_starter_is_killed(tmp_path: Path) -> None:
    """Goal: it ends with who started it. Method: SIGKILL; its output ends, before its next step."""
    with started(tmp_path) as lab:
        until_a_member_runs(lab)
        lab.kill()
        out, _ = lab.communicate(timeout=END_S)
    assert "==" not in out, "there was a next step"


@as_root
def test_a_lab_that_nobody_reads(tmp_path: Path) -> None:
    """Goal: it ends as with a closed terminal. Method: its output is closed after a line."""
    with started(tmp_path, stderr=subprocess.PIPE) as lab:
        assert lab.stdout is not None
        assert lab.stderr is not None
        lab.stdout.readline()
        lab.stdout.close()
        said = lab.stderr.read()
    assert said == ""
    assert lab.returncode == 128 + signal.SIGHUP
    assert not [*tmp_path.iterdir()]


def test_settings_of_older_packages_reach_flanneld() -> None:
    """Goal: /etc/sysconfig/flanneld works with the old names and the new. Method: the unit's
    command line, and the flags it and the file's variables make.
    """
    flavour = FLAVOURS["vxlan"]
    _, *arguments = shlex.split(Unit(flavour.unit).one("ExecStart"))
    newer = environment_file(flavour.sample.read_text())
    older = {
        "FLANNEL_ETCD": newer["FLANNEL_ETCD_ENDPOINTS"],
        "FLANNEL_ETCD_KEY": newer["FLANNEL_ETCD_PREFIX"],
        "FLANNEL_OPTIONS": newer["FLANNEL_OPTIONS"],
    }
    for variables in (newer, older):
        words = [Template(word).substitute(defaultdict(str, variables)) for word in arguments]
        options = flags.load(words, variables)
        assert options.endpoints == ("http://127.0.0.1:2379",)
        assert options.etcd_prefix == "/atomic.io/network"
        assert options.iface == ("eth1",)
        assert options.ip_masq


def test_todays_dockerd_gets_the_options() -> None:
    """Goal: a dockerd whose unit knows no DOCKER_NETWORK_OPTIONS is started with flannel's. Method:
    the drop-in's settings: the unit's command line is taken back, and another one given, in which
    systemd makes words of the variable.
    """
    unit = Unit(DEPLOY / "systemd" / "docker-ce" / "flannel.conf")
    taken_back, line = unit.all("ExecStart")
    assert taken_back == ""
    assert line.split()[0] == "/usr/bin/dockerd"
    assert "fd://" in line.split()
    assert line.endswith(" $DOCKER_NETWORK_OPTIONS")
    assert unit.all("EnvironmentFile") == ["/run/flannel/docker"]


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
