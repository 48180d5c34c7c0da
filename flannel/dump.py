"""Whole tables of the kernel, read in one go: rtnetlink's dumps, at the speed of a look every few
seconds at thousands of entries (through pyroute2 that look took a quarter of a processor).

A message is a fixed header and attributes: numbers with bytes (rtnetlink(7)).

Laws: knows how messages are laid out, not what they say; a dump that the kernel calls inconsistent
is read again a few times, then taken as it is: whoever looks again and again sees the next one.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator

Message = tuple[bytes, dict[int, bytes]]
"""Header, and the attributes by number; of two with one number the last."""

_HEAD = struct.Struct("=IHHII")
"""Length, type, flags, sequence number, port."""
_ATTRIBUTE = struct.Struct("=HH")
"""Length with this, type."""
_ERROR = struct.Struct("=i")
_TYPE_MASK = 0x3FFF
"""Without the marks for nested and big-endian ones."""
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP_INTR, _NLM_F_DUMP = 0x01, 0x10, 0x300
_RECEIVE_BYTES = 1 << 16
"""The kernel fills up to half of it at a time."""
_TRIES_MAX = 3
_ANSWER_S = 5.0
"""The kernel answers while it is asked; a bound all the same."""


def dump(kind: int, header: bytes, header_bytes: int) -> list[Message]:
    """The answers to a request of that type with that header, each with a header of
    `header_bytes`; raises OSError."""
    for _ in range(_TRIES_MAX):
        messages, is_consistent = _ask(kind, header, header_bytes)
        if is_consistent:
            break
    return messages


def _ask(kind: int, header: bytes, header_bytes: int) -> tuple[list[Message], bool]:
    head = _HEAD.pack(_HEAD.size + len(header), kind, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
    found: list[Message] = []
    is_consistent = True
    flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_ANSWER_S)
        kernel.send(head + header)
        while True:
            for said, marks, body in _split(kernel.recv(_RECEIVE_BYTES)):
                is_consistent = is_consistent and not marks & _NLM_F_DUMP_INTR
                if said in (_NLMSG_DONE, _NLMSG_ERROR):
                    code = -_ERROR.unpack_from(body)[0] if len(body) >= _ERROR.size else 0
                    if code:
                        raise OSError(code, os.strerror(code))
                    return found, is_consistent
                found.append((body[:header_bytes], _attributes(body, header_bytes)))


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each message."""
    at = 0
    while at < len(data):
        length, said, marks, _, _ = _HEAD.unpack_from(data, at)
        if length < _HEAD.size:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        yield said, marks, data[at + _HEAD.size : at + length]
        at += _aligned(length)


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    end, size, unpack = len(body), _ATTRIBUTE.size, _ATTRIBUTE.unpack_from
    at = _aligned(at)
    while at + size <= end:
        length, number = unpack(body, at)
        if length < size:
            break
        found[number & _TYPE_MASK] = body[at + size : at + length]
        at += length + 3 & ~3
    return found


def _aligned(length: int) -> int:
    return length + 3 & ~3
