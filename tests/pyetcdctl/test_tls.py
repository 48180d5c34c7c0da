"""What goes wrong with TLS: both clients say it alike, and as etcdctl does."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from pyetcdctl import TLS, ClusterUnavailable
from tests.clients.etcdctl import find_etcdctl
from tests.oracle.process import RealEtcd, free_port
from tests.pyetcdctl.running import END_S, environment
from tests.pyetcdctl.test_both_clients import awaited, heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "127.0.0.1"
UNAVAILABLE = "client: etcd cluster is unavailable or misconfigured; error #0: "


def key(client: Any) -> Any:
    """The question."""
    return client.get("/k")


def said_by_etcdctl(url: str, *options: str) -> tuple[int, str]:
    """Its exit code and the first line it says."""
    done = subprocess.run(
        [find_etcdctl(), "--no-sync", "--endpoints", url, *options, "get", "/k"],
        env=environment("", ETCDCTL_API="2"),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    return done.returncode, done.stderr.partition("\n")[0].removeprefix("Error:  ")


def said_by_both(url: str, tls: TLS) -> str:
    """What both clients say of a server that cannot be asked."""
    one = heard(key, url, tls=tls)
    assert one == awaited(key, url, tls=tls)
    assert isinstance(one, tuple)
    assert one[0] is ClusterUnavailable
    return str(one[1]).rstrip()


def owned(directory: Path, authority: trustme.CA, owner: str) -> tuple[str, str]:
    """A certificate and its key, as files."""
    issued = authority.issue_cert(HOST)
    cert, private = directory / f"{owner}.crt", directory / f"{owner}.key"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(private)
    return str(cert), str(private)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """A real etcd that asks for certificates: its URLs for them and for nobody, and the directory
    where ca.crt is.
    """
    directory = tmp_path_factory.mktemp("guarded")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.crt")
    cert, private = owned(directory, authority, "server")
    server = RealEtcd()
    server.client_port, secure = free_port(), free_port()
    server.args = (
        "--listen-client-urls", f"{server.url},https://{HOST}:{secure}",
        "--cert-file", cert, "--key-file", private,
        "--trusted-ca-file", str(directory / "ca.crt"), "--client-cert-auth",
    )  # fmt: skip
    with server:
        yield f"https://{HOST}:{secure}", server.url, directory


@pytest.mark.parametrize("owner", ["nobody", "stranger"])
def test_a_certificate_is_asked_for(guarded: tuple[str, str, Path], owner: str) -> None:
    """Goal: who has to show a certificate is told so, and not of an operation that is not
    permitted. Method: none, and one of an authority that the server does not know.
    """
    url, _, directory = guarded
    authority, cert = str(directory / "ca.crt"), ("", "")
    if owner == "stranger":
        cert = owned(directory, trustme.CA(), owner)
    said = said_by_both(url, TLS(authority, *cert))
    assert said == f"{UNAVAILABLE}remote error: tls: bad certificate"
    options = ["--cert-file", cert[0], "--key-file", cert[1]] if cert[0] else []
    code, theirs = said_by_etcdctl(url, "--ca-file", authority, *options)
    # Go tells sometimes how it came to hear of it.
    assert (code, theirs.replace("readLoopPeekFailLocked: ", "")) == (4, said)


def test_https_where_http_is_spoken(guarded: tuple[str, str, Path]) -> None:
    """Goal: the other scheme is told alike, with a reason. Method: several times, for the end of
    the connection is seen in more than one way.
    """
    _, url, directory = guarded
    url = url.replace("http:", "https:")
    authority = str(directory / "ca.crt")
    for _ in range(5):
        assert said_by_both(url, TLS(authority)) == f"{UNAVAILABLE}EOF"
    code, theirs = said_by_etcdctl(url, "--ca-file", authority)
    assert code == 4
    assert theirs == f"{UNAVAILABLE}EOF" or theirs.endswith("read: connection reset by peer")
