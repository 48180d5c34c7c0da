"""Goal: packets live one hop less and stay right. Method: random packets, checked by definition."""

import random
import struct
from ipaddress import IPv4Address

from flannel import packet
from flannel.backends.udp import Table
from tests.flannel.sample import OTHER, US, net


def ipv4(
    payload: bytes, *, ttl: int = 64, protocol: int = 17, options: bytes = b"", fragment: int = 0
) -> bytes:
    """A right packet from 10.5.1.2 to 10.5.2.2."""
    words = 5 + len(options) // 4
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x40 | words, 0, words * 4 + len(payload), 7, fragment, ttl, protocol, 0,
        IPv4Address("10.5.1.2").packed, IPv4Address("10.5.2.2").packed,
    ) + options  # fmt: skip
    return header[:10] + packet.checksum(header).to_bytes(2, "big") + header[12:] + payload


def is_right(data: bytes) -> bool:
    """Whether the header's checksum is right."""
    return packet.checksum(data[: (data[0] & 15) * 4]) == 0


def test_one_hop_less_and_nothing_else() -> None:
    """The TTL and the checksum change, a wrong checksum stays wrong."""
    chance = random.Random(3)
    for _ in range(2000):
        options = chance.randbytes(4 * chance.randrange(4))
        data = ipv4(
            chance.randbytes(chance.randrange(60)), ttl=chance.randrange(2, 256),
            protocol=chance.randrange(256), options=options, fragment=chance.randrange(1 << 16),
        )  # fmt: skip
        after = packet.forwarded(data)
        assert after is not None
        assert after[8] == data[8] - 1
        assert is_right(after)
        assert after[:8] + after[9:10] + after[12:] == data[:8] + data[9:10] + data[12:]
        wrong = data[:10] + bytes([data[10] ^ 0x55]) + data[11:]
        spoilt = packet.forwarded(wrong)
        assert spoilt is not None
        assert not is_right(spoilt)


def test_the_last_hop_is_dropped() -> None:
    """TTL 1 and 0."""
    assert packet.forwarded(ipv4(b"x", ttl=1)) is None
    assert packet.forwarded(ipv4(b"x", ttl=0)) is None


def test_what_is_no_whole_ipv4_packet() -> None:
    """Short ones, IPv6, a header that ends behind the packet."""
    good = ipv4(b"")
    assert packet.is_whole(good)
    for bad in (b"", good[:19], b"\x60" + good[1:], b"\x4f" + good[1:], b"\x44" + good[1:]):
        assert not packet.is_whole(bad)


def test_an_unknown_subnet_is_said_to_the_sender() -> None:
    """ICMP type 3 code 0, quoting the header and eight bytes."""
    data = ipv4(bytes(range(20)), options=b"\x01" * 4)
    reply = packet.unreachable(data, IPv4Address("10.5.1.0"))
    assert reply is not None
    assert packet.is_whole(reply)
    assert is_right(reply)
    assert reply[9] == 1
    assert reply[12:20] == IPv4Address("10.5.1.0").packed + IPv4Address("10.5.1.2").packed
    assert reply[20:22] == b"\x03\x00"
    assert packet.checksum(reply[20:]) == 0
    assert reply[28:] == data[: 24 + 8]
    assert int.from_bytes(reply[2:4], "big") == len(reply)


def test_no_icmp_about_icmp_nor_about_later_fragments() -> None:
    """RFC 1122; the first fragment counts."""
    us = IPv4Address("10.5.1.0")
    assert packet.unreachable(ipv4(b"x" * 8, protocol=1), us) is None
    assert packet.unreachable(ipv4(b"x" * 8, fragment=0x2001), us) is None
    assert packet.unreachable(ipv4(b"x" * 8, fragment=0x2000), us) is not None


def test_the_longest_prefix_wins() -> None:
    """Leases of other lengths may be left of an older config."""
    table = Table()
    table.put(net("10.5.0.0/16"), US)
    table.put(net("10.5.2.0/24"), OTHER)
    assert table.host_of(int(IPv4Address("10.5.2.9"))) == str(OTHER)
    assert table.host_of(int(IPv4Address("10.5.3.9"))) == str(US)
    table.drop(net("10.5.2.0/24"))
    table.drop(net("10.5.2.0/24"))
    assert table.host_of(int(IPv4Address("10.5.2.9"))) == str(US)
    assert table.host_of(int(IPv4Address("10.6.0.1"))) is None
