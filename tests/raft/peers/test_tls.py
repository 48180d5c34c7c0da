"""The same connections inside TLS: a context on each side is all it takes."""

import asyncio
import random
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from raft.batch import Peer
from raft.peers import Mesh
from raft.records import Identity
from tests.raft.peers.loops import on_both_loops
from tests.raft.peers.station import CLUSTER, TIMING, Ear, note, until

_OPENSSL = shutil.which("openssl")


def certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context, around one self-signed certificate."""
    key, cert = directory / "key", directory / "cert"
    command = (
        f"{_OPENSSL} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        f" -subj /CN=member -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))


@pytest.mark.skipif(_OPENSSL is None, reason="needs the openssl command to make a certificate")
@on_both_loops
async def test_members_talk_inside_tls(tmp_path: Path) -> None:
    """Goal: https members connect, exchange messages, and what is queued goes out at the end.
    Method: two meshes, one behind a TLS server, the other with a client's context."""
    server_context, client_context = certificate(tmp_path)
    ears = {1: Ear(), 2: Ear()}
    meshes = {
        member: Mesh(
            Identity(CLUSTER, member),
            incarnation=random.getrandbits(63) | 1,
            timing=TIMING,
            is_removed=lambda _member: False,
            birth_of=lambda _member: 0,
            context=client_context,
        )
        for member in ears
    }
    listener = socket.create_server(("127.0.0.1", 0))
    server = await asyncio.get_running_loop().create_server(
        meshes[2].protocol, sock=listener, ssl=server_context
    )
    for member, mesh in meshes.items():
        mesh.start(ears[member])
    meshes[1].set_members([Peer(2, (f"https://127.0.0.1:{listener.getsockname()[1]}",))])
    await until(lambda: ears[1].heard and ears[2].heard, "connected")
    for number in range(500):
        assert meshes[1].send(2, note(number))
        assert meshes[2].send(1, note(number))
    await until(lambda: ears[1].numbers(2) == list(range(500)), "messages to the dialer")
    assert meshes[1].send(2, note(500))
    await meshes[1].stop()
    await until(lambda: ears[2].count("disconnected", 1), "the end")
    assert ears[2].numbers(1) == list(range(501))
    await meshes[2].stop()
    server.close()
