"""How a member without data begins: founding, joining, and the checks of both."""

from dataclasses import replace

import pytest

from kvstore.commands import AddMember, decode
from raft import Identity, Peer
from server.beginning import begin, is_compatible, matched
from server.identity import BootstrapError, Member, bootstrap, member_id
from server.options import load
from server.options.config import Config
from server.remote_cluster import RemoteCluster, RemoteMember
from tests.server.fake_member import CLUSTER, fake_member, row

TALK = ",".join(f"atomic-0{n}=http://172.17.8.10{n}:2380" for n in (1, 2, 3))
HERE = "http://127.0.0.1:1"
HOSTS = {"one.example": "10.0.0.1"}


def config(name: str, cluster: str, advertised: str, *more: str) -> Config:
    """The options that matter here."""
    argv = [
        f"--name={name}",
        f"--initial-cluster={cluster}",
        f"--initial-advertise-peer-urls={advertised}",
        *more,
    ]
    return load(argv, {}).config


def test_every_founder_computes_the_same_first_entry() -> None:
    """Goal: the talk's three hosts agree on ids, and on the first entry of the log byte by byte,
    without having talked. Method: bootstrap on each; what the log's first entry is made of."""
    seen = []
    for number in (1, 2, 3):
        options = config(f"atomic-0{number}", TALK, f"http://172.17.8.10{number}:2380")
        cluster = bootstrap(options, HOSTS.get)
        seen.append((cluster.cluster_id, cluster.members))
    assert seen == [seen[0]] * 3
    assert [f"{member.id:x} {member.name}" for member in seen[0][1]] == [
        "25d6ce33763c5524 atomic-02",
        "6ae27f9fa2984b1d atomic-01",
        "ff32f4b39b9c47bd atomic-03",
    ]


async def test_founding() -> None:
    """Goal: identity, peers sorted by id, a command for each; the others are asked and need not
    answer. Method: a cluster of two whose other member hangs up, or knows us as not started."""
    async with fake_member() as other:
        options = config("a", f"a={HERE},b={other.url}", HERE)
        for known in (False, True):
            if known:
                other.knows(row(member_id([HERE], "etcd-cluster"), HERE), row(2, other.url))
            beginning = await begin(options, HOSTS.get)
    assert other.asked == ["/members", "/members"]
    cluster = bootstrap(options, HOSTS.get)
    assert beginning.identity == Identity(cluster.cluster_id, cluster.local.id)
    assert beginning.first is not None
    peers = beginning.first.peers
    assert peers == tuple(Peer(member.id, member.peer_urls) for member in cluster.members)
    assert [decode(command) for command in beginning.first.commands] == [
        AddMember(peer.id, peer.urls) for peer in peers
    ]


async def test_a_member_that_was_bootstrapped_before() -> None:
    """Goal: a wiped member does not come back as a new one. Method: the other one knows it with
    client URLs."""
    number = member_id([HERE], "etcd-cluster")
    async with fake_member() as other:
        other.knows(row(number, HERE, name="a", client_url="http://c:1"), row(2, other.url))
        options = config("a", f"a={HERE},b={other.url}", HERE)
        with pytest.raises(BootstrapError) as refused:
            await begin(options, HOSTS.get)
    assert str(refused.value) == f"member {number:x} has already been bootstrapped"


async def test_joining() -> None:
    """Goal: ids from the cluster that is there, no first entry; the names of others are free and
    what is advertised is not looked at. Method: a live member that knows us under an id minted at
    run time."""
    async with fake_member() as other:
        other.knows(row(0x77, HERE), row(0x22, other.url, name="m1", client_url="http://c:1"))
        other.say("/version", {"etcdserver": "3.4.23", "etcdcluster": "3.4.0"})
        options = config(
            "a", f"a={HERE},zz={other.url}", "http://x:9", "--initial-cluster-state=existing"
        )
        beginning = await begin(options, HOSTS.get)
    assert beginning.identity == Identity(CLUSTER, 0x77)
    assert beginning.first is None


async def test_joining_again_without_data() -> None:
    """Goal: a member that the others know as started is refused without its data. Method: as above,
    with client URLs of ours."""
    async with fake_member() as other:
        other.knows(row(0x77, HERE, name="a", client_url="http://c:2"), row(0x22, other.url))
        other.say("/version", {"etcdserver": "3.4.23", "etcdcluster": "3.4.0"})
        options = config("a", f"a={HERE},b={other.url}", HERE, "--initial-cluster-state=existing")
        with pytest.raises(BootstrapError, match=r"^member 77 has already been bootstrapped, and "):
            await begin(options, HOSTS.get)


