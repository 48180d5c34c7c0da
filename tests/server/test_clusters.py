"""Members as real processes: how a cluster begins, how members come, go, stop and come back."""

import socket
from functools import partial
from pathlib import Path

from server.identity import cluster_id, hex_id, member_id
from tests.server.members import Member, cluster, leader_of, start, until

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
