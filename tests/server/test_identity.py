"""Ids and bootstrap checks: the contract's worked examples and messages, the talk's three ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.identity import (
    BootstrapError,
    bootstrap,
    candidacy,
    cluster_id,
    hex_id,
    member_id,
    parse_initial_cluster,
)
from server.options import load
from server.options.config import Config

HOSTS = {"one.example": "10.0.0.1", "two.example": "10.0.0.2"}
TALK_CLUSTER = ",".join(f"atomic-0{n}=http://172.17.8.10{n}:2380" for n in (1, 2, 3))


def config(name: str, cluster: str, advertised: str, *more: str) -> Config:
    """The options that matter here."""
    argv = [
        f"--name={name}",
        f"--initial-cluster={cluster}",
        f"--initial-advertise-peer-urls={advertised}",
        *more,
    ]
    return load(argv, {}).config


def refusal(name: str, cluster: str, advertised: str) -> str:
    """The message of a bootstrap that fails."""
    with pytest.raises(BootstrapError) as caught:
        bootstrap(config(name, cluster, advertised), HOSTS.get)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "token", "expected"),
    [
        ("http://127.0.0.1:23801", "etcd-cluster", "bdae9bbc11dd390d"),
        ("http://localhost:2380", "etcd-cluster", "8e9e05c52164694d"),
        ("http://127.0.0.1:23833", "tok-1", "49216416b08ac00"),
        ("http://127.0.0.1:23835", "tok-1", "7442a8e73a92ee4f"),
        ("http://127.0.0.1:23837", "tok-1", "728866d04211ed8c"),
        (
            "http://127.0.0.1:23879",
            "http://127.0.0.1:23874/d13239d2592fb9c7231a183fbfbecd64",
            "9368f2c5d495f181",
        ),
    ],
)
def test_member_ids_of_the_contract(url: str, token: str, expected: str) -> None:
    """Goal: etcd's ids bit for bit; method: the worked examples."""
    assert hex_id(member_id([url], token)) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (["bdae9bbc11dd390d"], "d1cfaf999eb97a2a"),
        (["8e9e05c52164694d"], "cdf818194e3a8c32"),
        (["49216416b08ac00", "7442a8e73a92ee4f", "728866d04211ed8c"], "c57f099532fc184a"),
        (["9368f2c5d495f181", "bc6c565bb3eebb7c", "75e6846565e38e6a"], "d605c8cae9aad7d8"),
    ],
)
def test_cluster_ids_of_the_contract(members: list[str], expected: str) -> None:
    """Goal: etcd's cluster ids, in any order of members; method: the worked examples."""
    numbers = [int(text, 16) for text in members]
    assert hex_id(cluster_id(numbers)) == expected
    assert hex_id(cluster_id(reversed(numbers))) == expected


def test_the_talks_ids() -> None:
    """Goal: the ids on the talk's slides; method: its initial cluster, seen from each member."""
    expected = {
        "atomic-01": "6ae27f9fa2984b1d",
        "atomic-02": "25d6ce33763c5524",
        "atomic-03": "ff32f4b39b9c47bd",
    }
    seen = set()
    for number, name in enumerate(expected, start=1):
        cluster = bootstrap(
            config(name, TALK_CLUSTER, f"http://172.17.8.10{number}:2380"), HOSTS.get
        )
        assert hex_id(cluster.local.id) == expected[name]
        assert {member.name: hex_id(member.id) for member in cluster.members} == expected
        seen.add((cluster.cluster_id, cluster.members))
    assert len(seen) == 1


def test_id_at_run_time_depends_on_the_time_only() -> None:
    """Goal: the token has no part in it, urls are sorted; method: contract section 1's formula."""
    urls = ["http://b:1", "http://a:1"]
    assert member_id(urls, "", now_s=1795376721) == member_id(
        ["http://a:1http://b:11795376721"], ""
    )


def test_initial_cluster_names_repeat() -> None:
    """Goal: several URLs for a name, blanks and empty parts; method: all at once."""
    parsed = parse_initial_cluster("a=http://x:2, b=http://y:1,,a=http://x:1")
    assert {name: [u.text for u in urls] for name, urls in parsed.items()} == {
        "a": ["http://x:1", "http://x:2"],
        " b": ["http://y:1"],
    }
    assert parse_initial_cluster("") == {}


