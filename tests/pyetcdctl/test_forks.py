"""A client, a lock or a lease on both sides of a fork: each process has its own connections."""

from __future__ import annotations

import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.running import END_S, environment

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["pool", "plain", "wait", "lock", "lease", "loops", "handshake", "tunnel", "block"]


def ends_well(name: str, url: str, **more: str) -> None:
    """The program of that name does."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.pyetcdctl.forks", name, url],
        env=environment("", **more),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_child_has_its_own(url: str, name: str) -> None:
    """Goal: nobody gets another process's answers, ends its connections, or holds or gives back
    what is another's. Method: the programs of `forks`, which say each what they look at.
    """
    ends_well(name, url)


def test_a_child_says_nothing_on_its_parents_tls(tmp_path: Path) -> None:
    """Goal: the parent's connection is not ended by TLS either. Method: as above, over TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    body = b'{"action":"get","node":{"dir":true}}'
    with answering(lambda _target, _headers: Reply(body), context) as url:
        ends_well("tls", url, CA_FILE=str(tmp_path / "ca.crt"))
