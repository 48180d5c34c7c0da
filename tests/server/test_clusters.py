"""Members as real processes: how a cluster begins, how members come, go, stop and come back."""

import contextlib
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from server.identity import cluster_id, hex_id, member_id
from tests.server.members import Member, cluster, founders, leader_of, start, until

INTERNAL = b'{"message":"Internal Server Error"}'
REMOVED = (
    "the member has been permanently removed from the cluster",
    "the data-dir used by this member must be removed.",
)


def names(member: Member) -> list[str]:
    """The cluster as a member has it."""
    return sorted(one["name"] for one in member.see("/v2/members")["members"])


def number_of(member: Member, name: str) -> str:
    """The id of a member by its name."""
    return next(one["id"] for one in member.see("/v2/members")["members"] if one["name"] == name)


def silent(notices: socket.socket) -> bool:
    """Whether the service manager has been told nothing; all there is to tell it is READY=1."""
    notices.settimeout(0.2)
    try:
        said = notices.recv(100)
    except TimeoutError:
        return True
    assert said == b"READY=1"
    return False


def test_three_found_a_cluster_and_survive_a_stop_of_their_leader() -> None:
    """Goal: a fresh cluster of N is at index 2N + 1 everywhere, with etcd's ids; what one member
    takes another has; a leader that is stopped hands over, so that the next write is taken at once;
    its return counts one. Method: three processes, SIGTERM to the one that leads."""
    with cluster(3) as members:
        until(lambda: {member.index for member in members} == {7}, "all are at index 7")
        ids = [member_id([member.identity.peer_url], "t") for member in members]
        shown = [int(one["id"], 16) for one in members[0].see("/v2/members")["members"]]
        assert shown == sorted(ids)
        answer = members[1].put("/a", "1")
        assert answer.status == 201
        assert answer.header("X-Etcd-Cluster-Id") == hex_id(cluster_id(ids))
        assert members[2].see("/v2/keys/a?quorum=true")["node"]["modifiedIndex"] == 8
        assert members[0].version() == {"etcdserver": "3.4.23", "etcdcluster": "3.4.0"}

        leader = leader_of(members)
        others = [member for member in members if member is not leader]
        followers = set(leader.see("/v2/stats/leader")["followers"])
        assert followers == {hex_id(number) for number in ids} - {
            hex_id(member_id([leader.identity.peer_url], "t"))
        }
        assert others[0].ask("GET", "/v2/stats/leader").status == 403
        leader.stop()
        assert others[0].put("/a", "2").status == 200
        leader.start()
        until(lambda: others[0].index == 10, "the restart has counted one")
        until(lambda: leader.see("/v2/keys/a")["node"]["value"] == "2", "it has caught up")


def test_large_values_at_once_are_all_taken() -> None:
    """Goal: values that fill a file of the log each, written at once, are taken by a leader and by
    a follower. Method: five of 9 MiB, in members that would wait long before they send something
    again; making a file takes longer than sending a value."""
    value = "x" * (9 << 20)
    with founders(3) as members, ThreadPoolExecutor(5) as writers:
        for member in members:
            member.among(members, "--heartbeat-interval=300", "--election-timeout=3000")
        start(members)
        leader = leader_of(members)
        follower = next(member for member in members if member is not leader)
        for via in (leader, follower):
            keys = [f"/{via.identity.name}/{number}" for number in range(5)]
            answers = list(writers.map(lambda key, to=via: to.put(key, value).status, keys))
            assert answers == [201] * 5
        for member in members:
            until(lambda of=member: of.index == leader.index, "all have all of it")


def test_a_member_without_quorum_serves_what_it_has(tmp_path: Path) -> None:
    """Goal: after a restart the client port serves local reads at once, whatever the initial-*
    options say now; writes fail; READY=1 comes with the quorum and not before. Method: three
    members are killed; one comes back alone, then a second."""
    path = tmp_path / "notify"
    with cluster(3) as members, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(path))
        assert members[0].put("/a", "1").status == 201
        assert members[0].put("/b", "1").status == 201
        until(lambda: members[1].index == 9, "the second member has both")
        for member in members:
            member.kill()
        alone = members[1].among(members[:1], "--initial-cluster-state=existing", "--name=new")
        alone.env = {"NOTIFY_SOCKET": str(path)}
        alone.start()
        assert alone.see("/v2/keys/a")["node"]["value"] == "1"
        assert alone.version()["etcdcluster"] == "3.4.0"
        assert names(alone) == ["m1", "m2", "m3"]
        assert alone.ask("GET", "/v2/members/leader").status == 503
        assert alone.ask("GET", "/health").status == 503
        assert alone.see("/v2/stats/self")["leaderInfo"]["leader"] == ""
        answer = alone.ask("POST", "/v2/members", {"peerURLs": ["http://127.0.0.1:7"]})
        assert (answer.status, answer.body) == (500, INTERNAL)
        assert silent(notices)
        members[2].start()
        until(lambda: not silent(notices), "READY=1", alone, members[2])
        assert names(alone) == ["m1", "m3", "new"]
        assert alone.put("/a", "2").status == 200


