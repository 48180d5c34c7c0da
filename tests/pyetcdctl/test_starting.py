"""How `member replace` says the new member is started, and what it looks at before a removal."""

import json

import pytest

from pyetcdctl import Member
from pyetcdctl.command import starting
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.running import run


def member(number: str, name: str, peers: str, clients: str) -> Member:
    """One with these URLs, comma-separated."""
    return Member(number, name, tuple(peers.split(",")), tuple(clients.split(",")))


@pytest.mark.parametrize(
    ("advertised", "listened"),
    [
        ("http://10.0.0.1:2379", "http://10.0.0.1:2379"),
        ("https://[fe80::1]:2379", "https://[fe80::1]:2379"),
        ("http://localhost:2379", "http://localhost:2379"),
        ("unix://m1:2379", "unix://m1:2379"),
        ("https://m1:2379", "https://0.0.0.0:2379"),
        ("http://m1", "http://0.0.0.0:80"),
        ("http://m1:2379,http://m1.example:2379", "http://0.0.0.0:2379"),
        ("http://m1:2379,http://10.0.0.1:2379", "http://0.0.0.0:2379"),
        ("http://m1:2379,http://10.0.0.1:4001", "http://0.0.0.0:2379,http://10.0.0.1:4001"),
    ],
)
def test_what_is_listened_on(advertised: str, listened: str) -> None:
    """Goal: etcd can bind to it, and whoever goes to what is advertised arrives. Method: addresses,
    names, and both on one port.
    """
    assert starting.listened(advertised.split(",")) == listened.split(",")


def test_the_command_line() -> None:
    """Goal: it can be pasted: names are advertised, addresses listened on, and what else it needs
    is said. Method: a member with names and TLS; one that moves to another host.
    """
    others = [member("2", "m2", "https://m2:2380", "https://m2:2379")]
    gone = member("1", "m1", "https://m1:2380", "https://m1:2379")
    added = member("3", "", "https://m1:2380", "")
    told = starting.told(gone, added, [added, *others])
    assert told.startswith("\nStart it, with an empty data directory:\n(")
    assert "(It listens on all addresses where a name is advertised.)" in told
    assert "--cert-file" in told
    assert told.endswith(
        "\n\netcd --name=m1 --data-dir=m1.etcd --listen-peer-urls=https://0.0.0.0:2380 "
        "--initial-advertise-peer-urls=https://m1:2380 --listen-client-urls=https://0.0.0.0:2379 "
        "--advertise-client-urls=https://m1:2379 "
        "--initial-cluster=m1=https://m1:2380,m2=https://m2:2380 --initial-cluster-state=existing\n"
    )
    moved = member("3", "", "http://10.0.0.9:2380", "")
    gone = member("1", "m1", "http://10.0.0.1:2380", "http://10.0.0.1:2379,http://10.1.0.1:2379")
    told = starting.told(gone, moved, [moved])
    assert " --advertise-client-urls=http://10.0.0.9:2379,http://10.1.0.1:2379 " in told
    assert "(Not all of its client URLs are at its new host: change the others.)" in told


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"id": "c", "name": ""}, "Refused: the member c was never started and has no name"),
        ({"id": "c", "name": "m1"}, "Refused: there are two members named m1"),
        ({"id": "a", "clientURLs": ["http://%zz"]}, "Refused: a URL of m1 cannot be read: parse"),
    ],
)
def test_it_is_looked_at_before_anything_is_removed(
    changed: dict[str, object], complaint: str
) -> None:
    """Goal: who could not be told how to start the new member loses none. Method: a cluster of five
    that is played, one of them in a way; what was asked of it.
    """
    asked: list[str] = []
    members: list[dict[str, object]] = []

    def behave(path: str, _headers: object) -> Reply:
        asked.append(path)
        if path == "/health":
            return Reply(b'{"health": "true"}')
        return Reply(json.dumps({"members": members}).encode())

    with answering(behave) as url:
        for number, name in enumerate("abcde", 1):
            peers = {"peerURLs": [f"http://10.0.0.{number}:2380"], "clientURLs": [url]}
            listed = {"id": name, "name": f"m{number}", **peers}
            members.append(listed | changed if changed["id"] == name else listed)
        said = run(url, "--no-sync", "member", "replace", "a")
    assert said.code == 1
    assert said.err.startswith(complaint)
    assert not [path for path in asked if path.startswith("/v2/members/")]
