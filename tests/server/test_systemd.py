"""Readiness to the service manager."""

import secrets
import socket
from pathlib import Path

from server.systemd import READY, notify

RECEIVE_TIMEOUT_S = 5.0


def received(name: str, address: str) -> bytes:
    """What a manager listening at `name` gets when NOTIFY_SOCKET is `address`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(RECEIVE_TIMEOUT_S)
        manager.bind(name)
        assert notify(READY, {"NOTIFY_SOCKET": address})
        return manager.recv(64)


def test_ready_reaches_a_socket_in_the_file_system(tmp_path: Path) -> None:
    """Goal: one datagram READY=1; method: a manager's socket of our own."""
    path = str(tmp_path / "notify")
    assert received(path, path) == b"READY=1"


def test_ready_reaches_an_abstract_socket() -> None:
    """Goal: `@name`, as containers use it; method: a socket outside the file system."""
    name = f"pyetcd-test-{secrets.token_hex(8)}"
    assert received("\0" + name, "@" + name) == b"READY=1"


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    """Goal: silent without a manager; method: unset, empty, odd, absent and too long addresses."""
    assert not notify(READY, {})
    for address in ("", "relative", "vsock:2:1", str(tmp_path / "absent"), "/" + "x" * 200):
        assert not notify(READY, {"NOTIFY_SOCKET": address})


def test_a_manager_that_does_not_read_does_not_block(tmp_path: Path) -> None:
    """Goal: a full queue costs a second at most; method: send until it no longer fits."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        queue_length_max = 10_000
        sent = 0
        while notify(READY, {"NOTIFY_SOCKET": path}):
            sent += 1
            assert sent < queue_length_max
