"""The talk's session, on its three hosts and with its configuration."""

import os
import re
import subprocess
import sys

import pytest

from tests.oracle.process import ROOT

SESSION_S = 100.0
MEMBERS = (
    (
        "25d6ce33763c5524: name=atomic-02 peerURLs=http://172.17.8.102:2380 "
        "clientURLs=http://172.17.8.102:2379 isLeader="
    ),
    (
        "6ae27f9fa2984b1d: name=atomic-01 peerURLs=http://172.17.8.101:2380 "
        "clientURLs=http://172.17.8.101:2379 isLeader="
    ),
    (
        "ff32f4b39b9c47bd: name=atomic-03 peerURLs=http://172.17.8.103:2380 "
        "clientURLs=http://172.17.8.103:2379 isLeader="
    ),
)


@pytest.mark.parametrize(
    ("kind", "client"), [("etcd", "etcdctl"), ("pyetcd", "etcdctl"), ("pyetcd", "pyetcdctl")]
)
def test_the_talks_session(kind: str, client: str) -> None:
    """Goal: what the talk shows is what a user gets: the first host waits for the second, the three
    lines with the talk's ids, a value set on one host is read and watched on another. Method:
    three hosts given only the talk's variables, and the real etcdctl; a real etcd first, and our
    own client last."""
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("hosts need root")
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.talk", "--kind", kind, "--client", client],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SESSION_S,
    )
    told = done.stdout
    assert done.returncode == 0, told
    assert "[atomic-01] ready alone: False" in told
    lines = _after(told, "etcdctl member list")[:3]
    assert [line.rpartition("=")[0] + "=" for line in lines] == list(MEMBERS)
    assert sorted(line.rpartition("=")[2] for line in lines) == ["false", "false", "true"]
    assert _after(told, "etcdctl cluster-health")[3] == "cluster is healthy"
    assert _after(told, "etcdctl get /test/value")[0] == '{"test": "value0"}'
    assert '[atomic-03] the watch prints: {"test": "value1"}' in told
    assert '"Network": "172.24.0.0/16"' in _after(told, "etcdctl get /atomic.io/network/config")[0]
    assert "cURL Command: curl -X GET http://127.0.0.1:2379/v2/members" in told


def _after(told: str, command: str) -> list[str]:
    """The lines printed after a command was typed."""
    found = re.search(rf"^\[[-a-z0-9]+\]# {re.escape(command)}$", told, re.MULTILINE)
    assert found is not None, told
    return told[found.end() :].splitlines()[1:]
