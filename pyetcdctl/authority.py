"""The part of a URL between `//` and the path: who asks, which host, which port.

Laws: pure. It is read as Go's net/url reads it, and refused with Go's words (as a ValueError's).
Names of other scripts become punycode, as Go dials and sends them.
"""

from __future__ import annotations

import re
import socket
from typing import Final, NamedTuple
from urllib.parse import unquote

from golang.quoting import go_quote

# Texts, compiled where they are needed: most endpoints are an address and a port.
_USER: Final = r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*"
_ESCAPE: Final = r"%[0-9A-Fa-f]{2}"
# In a host only what is no ASCII may be escaped, and the percent sign.
_HOST_ESCAPE: Final = r"%(?:25|[89A-Fa-f][0-9A-Fa-f])"
_ODD: Final = r"%.{0,2}|[^A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>\"\x80-\U0010ffff]"
_PORT: Final = "(:[0-9]{0,99})?"
_ZONE: Final = r"[A-Za-z0-9\-_.~]*"
_NAME_MAX: Final = 253
_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME: Final = rf"{_LABEL}(\.{_LABEL})*\.?"
_NOT_ONLY_DIGITS: Final = "[^0-9.]"


class Authority(NamedTuple):
    """`host` is without brackets; `port` is None if there is none."""

    credentials: tuple[str, str] | None
    host: str
    port: int | None


def parse(text: str) -> Authority:
    """Read one."""
    user, at, place = text.rpartition("@")
    host, port = _host_and_port(place)
    credentials = None
    if at:
        if not re.fullmatch(_USER, user):
            raise ValueError("net/url: invalid userinfo")
        name, _, password = user.partition(":")
        credentials = unescape(name), unescape(password)
    return Authority(credentials, host, port)


def unescape(text: str, allowed: str = _ESCAPE) -> str:
    """Resolve the escapes; bytes that are no UTF-8 become surrogates."""
    position = text.find("%")
    while position >= 0:
        if not re.match(allowed, text[position:]):
            raise ValueError(f"invalid URL escape {go_quote(text[position : position + 3])}")
        position = text.find("%", position + 3)
    return unquote(text, errors="surrogateescape")


def _host_and_port(place: str) -> tuple[str, int | None]:
    if place.startswith("["):
        name, bracket, port = place[1:].rpartition("]")
        if not bracket:
            raise ValueError("missing ']' in host")
    else:
        name, colon, digits = place.rpartition(":")
        name, port = (name, colon + digits) if colon else (place, "")
    if not re.fullmatch(_PORT, port):
        raise ValueError(f"invalid port {go_quote(port)} after host")
    number = int(port[1:]) if len(port) > 1 else None
    if not place.startswith("["):
        return _host(name), number
    address, percent, zone = name.partition("%25")
    if not re.fullmatch(_ZONE, zone):
        raise ValueError(f"invalid URL escape {go_quote(zone[:3])}")
    return _host(address) + ("%" if percent else "") + zone, number


def is_address(host: str) -> bool:
    """Whether it is an IP address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0] if ":" in host else host)
    except (OSError, ValueError):
        return False
    return True


def is_name(host: str) -> bool:
    """Whether a name server can know it; Go asks for nothing else."""
    return host == "." or (
        re.fullmatch(_NAME, host) is not None
        and len(host.rstrip(".")) <= _NAME_MAX
        and re.search(_NOT_ONLY_DIGITS, host) is not None
    )


def _host(text: str) -> str:
    for odd in re.finditer(_ODD, text, re.DOTALL):
        if odd[0][0] != "%":
            raise ValueError(f"invalid character {go_quote(odd[0])} in host name")
    host = unescape(text, _HOST_ESCAPE)
    if host.isascii():
        return host
    try:
        shown = host.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return shown.encode("idna").decode("ascii")
    except UnicodeError:  # no name server knows it
        return host
