"""This machine's address and other hosts' by name."""

import ipaddress
import socket

import pytest

from server import hosts


def test_default_host_is_an_address_or_nothing() -> None:
    """Goal: usable on any machine; method: whatever this one has."""
    host = hosts.default_host()
    assert host is None or ipaddress.ip_address(host)


def test_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: IPv4 first, None when there is none in time; method: a faked resolver."""
    found = [
        (socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(hosts.socket, "getaddrinfo", lambda *_, **__: found)
    assert hosts.resolve("x") == "127.0.0.1"
    monkeypatch.setattr(hosts.socket, "getaddrinfo", lambda *_, **__: [])
    monkeypatch.setattr(hosts, "RESOLVE_TIMEOUT_S", 0.0)
    assert hosts.resolve("x") is None
