"""IPv4 packets as udp forwards them: one hop less to live, or "unreachable" to the sender.

Laws: pure; a packet that is not whole IPv4 is dropped, whoever sent it; the checksum is patched,
not computed anew, so that a wrong one stays wrong (RFC 1624); no ICMP error is made about an ICMP
packet or a later fragment (RFC 1122).
"""

import struct
from ipaddress import IPv4Address

HEADER_BYTES_MIN = 20
VERSION = 4
TTL_AT, PROTOCOL_AT, CHECKSUM_AT, DESTINATION_AT = 8, 9, 10, 16
FRAGMENT_OFFSET_MASK = 0x1FFF
PROTOCOL_ICMP = 1
ICMP_UNREACHABLE, CODE_NETWORK = 3, 0
ICMP_QUOTE_BYTES = 8
"""What is quoted of a packet behind its header."""
REPLY_TTL = 64


def is_whole(packet: bytes) -> bool:
    """Whether it is an IPv4 packet with a whole header."""
    return (
        len(packet) >= HEADER_BYTES_MIN
        and packet[0] >> 4 == VERSION
        and HEADER_BYTES_MIN <= (packet[0] & 0x0F) * 4 <= len(packet)
    )


def destination(packet: bytes) -> int:
    """The address a whole packet goes to."""
    return int.from_bytes(packet[DESTINATION_AT : DESTINATION_AT + 4], "big")


def forwarded(packet: bytes) -> bytes | None:
    """A whole packet with one hop less to live; None if that was its last."""
    ttl = packet[TTL_AT]
    if ttl <= 1:
        return None
    checksum = int.from_bytes(packet[CHECKSUM_AT : CHECKSUM_AT + 2], "big") + 0x0100
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    return b"%b%c%c%b%b" % (
        packet[:TTL_AT],
        ttl - 1,
        packet[PROTOCOL_AT],
        checksum.to_bytes(2, "big"),
        packet[CHECKSUM_AT + 2 :],
    )


def unreachable(packet: bytes, source: IPv4Address) -> bytes | None:
    """The ICMP error to the sender of a whole packet; None if there must be none."""
    offset = int.from_bytes(packet[6:8], "big") & FRAGMENT_OFFSET_MASK
    if packet[PROTOCOL_AT] == PROTOCOL_ICMP or offset:
        return None
    quoted = packet[: (packet[0] & 0x0F) * 4 + ICMP_QUOTE_BYTES]
    body = struct.pack("!BBHI", ICMP_UNREACHABLE, CODE_NETWORK, 0, 0) + quoted
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    header = struct.pack(
        "!BBHHHBBH4s4s",
        VERSION << 4 | HEADER_BYTES_MIN // 4,
        0,
        HEADER_BYTES_MIN + len(body),
        0,
        0,
        REPLY_TTL,
        PROTOCOL_ICMP,
        0,
        source.packed,
        packet[12:16],
    )
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + body


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
