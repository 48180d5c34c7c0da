"""What goes wrong with TLS: both clients say it alike, and as etcdctl does."""

from __future__ import annotations

import contextlib
import json
import re
import socketserver
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from pyetcdctl import TLS, Client, ClusterUnavailable
from tests.clients.etcdctl import find_etcdctl
from tests.oracle.process import RealEtcd, free_port
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.running import END_S, PROGRAM, environment, run
from tests.pyetcdctl.serving import serving
from tests.pyetcdctl.test_both_clients import awaited, heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "127.0.0.1"
NOW = datetime.now(UTC).replace(microsecond=0)
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


@contextlib.contextmanager
def blunt() -> Iterator[str]:
    """A server that speaks HTTP to whatever comes; its address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 16)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(socketserver.ThreadingTCPServer((HOST, 0), Handler)) as address:
        yield address


def test_https_where_another_tongue_is_spoken() -> None:
    """Goal: an answer that is no TLS is told as by etcdctl, of a question and of a member's health.
    Method: a server that speaks HTTP to whatever comes.
    """
    with blunt() as address:
        url = f"https://{address}"
        code, theirs = said_by_etcdctl(url)
        assert (code, theirs) == (4, said_by_both(url, TLS()))
        listed = json.dumps({"members": [{"id": "1", "name": "a", "clientURLs": [url]}]})
        with answering(lambda _target, _headers: Reply(listed.encode())) as members:
            words = ("--endpoints", members, "cluster-health")
            outcomes = [
                subprocess.run(
                    [*program, *words], env=environment("", ETCDCTL_API="2"), capture_output=True
                ).stdout
                for program in (PROGRAM, (find_etcdctl(),))
            ]
        assert outcomes[0] == outcomes[1]


def test_a_certificate_for_clients_alone(tmp_path: Path) -> None:
    """Goal: a certificate for another use is named as etcdctl does. Method: one for clients."""
    script = """
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -days 2 -keyout ca.key -out ca.crt
    openssl req -newkey rsa:2048 -nodes -subj /CN=us -keyout us.key -out us.csr
    printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=clientAuth\\n' > us.ext
    openssl x509 -req -in us.csr -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial -extfile us.ext \
        -out us.crt
    """
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "us.crt", tmp_path / "us.key")
    authority = str(tmp_path / "ca.crt")
    with answering(lambda _path, _headers: Reply(b"{}"), context) as url:
        code, theirs = said_by_etcdctl(url, "--ca-file", authority)
        assert (code, theirs) == (4, said_by_both(url, TLS(authority)))


def without_names(directory: Path, authority: trustme.CA, common_name: str) -> trustme.LeafCert:
    """A certificate whose only name is its common name, as old ones are."""
    authority.private_key_pem.write_to_path(directory / "ca.key")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    script = f"""
    openssl req -newkey rsa:2048 -nodes -subj /CN={common_name} -keyout old.key -out old.csr
    openssl x509 -req -in old.csr -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -out old.pem
    """
    subprocess.run(["sh", "-ec", script], cwd=directory, check=True, capture_output=True)
    key, cert = (directory / name for name in ("old.key", "old.pem"))
    return trustme.LeafCert(key.read_bytes(), cert.read_bytes(), [])


ISSUED = {
    "another name": (["foo.example", "*.bar.example"], {}),
    "another address": (["127.0.0.2", "::1"], {}),
    "a name and an address": (["foo.example", "127.0.0.2"], {}),
    "expired": (["localhost", HOST], {"not_after": NOW - timedelta(days=1)}),
    "not yet valid": (["localhost", HOST], {"not_before": NOW + timedelta(days=1)}),
    "expired, of another name": (["foo.example"], {"not_after": NOW - timedelta(days=1)}),
    "a common name": ("localhost", {}),
    "a common address": (HOST, {}),
}


@pytest.mark.parametrize("host", ["localhost", HOST])
@pytest.mark.parametrize("what", ISSUED)
def test_a_certificate_that_is_refused(tmp_path: Path, what: str, host: str) -> None:
    """Goal: what is wrong with a server's certificate is named as etcdctl does: for whom it is, and
    since when it is not valid. Method: certificates of a known authority with one fault, or two.
    """
    names, dates = ISSUED[what]
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    issued = (
        without_names(tmp_path, authority, names)
        if isinstance(names, str)
        else authority.issue_cert(*names, **dates)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    with answering(lambda _path, _headers: Reply(b"{}"), context) as url:
        url = url.replace(HOST, host)
        ca_file = str(tmp_path / "ca.crt")
        ours = [timeless(str(ask(key, url, tls=TLS(ca_file)))) for ask in (heard, awaited)]
        code, theirs = said_by_etcdctl(url, "--ca-file", ca_file)
    assert code == 4
    assert "x509: " in theirs
    for said in ours:
        assert timeless(theirs) in said


def timeless(text: str) -> str:
    """A text without the time it was said at."""
    return re.sub("current time [-0-9T:Z+]+", "current time T", text)


FILES = {
    "a key of another kind": ("us.crt", "rsa.key", "ca.crt"),
    "a key of another certificate": ("us.crt", "other.key", "ca.crt"),
    "the other way round": ("us.key", "us.crt", "ca.crt"),
    "a key twice": ("us.key", "us.key", "ca.crt"),
    "a certificate twice": ("us.crt", "us.crt", "ca.crt"),
    "no key": ("us.crt", "empty", "ca.crt"),
    "no certificate": ("empty", "us.key", "ca.crt"),
    "a request": ("us.csr", "us.key", "ca.crt"),
    "a request for a key": ("us.crt", "us.csr", "ca.crt"),
    "a broken certificate": ("broken.crt", "us.key", "ca.crt"),
    "a broken key": ("us.crt", "broken.key", "ca.crt"),
    "an authority's key": ("", "", "us.key"),
    "a broken authority": ("", "", "broken.crt"),
    "no authority": ("", "", "empty"),
    "two authorities, twice": ("us.crt", "us.key", "bundle.crt"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all of them."""
    directory = tmp_path_factory.mktemp("files")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.crt")
    owned(directory, authority, "us")
    owned(directory, authority, "other")
    script = (
        "openssl genrsa -out rsa.key 2048; openssl req -new -key us.key -subj /CN=us -out us.csr"
    )
    subprocess.run(["sh", "-ec", script], cwd=directory, check=True, capture_output=True)
    for name in ("us.crt", "us.key"):
        first, second, *rest = (directory / name).read_text().splitlines()
        # Still base64, but the first tag is another.
        spoilt = "\n".join([first, f"N{second[1:]}", *rest])
        (directory / name.replace("us", "broken")).write_text(f"{spoilt}\n")
    (directory / "empty").touch()
    pems = [each.cert_pem.bytes() for each in (authority, trustme.CA())]
    (directory / "bundle.crt").write_bytes(b"# two of them\n" + b"".join(pems * 2))
    return directory


