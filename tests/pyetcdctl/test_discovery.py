"""Endpoints from a domain's SRV records: what etcdctl does with a name server's answers, we do."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.clients.etcdctl import find_etcdctl
from tests.clients.reachable import reachable
from tests.oracle import RealEtcd
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.names import Zone, as_root, name_server, run_beside
from tests.pyetcdctl.running import PROGRAM, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = as_root

INSECURE = "--insecure-discovery"


def zone(port: int) -> Zone:
    """Domains whose service is at a port of this machine, or not quite."""
    there = [f"0 0 {port} one.ok.test."]
    return {
        ("one.ok.test.", "A"): ["127.0.0.1"],
        ("_etcd-client._tcp.ok.test.", "SRV"): there,
        ("_etcd-client-blue._tcp.named.test.", "SRV"): there,
        ("_etcd-client-ssl._tcp.both.test.", "SRV"): ["0 0 1 one.ok.test."],
        ("_etcd-client._tcp.both.test.", "SRV"): there,
        ("_etcd-client._tcp.alias.test.", "CNAME"): ["_etcd-client._tcp.ok.test."],
        ("_etcd-client._tcp.nowhere.test.", "SRV"): ["0 0 1 ."],
        ("_etcd-client._tcp.gone.test.", "SRV"): [f"0 0 {port} gone.ok.test."],
        ("_etcd-client._tcp.zero.test.", "SRV"): ["0 0 0 one.ok.test."],
        ("_etcd-client._tcp.odd.test.", "SRV"): [f"0 0 {port} a\\032b.ok.test."],
        ("_etcd-client._tcp.empty.test.", "A"): ["127.0.0.1"],
    }


@pytest.fixture(scope="module")
def server() -> Iterator[RealEtcd]:
    """A real etcd."""
    with reachable(RealEtcd) as started:
        yield started


@pytest.fixture(scope="module")
def known(server: RealEtcd) -> Iterator[Zone]:
    """What the name server knows."""
    names = zone(server.client_port)
    with name_server(names):
        yield names


@pytest.fixture
def url(server: RealEtcd, known: Zone) -> str:
    """Where the etcd is that the name server knows."""
    return server.url


def both(directory: Path, *words: str, **more: str) -> tuple[Outcome, Outcome]:
    """What ours and etcdctl make of a command line."""
    ours, theirs = (
        run_beside(directory, program, words, more) for program in (PROGRAM, (find_etcdctl(),))
    )
    return ours, theirs


@pytest.mark.parametrize("more", [[INSECURE], []])
@pytest.mark.parametrize(
    "domain",
    [
        "ok.test",
        "ok.test.",
        "alias.test",
        "nowhere.test",
        "gone.test",
        "zero.test",
        "odd.test",
        "empty.test",
        "none.test",
        "servfail.test",
        "refused.test",
        "a..b",
        "a b",
        "\u00fc.test",
        "a" * 70,
    ],
)
def test_found_as_etcdctl_does(url: str, tmp_path: Path, domain: str, more: list[str]) -> None:
    """Goal: the same endpoints, warnings, errors and exit codes. Method: both programs, with one
    name server, and --debug to see where they go.
    """
    words = ["--debug", "--discovery-srv", domain, *more, "set", "/k", "v"]
    ours, theirs = both(tmp_path, *words, ETCDCTL_ENDPOINTS=url)
    assert ours == theirs


def test_what_is_found_is_used(url: str, tmp_path: Path) -> None:
    """Goal: a domain is enough. Method: no other endpoint is given; a name of the service; both
    kinds of service, of which one is away.
    """
    found = [
        ("ok.test", {}),
        ("named.test", {"ETCDCTL_DISCOVERY_SRV_NAME": "blue"}),
        ("both.test", {}),
    ]
    for domain, more in found:
        words = ["--discovery-srv", domain, INSECURE]
        done = run_beside(tmp_path, PROGRAM, [*words, "set", "/k", domain], more)
        assert done == Outcome(0, f"{domain}\n", "")
        assert run_beside(tmp_path, (find_etcdctl(),), [*words, "get", "/k"], more) == done


@pytest.mark.parametrize(
    ("host", "more", "code"),
    [
        ("tls.test", [], 0),
        ("one.ok.test", [], 4),
        ("one.ok.test", [INSECURE], 0),
        ("tls.test", [INSECURE], 4),
    ],
)
def test_whose_certificate(
    known: Zone, tmp_path: Path, host: str, more: list[str], code: int
) -> None:
    """Goal: what a name server says is not believed: the certificate has to be the domain's.
    Method: certificates of the domain and of the host that is found.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    body = b'{"action":"get","node":{"key":"/k","value":"v"}}'
    with answering(lambda _path, _headers: Reply(body), context) as url:
        port = url.rpartition(":")[2]
        known["_etcd-client-ssl._tcp.tls.test.", "SRV"] = [f"0 0 {port} one.ok.test."]
        ca = ["--ca-file", str(tmp_path / "ca.crt")]
        words = ["--discovery-srv", "tls.test", *more, *ca, "--no-sync", "get", "/k"]
        ours, theirs = both(tmp_path, *words)
    assert ours == theirs
    assert (ours.code, ours.out) == (code, "" if code else "v\n")


@pytest.mark.parametrize(
    "host", ["b\u00fccher.test", "b%c3%bccher.test", "0x7f000001", "none.test", "x.servfail.test"]
)
def test_names_of_endpoints(url: str, tmp_path: Path, host: str) -> None:
    """Goal: the name that is asked for, and what is said of it. Method: both programs."""
    ours, theirs = both(tmp_path, "--endpoints", f"http://{host}:1", "get", "/k")
    assert ours == theirs
