"""Peer URLs as something to connect to."""

import asyncio

import pytest

from raft.peers.address import Address, BadAddress, connect, parse


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://10.0.0.1:2380", Address("10.0.0.1", 2380, "", False, "10.0.0.1:2380")),
        ("https://n1.example:2380", Address("n1.example", 2380, "", True, "n1.example:2380")),
        ("http://[::1]:2380", Address("::1", 2380, "", False, "[::1]:2380")),
        ("http://[fe80::1%25lo]:1", Address("fe80::1%lo", 1, "", False, "[fe80::1%25lo]:1")),
        ("unix://localhost:2380", Address("localhost", 0, "localhost:2380", False, "localhost")),
        ("unixs:///run/p", Address("localhost", 0, "/run/p", True, "localhost")),
    ],
)
def test_a_url_leads_somewhere(url: str, expected: Address) -> None:
    """Goal: each kind of peer URL. Method: parse."""
    assert parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:2380",
        "ftp://h:21",
        "http://h",
        "http://:2380",
        "http://h:0",
        "http://h:99999",
        "http://h:x",
        "http://[::1:1",
        "http://a b:1",
        "http://a\r\nX: y:1",
        "http://\u00e9:1",
        "unix://",
        "unix://a\0b",
    ],
)
def test_what_leads_nowhere_says_so(url: str) -> None:
    """Goal: a bad URL is an error of its own, and no way to inject header lines. Method: parse."""
    with pytest.raises(BadAddress):
        parse(url)


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "unixs:///none"])
async def test_tls_needs_a_context(url: str) -> None:
    """Goal: a TLS URL is never dialed in the clear. Method: dial without a context."""
    with pytest.raises(BadAddress, match="TLS"):
        await connect(parse(url), asyncio.Protocol, None)


async def test_a_name_that_cannot_be_looked_up_is_an_error_of_its_own() -> None:
    """Goal: no other exception. Method: a label that is too long for the DNS."""
    with pytest.raises((BadAddress, OSError)):
        await connect(parse(f"http://{'a' * 70}.example:1"), asyncio.Protocol, None)
