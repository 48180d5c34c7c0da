"""A real server on a damaged, locked, unreadable or foreign data directory."""

import os
import re
import shutil
from collections.abc import Callable

import pytest

from tests.durability.launch import end_of_data, log_files, refused
from tests.oracle import Identity, Pyetcd, Request, Server
from tests.oracle.process import free_port

KEYS = 20
OFFSET = re.compile(r"offset (\d+)")


def _put(server: Server, number: int) -> None:
    with server.connect() as connection:
        answer = connection.ask(Request.form("PUT", f"/v2/keys/k{number}", f"value=v{number}"))
    assert answer.status in (200, 201), answer


def _value(server: Server, number: int) -> bytes | None:
    with server.connect() as connection:
        answer = connection.ask(Request("GET", f"/v2/keys/k{number}".encode()))
    return answer.body if answer.status == 200 else None


def _filled(*args: str, end: Callable[[Pyetcd], object] = Pyetcd.kill) -> Pyetcd:
    """A server that wrote its keys and was killed, or brought to another end."""
    server = Pyetcd(args=args)
    try:
        server.start()
        for number in range(KEYS):
            _put(server, number)
        end(server)
    except BaseException:
        server.discard()
        raise
    return server


@pytest.mark.parametrize("fill", [False, True], ids=["file cut", "zeros"])
def test_a_torn_end_is_repaired(fill: bool) -> None:
    """Goal: a last record that was written in part is cut off, with one line that names the file,
    and the server goes on. Method: cut a segment inside its last record, as a power loss leaves
    it: shorter, or with zeros in its place."""
    server = _filled()
    try:
        path = log_files(server)[-1]
        end = end_of_data(path)
        size = path.stat().st_size
        os.truncate(path, end - 3 if not fill else end // 512 * 512)
        if fill:
            os.truncate(path, size)
        server.start()
        repairs = [line for line in server.log().splitlines() if str(path) in line]
        assert len(repairs) == 1, server.log()
        assert OFFSET.search(repairs[0])
        for number in range(KEYS - 4):
            assert _value(server, number), number
        _put(server, KEYS)
        server.restart(kill=True)
        assert _value(server, KEYS)
    finally:
        server.discard()


def test_a_flipped_byte_is_refused() -> None:
    """Goal: what a disk has changed is never taken for data: exit code 1, and one line that names
    file and offset. Method: flip one byte in the middle of the log; the file stays as it was."""
    server = _filled()
    try:
        path = log_files(server)[-1]
        data = bytearray(path.read_bytes())
        middle = end_of_data(path) // 2
        data[middle] ^= 0x10
        path.write_bytes(data)
        end = refused(server)
        assert end.code == 1
        assert len(end.complaints) == 1, end.lines
        assert str(path) in end.complaints[0]
        offset = OFFSET.search(end.complaints[0])
        assert offset is not None
        assert 0 < int(offset[1]) <= middle
        assert path.read_bytes() == bytes(data)
    finally:
        server.discard()


def test_a_flipped_byte_in_a_snapshot() -> None:
    """Goal: a damaged snapshot is not used; while the log reaches back, nothing is lost and a line
    names the file. Method: flip a byte of the newest one."""
    server = _filled("--snapshot-count", "5", end=Pyetcd.stop)
    try:
        path = sorted((server.data_dir / "member" / "snap").glob("*.snapshot"))[-1]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        server.start()
        told = [line for line in server.log().splitlines() if str(path) in line]
        assert len(told) == 1, server.log()
        assert OFFSET.search(told[0])
        assert all(_value(server, number) for number in range(KEYS))
    finally:
        server.discard()


def test_a_locked_data_directory() -> None:
    """Goal: two processes never share a directory: exit code 1, one line that says so and by whom
    it is held. Method: start a second server on a running one's directory."""
    with Pyetcd() as server:
        _put(server, 1)
        second = Pyetcd(data_dir=server.data_dir)
        second.client_port, second.peer_port = free_port(), free_port()
        assert second.data_dir == server.data_dir
        end = refused(second)
        assert end.code == 1
        assert len(end.complaints) == 1, end.lines
        assert f"locked by another process (pid {server.pid})" in end.complaints[0]
        assert _value(server, 1)


def test_an_unreadable_data_directory() -> None:
    """Goal: exit code 1 and one line. Method: mode 000, without the right to overrule modes."""
    server = _filled()
    wal = server.data_dir / "member" / "wal"
    try:
        wal.chmod(0)
        powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
        end = refused(server, *(powerless if os.geteuid() == 0 else ()))
        assert end.code == 1
        assert len(end.complaints) == 1, end.lines
        assert "permission denied" in end.complaints[0]
    finally:
        wal.chmod(0o700)
        server.discard()


def test_another_cluster_s_snapshot() -> None:
    """Goal: a directory put together from two members' is refused: exit code 1, one line that
    names the file. Method: the log of one, the snapshots of the other."""
    servers = [
        Pyetcd(identity=Identity(peer_url=url), args=("--snapshot-count", "5"))
        for url in ("http://127.0.0.1:23801", "http://127.0.0.1:23803")
    ]
    try:
        for server in servers:
            server.start()
            for number in range(KEYS):
                _put(server, number)
            server.stop()
        snaps = [server.data_dir / "member" / "snap" for server in servers]
        shutil.rmtree(snaps[0])
        shutil.copytree(snaps[1], snaps[0])
        end = refused(servers[0])
        assert end.code == 1
        assert len(end.complaints) == 1, end.lines
        assert str(snaps[0]) in end.complaints[0]
    finally:
        for server in servers:
            server.discard()


def test_a_log_that_is_gone() -> None:
    """Goal: snapshots without their log are refused: exit code 1, one line that says what is gone
    and what to do. Method: all files of the log are removed."""
    server = _filled("--snapshot-count", "5", end=Pyetcd.stop)
    try:
        for path in log_files(server):
            path.unlink()
        end = refused(server)
        assert end.code == 1
        assert len(end.complaints) == 1, end.lines
        assert "wal: the log is gone; the member refuses to start" in end.complaints[0]
        assert "add it anew with an empty data directory" in end.complaints[0]
    finally:
        server.discard()


def test_another_cluster_s_log() -> None:
    """Goal and method: the same the other way round, one segment from elsewhere behind ours."""
    servers = [
        Pyetcd(identity=Identity(peer_url=url))
        for url in ("http://127.0.0.1:23801", "http://127.0.0.1:23803")
    ]
    try:
        for server in servers:
            server.start()
            _put(server, 1)
            server.kill()
        ours, theirs = (log_files(server)[-1] for server in servers)
        shutil.copy(theirs, ours.with_name("0000000000000002.log"))
        end = refused(servers[0])
        assert end.code == 1
        assert len(end.complaints) == 1, end.lines
        assert "0000000000000002.log" in end.complaints[0]
    finally:
        for server in servers:
            server.discard()
