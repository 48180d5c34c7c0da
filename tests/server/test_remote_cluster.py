"""Asking other members who they are: what counts as an answer, and what does not."""

import asyncio
import logging

import pytest

from server.remote_cluster import (
    ANSWER_BYTES_MAX,
    RemoteCluster,
    RemoteMember,
    fetch_cluster,
    fetch_cluster_version,
)
from tests.server.fake_member import CLUSTER, FakeMember, fake_member, row

TIMEOUT_S = 10.0
NOBODY = "http://127.0.0.1:1"
M1 = RemoteMember(0x10, "m1", ("http://a:1", "http://b:1"), ("http://c:1",))
M2 = RemoteMember(0xF0, "", ("http://d:1",), ())


def speak(member: FakeMember) -> None:
    """Have it answer as a member of a cluster of two does."""
    member.knows(
        row(0xF0, "http://d:1"),
        row(0x10, "http://a:1", "http://b:1", name="m1", client_url="http://c:1"),
    )


async def test_members_are_read_and_sorted_by_id() -> None:
    """Goal: ids, names, URLs and the cluster's id. Method: an answer in another order; a member
    that has not started leaves out name and client URLs."""
    async with fake_member() as member:
        speak(member)
        cluster = await fetch_cluster([member.url], TIMEOUT_S)
    assert cluster == RemoteCluster(CLUSTER, (M1, M2))
    assert str(cluster) == (
        "{ClusterID:c57f099532fc184a Members:["
        "&{ID:10 RaftAttributes:{PeerURLs:[http://a:1 http://b:1] IsLearner:false}"
        " Attributes:{Name:m1 ClientURLs:[http://c:1]}} "
        "&{ID:f0 RaftAttributes:{PeerURLs:[http://d:1] IsLearner:false}"
        " Attributes:{Name: ClientURLs:[]}}] RemovedMemberIDs:[]}"
    )


async def test_one_good_answer_is_enough_and_nobody_is_waited_for() -> None:
    """Goal: a member that is down or hangs costs nothing. Method: one refuses, one hangs, one
    answers; the time-out is longer than the test may take."""
    async with fake_member() as silent, fake_member() as good:
        silent.answers["/members"] = None
        speak(good)
        async with asyncio.timeout(TIMEOUT_S / 2):
            cluster = await fetch_cluster([NOBODY, silent.url, good.url], TIMEOUT_S)
    assert cluster is not None


@pytest.mark.parametrize(
    ("document", "status", "cluster"),
    [
        ("{", 200, "1"),
        ("[", 200, "1"),
        ('[{"id":"x"}]', 200, "1"),
        ("[]", 200, "1"),
        ('[{"id":1,"peerURLs":["http://a:1"]}]', 200, ""),
        ('[{"id":1,"peerURLs":["http://a:1"]}]', 200, "xyz"),
        ('[{"id":1,"peerURLs":["http://a:1"]}]', 500, "1"),
        ("[" + " " * ANSWER_BYTES_MAX + "]", 200, "1"),
    ],
    ids=["object", "cut off", "types", "nobody", "no cluster", "no id", "status", "too long"],
)
async def test_what_is_no_answer(
    document: str, status: int, cluster: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Goal: passed over with a warning that names the URL, never an exception. Method: each."""
    async with fake_member() as member:
        member.say("/members", document, status=status, cluster=cluster)
        assert await fetch_cluster([member.url], TIMEOUT_S) is None
    if document != "[]":
        assert f"could not get cluster response from {member.url}: " in caplog.text


async def test_who_cannot_be_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Goal: no exception for what no one can be asked at; the reason in a word or two; quiet where
    it is no surprise. Method: nobody there, a bad URL, TLS, no URL; then at another level."""
    for url in (NOBODY, "ftp://a:1", "https://127.0.0.1:1", "unix://nowhere:1"):
        assert await fetch_cluster([url], TIMEOUT_S) is None
    assert await fetch_cluster([], TIMEOUT_S) is None
    assert f"from {NOBODY}: connection refused" in caplog.text
    caplog.clear()
    assert await fetch_cluster([NOBODY], TIMEOUT_S, level=logging.DEBUG) is None
    assert caplog.records == []


async def test_a_time_out_ends_the_wait() -> None:
    """Goal: who says nothing is given up. Method: a member that hangs, a short time-out."""
    async with fake_member() as silent:
        silent.answers["/members"] = None
        assert await fetch_cluster([silent.url], 0.05) is None


async def test_the_version_of_a_cluster() -> None:
    """Goal: the first URL of a member that answers tells it. Method: one URL dead, one wrong, one
    right; and none right."""
    async with fake_member() as wrong, fake_member() as right:
        right.say("/version", {"etcdserver": "3.4.23", "etcdcluster": "3.4.0"})
        wrong.say("/version", "?")
        urls = [NOBODY, wrong.url, right.url]
        assert await fetch_cluster_version(urls, TIMEOUT_S) == "3.4.0"
        assert await fetch_cluster_version(urls[:2], TIMEOUT_S) is None