@pytest.mark.parametrize(
    ("versions", "members", "message"),
    [
        ("", None, "cannot fetch cluster info from peer urls: could not retrieve cluster"),
        ("3.4.0", 1, "error validating peerURLs {ClusterID:c57f099532fc184a Members:["),
        ("3.5.0", 2, "incompatible with current running cluster"),
        ("not_decided", 2, "incompatible with current running cluster"),
        ("", 2, "incompatible with current running cluster"),
    ],
)
async def test_joining_that_fails(versions: str, members: int | None, message: str) -> None:
    """Goal: the table of contract section 3. Method: each cause."""
    async with fake_member() as other:
        rows = [row(0x22, other.url), row(0x77, HERE)]
        if members:
            other.knows(*rows[:members])
        if versions:
            other.say("/version", {"etcdcluster": versions})
        cluster = f"a={HERE},b={other.url}"
        options = config("a", cluster, HERE, "--initial-cluster-state=existing")
        with pytest.raises(BootstrapError) as refused:
            await begin(options, HOSTS.get)
    assert str(refused.value).startswith(message)


def remote(*members: tuple[int, str]) -> RemoteCluster:
    """A cluster of members with one URL each."""
    found = sorted((RemoteMember(n, "", (url,), ()) for n, url in members), key=lambda m: m.id)
    return RemoteCluster(CLUSTER, tuple(found))


LOCAL = (
    Member(1, "a", ("http://10.0.0.1:1",)),
    Member(2, "b", ("http://10.0.0.2:1",)),
)


def test_matching_takes_the_true_ids() -> None:
    """Goal: members are known by their URLs, in text or by what hosts resolve to. Method: one each
    way, in another order."""
    existing = remote((8, "http://10.0.0.2:1"), (9, "http://one.example:1"))
    found = matched(LOCAL, existing, HOSTS.get)
    assert found == (replace(LOCAL[0], id=9), replace(LOCAL[1], id=8))


NO_MATCH = "PeerURLs: no match found for existing member"
MISMATCHES = [
    (remote((8, "http://10.0.0.2:1")), "member count is unequal"),
    (
        remote((8, "http://10.0.0.1:1"), (9, "http://10.0.0.3:1")),
        (
            f"{NO_MATCH} (9, [http://10.0.0.3:1]), last resolver error"
            ' (resolved urls: "http://10.0.0.3:1" != "http://10.0.0.2:1")'
        ),
    ),
    (
        remote((8, "http://nowhere.example:1"), (9, "http://10.0.0.2:1")),
        (
            f"{NO_MATCH} (8, [http://nowhere.example:1]), last resolver error"
            " (failed to resolve host nowhere.example)"
        ),
    ),
    (
        RemoteCluster(CLUSTER, (RemoteMember(8, "", ("http://a:1", "http://b:1"), ()),) * 2),
        (
            f"{NO_MATCH} (8, [http://a:1 http://b:1]), last resolver error"
            ' (len(["http://a:1" "http://b:1"]) != len(["http://10.0.0.2:1"]))'
        ),
    ),
]


@pytest.mark.parametrize(("existing", "cause"), MISMATCHES)
def test_what_does_not_match(existing: RemoteCluster, cause: str) -> None:
    """Goal: etcd's words, which compare with the last member looked at. Method: each cause."""
    with pytest.raises(BootstrapError) as refused:
        matched(LOCAL, existing, HOSTS.get)
    assert str(refused.value) == f"error validating peerURLs {existing}: {cause}"


@pytest.mark.parametrize(
    ("versions", "compatible"),
    [
        (["3.4.0"], True),
        (["3.0.0", None], True),
        ([None, "not_decided", "3.3.0"], True),
        ([None], False),
        ([], False),
        (["not_decided"], False),
        (["3.4.0", "2.3.0"], False),
        (["3.5.0"], False),
        (["3.4"], False),
        (["3.4.x"], False),
    ],
)
def test_versions_that_go_together(versions: list[str | None], compatible: bool) -> None:
    """Goal: from 3.0.0 up to our own, and at least one that says so. Method: a table."""
    assert is_compatible(versions) == compatible