def test_a_member_that_lost_its_data_does_not_go_on() -> None:
    """Goal: an acknowledged write is not lost when the disk of one of those that have it is, and
    that member is started again under its old name, as one that joins or one that founds; it says
    what to do. Method: one member is behind, the leader writes with the other one, which is killed
    and loses its data directory; then the leader is away."""
    with cluster(3) as members:
        leader = leader_of(members)
        behind, emptied = (member for member in members if member is not leader)
        until(lambda: names(behind) == ["m1", "m2", "m3"], "all are known by name")
        behind.kill()
        assert leader.put("/precious", "1").status == 201
        until(lambda: emptied.see("/v2/keys/precious").get("node"), "it has the write")
        emptied.kill()
        shutil.rmtree(emptied.data_dir)
        for state in ("existing", "new"):
            emptied.among(members, f"--initial-cluster-state={state}").launch()
            assert emptied.ended() == 1
            assert "has already been bootstrapped" in emptied.log()

        leader.kill()
        emptied.launch()
        starts = "etcdserver: starting member"
        until(lambda: emptied.full_log().count(starts) == 2, "nobody tells it", emptied)
        behind.launch()
        assert emptied.ended() == 1
        assert "was started before, and its data of then is not here" in emptied.log()
        assert "remove it from the cluster and add it anew" in emptied.log()
        leader.start()
        until(lambda: "node" in behind.see("/v2/keys/precious?quorum=true"), "the write is there")


def test_a_founder_that_comes_late_makes_a_majority() -> None:
    """Goal: the third of three founders, started for the first time when one of the others has died
    already, counts at once: writes go on, and what was written is there. Method: as it says."""
    with founders(3) as (first, second, third):
        start([first, second])
        assert first.put("/a", "1").status == 201
        first.kill()
        third.start()
        assert third.put("/b", "1").status == 201
        assert "node" in third.see("/v2/keys/a?quorum=true")
        assert "node" in second.see("/v2/keys/b?quorum=true")


def test_two_histories_of_one_cluster_are_not_merged() -> None:
    """Goal: a and b of three founders have acknowledged writes; b loses its disk, and founds anew
    with c, which starts for the first time, while a is down; then b dies and a comes back: a and c,
    which both have data of their own, do not become one cluster without b, and say why. Method: as
    it says; b comes back at last, and a ends."""
    with founders(3) as (first, second, third):
        start([first, second])
        assert first.put("/old", "1").status == 201
        first.kill()
        second.kill()
        shutil.rmtree(second.data_dir)
        start([second, third])
        assert third.put("/new", "1").status == 201
        second.kill()
        first.launch()
        words = f"know different data of member {number_of(third, 'm2')}"
        until(lambda: words in first.full_log() and words in third.full_log(), "they say so")
        assert "node" in third.see("/v2/keys/new")
        assert "node" not in third.see("/v2/keys/old")
        assert third.ask("GET", "/health").status == 503
        second.start()
        assert first.ended() == 1
        assert "has lost the data by which this member knows it" in first.log()
        assert third.put("/new", "2").status == 200


def test_what_a_majority_that_begins_anew_has_lost_is_kept_by_the_third() -> None:
    """Goal: two of three members that are given empty disks and are started as founders make a new
    cluster under the old ids; the third one does not silently become a part of it: it ends, says
    what to do, and has its data still. Method: as it says; it is started twice."""
    with cluster(3) as members:
        assert members[0].put("/precious", "1").status == 201
        third = members[2]
        until(lambda: "node" in third.see("/v2/keys/precious"), "it has the write")
        for member in members:
            member.kill()
        for member in members[:2]:
            shutil.rmtree(member.data_dir)
        start(members[:2])
        assert "node" not in members[0].see("/v2/keys/precious?quorum=true")
        for _ in range(2):
            third.launch()
            assert third.ended() == 1
            assert "has lost the data by which this member knows it" in third.log()
            assert "keep it" in third.log()
        assert members[0].put("/b", "1").status == 201
        third.args += ("--force-new-cluster",)
        third.start()
        assert "node" in third.see("/v2/keys/precious")


