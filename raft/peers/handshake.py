"""The handshake: the HTTP upgrade with which one member takes up a connection to another.

    GET /raft/pyetcd HTTP/1.1                   HTTP/1.1 101 Switching Protocols
    Host: 10.0.0.2:2380                         Connection: Upgrade
    Connection: Upgrade                         Upgrade: pyetcd-raft/1
    Upgrade: pyetcd-raft/1                      X-Etcd-Cluster-ID: c57f099532fc184a
    X-Etcd-Cluster-ID: c57f099532fc184a         X-Server-From: 49216416b08ac00
    X-Server-From: 728866d04211ed8c             X-Server-Version: 3.4.23
    X-Server-Version: 3.4.23                    X-Raft-To: 728866d04211ed8c
    X-Raft-To: 49216416b08ac00                  X-Raft-Incarnation: 2a
    X-Raft-Incarnation: 51bd3f0e9a7c2244
    X-Raft-Births: 728866d04211ed8c=1c77f05b    X-Raft-Births: 49216416b08ac00=9a02d4e1
    X-Raft-Dial: 7
    X-Raft-Seen: 2a/3

Laws:

* Sans-IO: heads in, what they say out.
* Strict: a head is read in one way or refused. Nothing in it is evaluated, and what it says of its
  sender is not believed here (`mesh` judges).
* Headers nobody knows are ignored, so that later releases may add some; one that says something
  else of the same bytes needs a new protocol name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL: Final = "pyetcd-raft/1"
HEAD_BYTES_MAX: Final = 8 << 10
HEAD_END: Final = b"\r\n\r\n"
# A request that begins otherwise is no member's.
REQUEST_START: Final = b"GET /raft/pyetcd "

_REQUEST_LINE: Final = b"GET /raft/pyetcd HTTP/1.1"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9])(?: [ -~\t]*)?")
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[ -~\t]*")
_ID: Final = re.compile(r"[0-9a-f]{1,16}")
_BIRTH: Final = re.compile(r"([0-9a-f]{1,16})=([0-9a-f]{1,8})")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_VERSION: Final = re.compile(r"[!-~]{0,64}")


class Refusal(Exception):
    """Why a handshake is not taken up, and the status to say so with."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class BadAnswer(ValueError):
    """Not an answer to a handshake."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a dialing member says of itself, and of whom it wants.

    `incarnation` is drawn anew at each start of a member; `dial` numbers its attempts to connect,
    upwards; `seen` is the incarnation and dial of the other side's last attempt that had reached
    it, None for none. `births` are those that the sender has on record, by member (raft.births).
    """

    cluster_id: int
    sender: int
    wanted: int
    incarnation: int
    dial: int
    seen: tuple[int, int] | None
    births: Mapping[int, int]
    version: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The connection is taken up: what the other side says of itself and of whom it believes us.

    `births` are as in a Hello.
    """

    cluster_id: int
    sender: int
    wanted: int
    incarnation: int
    births: Mapping[int, int]
    version: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The connection is not taken up; ids only where the answer names them."""

    status: int
    cluster_id: int | None
    sender: int | None


# -- the dialing side -------------------------------------------------------------------------


def request(hello: Hello, authority: str) -> bytes:
    """Return the head with which to ask `authority` (host and port) for a connection."""
    seen = f"X-Raft-Seen: {hello.seen[0]:x}/{hello.seen[1]}\r\n" if hello.seen else ""
    return (
        f"{_REQUEST_LINE.decode()}\r\n"
        f"Host: {authority}\r\n"
        f"{_upgrade()}"
        f"{_identity(hello)}"
        f"X-Raft-Dial: {hello.dial}\r\n"
        f"{seen}\r\n"
    ).encode()


def read_answer(head: bytes) -> Welcome | Declined:
    """Read an answer's head, blank line and all; raises BadAnswer."""
    line, *lines = head[: -len(HEAD_END)].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise BadAnswer("not an HTTP/1.1 answer")
    status = int(match[1])
    try:
        fields = _fields(lines)
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            if not _is_upgrade(fields):
                raise BadAnswer(f"an upgrade, but not to {PROTOCOL}")
            return Welcome(
                _id(fields, "x-etcd-cluster-id"),
                _id(fields, "x-server-from"),
                _id(fields, "x-raft-to"),
                _id(fields, "x-raft-incarnation"),
                _births(fields),
                _version(fields),
            )
        return Declined(
            status,
            _optional_id(fields, "x-etcd-cluster-id") or None,
            _optional_id(fields, "x-server-from") or None,
        )
    except _BadHead as error:
        raise BadAnswer(str(error)) from error


# -- the side that is dialed --------------------------------------------------------------------


