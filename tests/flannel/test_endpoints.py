"""Goal: the daemon knows where its store is, and refuses what cannot be a store's URL.

Method: texts by the table; names that the resolver knows, or does not know any more.
"""

import asyncio
import socket
from ipaddress import IPv4Address

import pytest

from flannel import endpoints
from flannel.endpoints import ALLOWED, EndpointError, Endpoints


async def test_where_they_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses as they are; a name by the resolver, once a minute. What it said last counts when
    it says nothing."""
    known = {"etcd.example": "10.5.9.1"}
    asked = []

    async def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host not in known:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    store = Endpoints(
        ["http://10.5.8.1:2379", "https://etcd.example", "http://[::1]:2379", "unix:///run/etcd"]
    )
    both = {IPv4Address("10.5.8.1"), IPv4Address("10.5.9.1")}
    assert [await store.addresses() for _ in range(3)] == [both] * 3
    assert asked == ["etcd.example"]
    known.clear()
    monkeypatch.setattr(endpoints, "LOOK_AGAIN_S", 0.0)
    store = Endpoints(["http://etcd.example"])
    assert await store.addresses() == set()
    known["etcd.example"] = "10.5.9.2"
    assert await store.addresses() == {IPv4Address("10.5.9.2")}
    known.clear()
    assert await store.addresses() == {IPv4Address("10.5.9.2")}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://172.17.8.1:2379", '"ftp://172.17.8.1:2379" cannot be used, its scheme is ftp: '),
        ("http://172.17.8.1:99999", "its port is 99999: "),
        ("http://172.17.8.1:0", "its port is 0: "),
        ("http://", '"http://" cannot be used, it has no host: '),
        ("172.17.8.1:2379", 'parse "172.17.8.1:2379": first path segment in URL cannot contain '),
    ],
)
def test_what_cannot_be_one(text: str, why: str) -> None:
    """The value, and what is allowed: waiting for it would be for ever."""
    with pytest.raises(EndpointError) as caught:
        Endpoints(["http://127.0.0.1:2379", text])
    assert why in str(caught.value)
    assert str(caught.value).endswith(ALLOWED)
