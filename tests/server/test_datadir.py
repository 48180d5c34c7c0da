"""The data directory: made, checked, locked; what is refused and what only warns."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from server.datadir import DataDir, DataDirError, log_name, open_data_dir, snapshot_name


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def refusal(root: Path, wal_dir: Path | None = None) -> str:
    """The message for a directory that cannot be used; always one line."""
    with pytest.raises(DataDirError) as caught:
        open_data_dir(root, wal_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def texts(data_dir: DataDir) -> list[str]:
    """What the notices say."""
    return [notice.text for notice in data_dir.notices]


def test_names() -> None:
    """Goal: file names sort as their numbers do; method: the contract's width."""
    assert log_name(255) == "00000000000000ff.log"
    assert snapshot_name(2, 4096) == "0000000000000002-0000000000001000.snapshot"


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    """Goal: 0700 from the first missing parent down; method: modes, under an open umask."""
    old = os.umask(0)
    try:
        with open_data_dir(tmp_path / "a" / "b") as data_dir:
            assert not data_dir.has_data
            assert data_dir.notices == ()
            for path in (tmp_path / "a", data_dir.root, data_dir.wal, data_dir.snap):
                assert mode(path) == 0o700
            assert mode(data_dir.root / "member" / "lock") == 0o600
            assert sorted(os.listdir(data_dir.root)) == ["member"]
            assert sorted(os.listdir(data_dir.root / "member")) == ["lock", "snap", "wal"]
    finally:
        os.umask(old)


def test_reopening_finds_the_data(tmp_path: Path) -> None:
    """Goal: bootstrap or restart is decided here; method: our own file names, and other ones."""
    with open_data_dir(tmp_path / "d") as data_dir:
        (data_dir.wal / "note.txt").touch()
    with open_data_dir(tmp_path / "d") as data_dir:
        assert not data_dir.has_data
        (data_dir.wal / log_name(0)).touch()
    with open_data_dir(tmp_path / "d") as data_dir:
        assert data_dir.has_data
        assert data_dir.notices == ()
        (data_dir.wal / log_name(0)).unlink()
        (data_dir.snap / snapshot_name(1, 2)).touch()
    with open_data_dir(tmp_path / "d") as data_dir:
        assert data_dir.has_data


def test_open_modes_and_junk_warn(tmp_path: Path) -> None:
    """Goal: etcd's two warnings; method: 0755 and a foreign file."""
    root = tmp_path / "d"
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    (root / "junk").touch()
    with open_data_dir(root) as data_dir:
        assert texts(data_dir) == [
            (
                f"found invalid file/dir junk under data dir {root}"
                " (Ignore this if you are upgrading etcd)"
            ),
            (
                f'check file permission: directory "{root}" exist, but the permission is'
                ' "drwxr-xr-x". The recommended permission is "-rwx------" to prevent possible'
                " unprivileged access to the data."
            ),
        ]
    assert mode(root) == 0o755


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    """Goal: etcd's message; method: a file, and a path below one."""
    path = tmp_path / "file"
    path.touch()
    assert refusal(path).startswith(f"error listing data dir: {path}")
    assert refusal(path / "x").startswith(f"error listing data dir: {path / 'x'}")


def test_a_place_where_nothing_can_be_made() -> None:
    """Goal: one line instead of a traceback; method: /proc, where even root makes nothing."""
    assert refusal(Path("/proc/pyetcd")).startswith(
        "cannot access data directory: mkdir /proc/pyetcd: "
    )


def test_a_directory_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: found at the start, not at the first write; method: open fails as on a read-only disk.

    Real modes do not stop root, who may be running the tests.
    """
    (tmp_path / "d").mkdir(0o700)

    def refuse(path: object, *_: object) -> int:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("server.datadir.os.open", refuse)
    message = refusal(tmp_path / "d")
    assert message.startswith("cannot access data directory: ")
    assert message.endswith("read-only file system")


@pytest.mark.parametrize(
    "name",
    [
        "wal/0000000000000000-0000000000000000.wal",
        "wal/0.tmp",
        "snap/0000000000000002-0000000000001000.snap",
        "snap/db",
    ],
)
def test_a_real_etcds_data_is_not_touched(tmp_path: Path, name: str) -> None:
    """Goal: never start empty beside data; method: each of its files, nothing changed after."""
    path = tmp_path / "member" / name
    path.parent.mkdir(parents=True)
    path.touch()
    message = refusal(tmp_path)
    assert "holds the data of a real etcd" in message
    assert str(path) in message
    assert [p.name for p in (tmp_path / "member").iterdir()] == [path.parent.name]
    if name.startswith("wal/"):
        assert "real etcd" in refusal(tmp_path / "new", path.parent)


def test_proxy_data(tmp_path: Path) -> None:
    """Goal: a proxy's directory is not a member's; method: alone, and beside a member."""
    (tmp_path / "proxy").mkdir()
    assert "is a proxy's" in refusal(tmp_path)
    (tmp_path / "member").mkdir()
    assert refusal(tmp_path) == "invalid datadir. Both member and proxy directories exist."


HOLD = """
import sys
from pathlib import Path
from server.datadir import open_data_dir
held = open_data_dir(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
print("locked", flush=True)
sys.stdin.read()
"""


def hold(*paths: Path) -> subprocess.Popen[str]:
    """Another process that holds the directory until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *map(str, paths)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_one_process_per_directory(tmp_path: Path) -> None:
    """Goal: a second process is refused and told whose it is; method: a real second process,
    killed so that only the kernel can give the lock back."""
    root = tmp_path / "d"
    with hold(root) as holder:
        try:
            assert refusal(root) == (
                f"data directory {root} is locked by another process (pid {holder.pid})"
            )
        finally:
            holder.kill()
    open_data_dir(root).close()


def test_one_process_per_wal_directory(tmp_path: Path) -> None:
    """Goal: --wal-dir is ours alone, too; method: two data directories, one log directory."""
    wal = tmp_path / "wal"
    with hold(tmp_path / "a", wal) as holder:
        try:
            assert "wal directory" in refusal(tmp_path / "b", wal)
        finally:
            holder.kill()
    with open_data_dir(tmp_path / "b", wal) as data_dir:
        assert data_dir.wal == wal
        assert os.listdir(wal) == []
        assert not (tmp_path / "b" / "member" / "wal").exists()


def test_a_log_left_in_the_data_directory(tmp_path: Path) -> None:
    """Goal: --wal-dir given later does not start empty; method: a log in the old place."""
    with open_data_dir(tmp_path / "d") as data_dir:
        (data_dir.wal / log_name(0)).touch()
    assert "has its log in" in refusal(tmp_path / "d", tmp_path / "wal")
    open_data_dir(tmp_path / "d").close()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Goal: no foreign file is truncated; method: the lock's name is a symbolic link."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "d" / "member").mkdir(parents=True)
    (tmp_path / "d" / "member" / "lock").symlink_to(victim)
    assert "cannot lock data directory" in refusal(tmp_path / "d")
    assert victim.read_text() == "precious"