@pytest.mark.parametrize("what", FILES)
def test_files_that_are_of_no_use(files: Path, guarded: tuple[str, str, Path], what: str) -> None:
    """Goal: as with etcdctl, the file that is wrong is named, and what is wrong with it. Method:
    both programs with mixed-up files.
    """
    cert, private, authority = FILES[what]
    options = ["--ca-file", str(files / authority)]
    if cert:
        options += ["--cert-file", str(files / cert), "--key-file", str(files / private)]
    theirs = said_by_etcdctl(guarded[0], *options)
    done = run("", "--no-sync", "--endpoints", guarded[0], *options, "get", "/k")
    assert (done.code, done.err.partition("\n")[0].removeprefix("Error:  ")) == theirs


def test_files_that_go_away(files: Path, tmp_path: Path) -> None:
    """Goal: a file that is replaced while a client runs is no end of a watch: it counts as the way
    that failed. Method: the authority's, emptied of good ones and then gone.
    """
    ca_file = tmp_path / "ca.crt"
    ca_file.write_bytes((files / "ca.crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOST).configure_cert(context)
    with (
        answering(lambda _path, _headers: Reply(b"{}"), context) as url,
        Client([url], tls=TLS(str(ca_file))) as client,
    ):
        ca_file.write_bytes((files / "us.key").read_bytes())
        with pytest.raises(ClusterUnavailable, match="x509: malformed tbs certificate"):
            client.get("/k")
        ca_file.unlink()
        with pytest.raises(ClusterUnavailable, match=r"open .*: no such file or directory"):
            client.get("/k")