A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("name", "cluster", "advertised", "message"),
    [
        (
            "foo",
            f"a={A}",
            A,
            'couldn\'t find local name "foo" in the initial cluster configuration',
        ),
        (
            "x",
            f"x={B}",
            A,
            (
                f"--initial-cluster has x={B} but missing from --initial-advertise-peer-urls={A}"
                f' (resolved urls: "{A}" != "{B}")'
            ),
        ),
        (
            "x",
            f"x={A}",
            f"{A},{B}",
            f"--initial-advertise-peer-urls has {B} but missing from --initial-cluster=x={A},x={B}",
        ),
        (
            "x",
            f"x={A},x={B}",
            A,
            (
                f"--initial-cluster has x={B} but missing from --initial-advertise-peer-urls={A}"
                f' (len(["{A}"]) != len(["{A}" "{B}"]))'
            ),
        ),
        ("x", f"x={A},b={A}", A, f"initial cluster b={A},x={A} has duplicate url"),
        (
            "x",
            "x",
            A,
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ",
        ),
        (
            "x",
            "x=http://localhost:1",
            A,
            (
                "--initial-cluster has x=http://localhost:1 but missing from"
                f' --initial-advertise-peer-urls={A} (resolved urls: "{A}" != "http://localhost:1")'
            ),
        ),
        (
            "x",
            "x=http://nowhere.example:1",
            A,
            (
                "--initial-cluster has x=http://nowhere.example:1 but missing from"
                f" --initial-advertise-peer-urls={A} (failed to resolve host nowhere.example)"
            ),
        ),
    ],
)
def test_bootstrap_refusals(name: str, cluster: str, advertised: str, message: str) -> None:
    """Goal: etcd's messages in etcd's order; method: contract section 4."""
    assert refusal(name, cluster, advertised) == message


def test_names_and_addresses_may_differ_if_they_resolve_alike() -> None:
    """Goal: DNS in one place, an address in the other; method: a resolver from a table."""
    cluster = bootstrap(config("x", "x=http://one.example:1", "http://10.0.0.1:1"), HOSTS.get)
    assert cluster.local.peer_urls == ("http://one.example:1",)
    with pytest.raises(BootstrapError, match="resolved urls"):
        bootstrap(config("x", "x=http://two.example:1", "http://10.0.0.1:1"), HOSTS.get)


def test_equal_texts_are_not_resolved() -> None:
    """Goal: a start needs no name server; method: a resolver that must not be called."""

    def resolve(host: str) -> str | None:
        raise AssertionError(host)

    url = "http://nowhere.example:1"
    assert bootstrap(config("x", f"x={url}", url), resolve).local.name == "x"


def test_who_joins_needs_its_name_and_no_url_twice() -> None:
    """Goal: a joiner is checked less than a founder (its advertised URLs are not looked at), in
    etcd's order; method: contract section 3."""
    elsewhere = config("x", f"x={A},b={B}", "http://127.0.0.1:3")
    candidate = candidacy(elsewhere)
    assert candidate.local.peer_urls == (A,)
    assert {member.name for member in candidate.members} == {"x", "b"}
    for cluster, message in (
        (f"a={A},b={A}", 'couldn\'t find local name "x" in the initial cluster configuration'),
        (f"x={A},b={A}", f"initial cluster b={A},x={A} has duplicate url"),
        ("x", "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: "),
    ):
        with pytest.raises(BootstrapError) as caught:
            candidacy(config("x", cluster, A))
        assert str(caught.value) == message


@given(st.lists(st.integers(1, 65535), min_size=1, max_size=5, unique=True))
def test_ids_do_not_depend_on_the_order_given(ports: list[int]) -> None:
    """Goal: every member computes the same cluster; method: URLs in two orders."""
    urls = [f"http://10.0.0.1:{port}" for port in ports]
    cluster = ",".join(f"m={url}" for url in urls)
    backwards = ",".join(f"m={url}" for url in reversed(urls))
    first = bootstrap(config("m", cluster, ",".join(urls)), HOSTS.get)
    assert first == bootstrap(config("m", backwards, ",".join(urls)), HOSTS.get)
