"""Goal: the daemon works with a store that asks who is there. Method: the real program (alloc on
the loopback interface, so without root) on a real etcd with TLS and client certificates, and on one
with users."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.waiting import until
from tests.flannel.stores import Operator
from tests.oracle.process import ROOT, RealEtcd, free_port
from tests.oracle.wire import Request

DEADLINE_S = 60.0
USERS = [
    ("PUT", "/v2/auth/users/root", {"user": "root", "password": "secret"}),
    ("PUT", "/v2/auth/enable", None),
    ("DELETE", "/v2/auth/roles/guest", None),
]


@contextmanager
def daemon(directory: Path, operator: Operator, *arguments: str) -> Iterator[Path]:
    """A running daemon; gives its log. Its subnet file is beside the log."""
    log = directory / "log"
    line = [
        sys.executable, "-m", "flannel", "-iface-regex=.", "-iptables-forward-rules=false",
        f"-etcd-prefix={operator.prefix}", f"-subnet-file={directory / 'subnet.env'}", *arguments,
    ]  # fmt: skip
    with open(log, "wb") as file, subprocess.Popen(line, cwd=ROOT, stderr=file) as process:
        try:
            yield log
        finally:
            process.terminate()


def leased(directory: Path) -> None:
    """Wait until it has a subnet."""
    log = directory / "log"
    done = (directory / "subnet.env").exists
    until(done, f"a lease; the log:\n{log.read_text()}", deadline_s=DEADLINE_S)


def certificates(directory: Path) -> None:
    """An authority and one certificate for both sides."""
    script = """
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj /CN=us -keyout us.key -out us.csr
    printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' > us.ext
    openssl x509 -req -in us.csr -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile us.ext \
        -out us.pem
    """
    line = ["sh", "-ec", script]
    subprocess.run(line, cwd=directory, check=True, capture_output=True)


def test_certificates(tmp_path: Path) -> None:
    """The authority and our own; without ours the store does not talk to us."""
    certificates(tmp_path)
    server = RealEtcd()
    server.client_port, secure = free_port(), free_port()
    server.args = (
        "--listen-client-urls", f"{server.url},https://127.0.0.1:{secure}",
        "--cert-file", str(tmp_path / "us.pem"), "--key-file", str(tmp_path / "us.key"),
        "--trusted-ca-file", str(tmp_path / "ca.pem"), "--client-cert-auth",
    )  # fmt: skip
    with server:
        operator = Operator.at(server)
        operator.configure(Network="10.5.0.0/16", Backend={"Type": "alloc"})
        place = (f"-etcd-endpoints=https://127.0.0.1:{secure}", f"-etcd-cafile={tmp_path}/ca.pem")
        with daemon(tmp_path, operator, *place) as log:
            complaint = "Couldn't fetch network config: client: etcd cluster is unavailable"
            until(lambda: complaint in log.read_text(), complaint, deadline_s=DEADLINE_S)
        ours = (f"-etcd-certfile={tmp_path}/us.pem", f"-etcd-keyfile={tmp_path}/us.key")
        with daemon(tmp_path, operator, *place, *ours):
            leased(tmp_path)


@pytest.fixture
def guarded() -> Iterator[tuple[RealEtcd, Operator]]:
    """A store that only root may use."""
    with RealEtcd() as server:
        operator = Operator.at(server)
        operator.configure(Network="10.5.0.0/16", Backend={"Type": "alloc"})
        root = ("Authorization", "Basic " + base64.b64encode(b"root:secret").decode())
        json_body = ("Content-Type", "application/json")
        for method, target, content in USERS:
            body = json.dumps(content).encode() if content else b""
            with server.connect() as connection:
                answer = connection.ask(Request(method, target.encode(), (root, json_body), body))
            assert answer.status in (200, 201), answer
        yield server, operator


def test_users(tmp_path: Path, guarded: tuple[RealEtcd, Operator]) -> None:
    """A refusal is said and waited out; with name and password it works."""
    server, operator = guarded
    place = f"-etcd-endpoints={server.url}"
    with daemon(tmp_path, operator, place) as log:
        complaint = "110: The request requires user authentication (Insufficient credentials)"
        until(lambda: complaint in log.read_text(), complaint, deadline_s=DEADLINE_S)
    with daemon(tmp_path, operator, place, "-etcd-username=root", "-etcd-password=secret"):
        leased(tmp_path)
