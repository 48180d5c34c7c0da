"""`pyetcd backup`: an offline copy that starts as a cluster of its own."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.members import Member, cluster, start, until


def backup(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    words = [sys.executable, "-m", "server", "backup", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def written(snapshot_count: int) -> Iterator[list[Member]]:
    """Three members that have taken twenty keys."""
    with cluster(3) as members:
        for member in members:
            member.stop()
            member.among(members, f"--snapshot-count={snapshot_count}")
        start(members)
        for number in range(20):
            assert members[0].put(f"/k{number}", str(number)).status in (200, 201)
        yield members


def refused(*arguments: object) -> str:
    """What it says when it makes no copy; always one line."""
    done = backup(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("snapshot_count", [5, 10_000])
def test_a_copy_starts_as_a_cluster_of_its_own(tmp_path: Path, snapshot_count: int) -> None:
    """Goal: what one of three members had is in the copy, which takes writes alone; the directory
    it is made of stays as it is. Method: kill it, copy, start the copy; with the data in the log,
    and in a snapshot.
    """
    with written(snapshot_count) as members:
        source = members[0].data_dir
        members[0].kill()
        before = {path: path.read_bytes() for path in source.rglob("*") if path.suffix == ".log"}
        done = backup("--data-dir", source, "--backup-dir", tmp_path / "copy")
        assert done.returncode == 0, done.stderr
        assert f"--data-dir={tmp_path / 'copy'} --force-new-cluster" in done.stderr
        assert {path: path.read_bytes() for path in before} == before
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]

        copy = Member("m1")
        copy.args = ("--force-new-cluster",)
        shutil.rmtree(copy.data_dir, ignore_errors=True)
        (tmp_path / "copy").rename(copy.data_dir)
        try:
            copy.start()
            assert [one["name"] for one in copy.see("/v2/members")["members"]] == ["m1"]
            for number in range(20):
                assert copy.see(f"/v2/keys/k{number}")["node"]["value"] == str(number)
            assert copy.put("/new", "1").status == 201
        finally:
            copy.discard()


@pytest.mark.parametrize("snapshot_count", [5, 10_000])
def test_a_copy_leaves_the_others_alone(tmp_path: Path, snapshot_count: int) -> None:
    """Goal: a copy started in the place of the member it was made of, while the others live, is
    another cluster: they go on, and neither hears of the other's writes. Method: three members; one
    is killed, copied, and its copy started with its URLs.
    """
    with written(snapshot_count) as members:
        ids = members[0].ask("GET", "/v2/keys/").header("X-Etcd-Cluster-Id")
        members[2].kill()
        assert backup(
            "--data-dir", members[2].data_dir, "--backup-dir", tmp_path / "copy"
        ).returncode == 0  # fmt: skip
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "copy").rglob("*")}
        assert modes == {0o700, 0o600}
        shutil.rmtree(members[2].data_dir)
        (tmp_path / "copy").rename(members[2].data_dir)
        members[2].args = (*members[2].args, "--force-new-cluster")
        members[2].start()
        assert members[2].put("/copy", "1").status == 201
        assert members[0].put("/others", "1").status == 201
        until(lambda: "cluster ID mismatch" in members[0].log() + members[2].log(), "they have met")
        assert members[0].running
        assert members[1].running
        assert members[0].ask("GET", "/v2/keys/copy").status == 404
        assert members[2].ask("GET", "/v2/keys/others").status == 404
        own = members[2].ask("GET", "/v2/keys/").header("X-Etcd-Cluster-Id")
        assert own != ids


def test_what_is_not_copied(tmp_path: Path) -> None:
    """Goal: each reason is told in one line that names the place, and leaves nothing that looks
    like a copy. Method: a running member, no directory, an empty one, a full target, a real etcd's
    data, a damaged log.
    """
    copy = tmp_path / "copy"
    with cluster(1) as members:
        source = members[0].data_dir
        assert "is locked by another process" in refused("--data-dir", source, "--backup-dir", copy)
        members[0].put("/a", "1")
        members[0].stop()

        assert f"{tmp_path / 'no' / 'member'}: no such directory" in refused(
            "--data-dir", tmp_path / "no", "--backup-dir", copy
        )
        (tmp_path / "empty" / "member").mkdir(parents=True)
        assert "holds no data" in refused("--data-dir", tmp_path / "empty", "--backup-dir", copy)
        (tmp_path / "full" / "file").mkdir(parents=True)
        assert f"{tmp_path / 'full'}: expected to be empty" in refused(
            "--data-dir", source, "--backup-dir", tmp_path / "full"
        )
        (tmp_path / "etcd" / "member" / "snap").mkdir(parents=True)
        (tmp_path / "etcd" / "member" / "snap" / "db").touch()
        assert "data of a real etcd" in refused(
            "--data-dir", tmp_path / "etcd", "--backup-dir", copy
        )
        log = next((source / "member" / "wal").glob("*.log"))
        data = bytearray(log.read_bytes())
        data[200] ^= 1
        log.write_bytes(data)
        assert "offset" in refused("--data-dir", source, "--backup-dir", copy)
    assert not copy.exists()


def test_usage() -> None:
    """Goal: a missing option is named; method: none."""
    done = backup()
    assert done.returncode == 2
    assert "--data-dir" in done.stderr