def read_request(head: bytes) -> Hello:
    """Read a request's head, blank line and all; raises Refusal."""
    line, *lines = head[: -len(HEAD_END)].split(b"\r\n")
    if line != _REQUEST_LINE:
        raise Refusal(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request")
    try:
        fields = _fields(lines)
        if not _is_upgrade(fields):
            text = f"this member speaks {PROTOCOL} here"
            raise Refusal(HTTPStatus.UPGRADE_REQUIRED, text)
        if fields.get("content-length", "0") != "0" or "transfer-encoding" in fields:
            raise _BadHead("a handshake has no body")
        return Hello(
            _id(fields, "x-etcd-cluster-id"),
            _id(fields, "x-server-from"),
            _id(fields, "x-raft-to"),
            _id(fields, "x-raft-incarnation"),
            _dial(_field(fields, "x-raft-dial")),
            _seen(fields["x-raft-seen"]) if "x-raft-seen" in fields else None,
            _births(fields),
            _version(fields),
        )
    except _BadHead as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from error


def welcome(answer: Welcome) -> bytes:
    """Return the head that takes a connection up."""
    return f"HTTP/1.1 101 Switching Protocols\r\n{_upgrade()}{_identity(answer)}\r\n".encode()


def decline(refusal: Refusal, cluster_id: int, member_id: int) -> bytes:
    """Return the answer of a member that does not take a connection up."""
    body = f"{refusal.text}\n".encode()
    upgrade = f"Upgrade: {PROTOCOL}\r\n" if refusal.status == HTTPStatus.UPGRADE_REQUIRED else ""
    head = (
        f"HTTP/1.1 {refusal.status.value} {refusal.status.phrase}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"{upgrade}"
        f"X-Etcd-Cluster-ID: {cluster_id:x}\r\n"
        f"X-Server-From: {member_id:x}\r\n"
        "Connection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# -- what both have in common -------------------------------------------------------------------


class _BadHead(ValueError):
    """A head that cannot be read."""


def _upgrade() -> str:
    return f"Connection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n"


def _identity(who: Hello | Welcome) -> str:
    version = f"X-Server-Version: {who.version}\r\n" if who.version else ""
    pairs = ", ".join(f"{member:x}={birth:x}" for member, birth in who.births.items())
    births = f"X-Raft-Births: {pairs}\r\n" if pairs else ""
    return (
        f"X-Etcd-Cluster-ID: {who.cluster_id:x}\r\n"
        f"X-Server-From: {who.sender:x}\r\n"
        f"{version}"
        f"X-Raft-To: {who.wanted:x}\r\n"
        f"X-Raft-Incarnation: {who.incarnation:x}\r\n"
        f"{births}"
    )


def _fields(lines: list[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        raw_name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(raw_name) or not _VALUE.fullmatch(value):
            raise _BadHead("a header line is malformed")
        name = raw_name.decode().lower()
        if name in fields:
            raise _BadHead("a header is there twice")
        fields[name] = value.decode().strip(" \t")
    return fields


def _is_upgrade(fields: dict[str, str]) -> bool:
    options = [option.strip().lower() for option in fields.get("connection", "").split(",")]
    return "upgrade" in options and fields.get("upgrade") == PROTOCOL


def _field(fields: dict[str, str], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise _BadHead(f"the header {name} is missing")
    return value


def _id(fields: dict[str, str], name: str) -> int:
    value = _field(fields, name)
    if not _ID.fullmatch(value) or int(value, 16) == 0:
        raise _BadHead(f"the header {name} is not an id")
    return int(value, 16)


def _optional_id(fields: dict[str, str], name: str) -> int:
    return _id(fields, name) if name in fields else 0


def _births(fields: dict[str, str]) -> dict[int, int]:
    births: dict[int, int] = {}
    if "x-raft-births" in fields:
        for pair in fields["x-raft-births"].split(","):
            match = _BIRTH.fullmatch(pair.strip(" "))
            if match is None or int(match[1], 16) in births:
                raise _BadHead("the header x-raft-births is malformed")
            births[int(match[1], 16)] = int(match[2], 16)
    return births


def _dial(value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise _BadHead("the number of a dial is none")
    return int(value)


def _seen(value: str) -> tuple[int, int]:
    incarnation, _, dial = value.partition("/")
    if not _ID.fullmatch(incarnation):
        raise _BadHead("the header x-raft-seen is malformed")
    return int(incarnation, 16), _dial(dial)


def _version(fields: dict[str, str]) -> str:
    version = fields.get("x-server-version", "")
    if not _VERSION.fullmatch(version):
        raise _BadHead("the header x-server-version is malformed")
    return version