def test_reads_after_a_crash_of_all_show_what_was_acknowledged() -> None:
    """Goal: whoever answers first after a kill -9 of all members shows the last acknowledged write,
    quorum=true or not. Method: write, kill at once, start, and ask each member until it answers."""
    with cluster(3) as members:
        for turn in range(3):
            key = f"/last{turn}"
            assert members[turn].put(key, "1").status == 201
            for member in members:
                member.kill()
            for member in members:
                member.launch()
            for member in members:
                shown: list[Any] = []
                until(lambda: _answer(member, key, shown), "it answers", member)  # noqa: B023
                assert shown[0]["node"]["value"] == "1"
                until(lambda: "node" in member.see("/v2/keys/?quorum=true"), "all is well")  # noqa: B023


def _answer(member: Member, key: str, shown: list[Any]) -> bool:
    """Keep the answer to a read, once there is one."""
    with contextlib.suppress(OSError):
        shown.append(member.see(f"/v2/keys{key}"))
    return bool(shown)


def test_a_member_joins_is_removed_and_stays_out() -> None:
    """Goal: who was added joins with --initial-cluster-state=existing and catches up; once removed
    it says what to do and ends with 0, and so it does whenever it is started again. Method: a
    cluster of two grows to three and shrinks."""
    with cluster(2) as members:
        first = members[0]
        assert first.put("/a", "1").status == 201
        third = Member("m3").among(members, "--initial-cluster-state=existing")
        try:
            added = {"peerURLs": [third.identity.peer_url]}
            ask = partial(first.ask, "POST", "/v2/members", added)
            until(lambda: ask().status == 201, "links are old enough", *members)
            assert ask().status == 500
            third.among([*members, third], "--initial-cluster-state=existing").start()
            assert third.see("/v2/keys/a")["node"]["value"] == "1"
            assert third.put("/a", "2").status == 200
            until(lambda: names(first) == names(third) == ["m1", "m2", "m3"], "it is known")
            path = f"/v2/members/{number_of(first, 'm3')}"
            index = first.index
            delete = partial(first.ask, "DELETE", path)
            until(lambda: delete().status == 204, "its links are old enough", *members, third)
            until(lambda: first.index == index + 2, "the removal is applied")
            assert third.ended() == 0
            for words in REMOVED:
                assert third.full_log().count(words) == 1
            assert names(first) == ["m1", "m2"]
            assert first.put("/a", "3").status == 200
            assert delete().status == 410
            third.launch()
            assert third.ended() == 0
            assert third.full_log().count(REMOVED[0]) == 2
        finally:
            third.discard()


def test_a_cluster_of_one_grows_at_once() -> None:
    """Goal: the only member may be joined at any time: 201 although the second is not there yet,
    local reads go on, and writes do once it has come. Method: a cluster of one, just started."""
    with cluster(1) as (first,):
        second = Member("m2")
        try:
            added = {"peerURLs": [second.identity.peer_url]}
            assert first.ask("POST", "/v2/members", added).status == 201
            assert len(first.see("/v2/members")["members"]) == 2
            second.among([first, second], "--initial-cluster-state=existing").start()
            assert second.put("/a", "1").status == 201
            until(lambda: names(first) == ["m1", "m2"], "it is known")
        finally:
            second.discard()


def test_a_member_is_made_the_only_one() -> None:
    """Goal: --force-new-cluster keeps ids and data and takes the others out, at two indexes each;
    without the option it then goes on alone; on an empty directory the option changes nothing.
    Method: three members, killed; one is forced, stopped, and started again."""
    with cluster(3) as members:
        assert members[0].put("/a", "1").status == 201
        assert members[0].put("/b", "1").status == 201
        until(lambda: members[1].index == 9, "the second member has both")
        before = members[1].ask("GET", "/v2/keys/a").header("X-Etcd-Cluster-Id")
        for member in members:
            member.kill()
        forced = members[1].among(members, "--force-new-cluster")
        forced.start()
        until(lambda: names(forced) == ["m2"], "the others are gone")
        until(lambda: forced.put("/c", "1").status == 201, "it takes writes")
        answer = forced.ask("GET", "/v2/keys/a")
        assert answer.header("X-Etcd-Cluster-Id") == before
        assert "forcing restart of member" in forced.full_log()
        forced.stop()
        forced.among(members)
        forced.start()
        until(lambda: forced.put("/c", "2").status == 200, "it takes writes")
        assert names(forced) == ["m2"]
    lone = Member("lone")
    try:
        start([lone.among([lone], "--force-new-cluster")])
        assert lone.index == 3
        assert "forcing" not in lone.full_log()
    finally:
        lone.discard()
