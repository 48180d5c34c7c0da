"""Request heads as Go's HTTP server reads them, put into the words that aiohttp's parser knows.

Law: what Go takes is taken, what Go refuses is refused with Go's words. llhttp, which aiohttp reads
with, differs from Go in odd requests only: unknown or lower-case methods, raw UTF-8 in a path, a
full URL as target, bare line feeds.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote_from_bytes

from api.render import TEXT

# What llhttp and Go read alike: these pass as they are.
_PLAIN_LINE: Final = re.compile(
    rb"(?:GET|PUT|POST|DELETE|HEAD|OPTIONS|PATCH|TRACE) /[!$-~]* HTTP/1\.[01]\r\n"
)
_LINE: Final = re.compile(rb"([^ \r\n]+) ([^ \r\n]+) HTTP/1\.([0-9])\r?\n")
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KNOWN_METHODS: Final = frozenset(
    (b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE")
)
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?]*")
_CONTROL: Final = re.compile(rb"[\x00-\x20\x7f]")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_TARGET_SAFE: Final = "".join(map(chr, range(0x21, 0x7F)))

# A method no route allows: it gets the answers an unknown method gets.
_NEVER_ALLOWED: Final = b"PATCH"

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_HOST: Final = re.compile(rb"\nhost:[ \t]*([^\r\n]*)")
_HOST_NAME: Final = re.compile(rb"[a-z0-9!$%&'()*+,\-.:;=\[\]_~]*[ \t]*")

BAD_REQUEST: Final = b"400 Bad Request"
NO_HOST: Final = b"400 Bad Request: missing required Host header"
BAD_HOST: Final = b"400 Bad Request: malformed Host header"
HEAD_TOO_LARGE: Final = b"431 Request Header Fields Too Large"


class Refusal(Exception):
    """The head cannot be served; the status line, without the version, to say so with."""

    def __init__(self, status: bytes) -> None:
        super().__init__(status)
        self.status = status


def refusal(status: bytes = BAD_REQUEST) -> bytes:
    """What Go's server says to a request it cannot read, before it closes the connection."""
    return b"HTTP/1.1 %b\r\n%bConnection: close\r\n\r\n%b" % (status, TEXT, status)


def normalise(line: bytes) -> bytes:
    """Return a request line that aiohttp reads as Go reads `line`; raises Refusal."""
    match = _LINE.fullmatch(line)
    if match is None or _METHOD.fullmatch(match[1]) is None:
        raise Refusal(BAD_REQUEST)
    method, target, minor = match.groups()
    if method == b"OPTIONS" and target == b"*":
        target = b"/"
    elif method == b"CONNECT" and not target.startswith(b"/"):
        target = b"/" + target  # an authority names no route
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        target = target[absolute.end() :]
        if not target.startswith(b"/"):
            target = b"//" + target  # no path: the redirect to the clean one says "/"
    if not target.startswith(b"/") or _CONTROL.search(target):
        raise Refusal(BAD_REQUEST)
    path, mark, query = target.partition(b"?")
    if _BAD_ESCAPE.search(path):
        raise Refusal(BAD_REQUEST)
    path = quote_from_bytes(path, safe=_TARGET_SAFE).replace("#", "%23").encode()
    query = quote_from_bytes(query, safe=_TARGET_SAFE).encode()
    known = method if method in _KNOWN_METHODS else _NEVER_ALLOWED
    version = b"1.0" if minor == b"0" else b"1.1"
    return b"%b %b%b%b HTTP/%b\r\n" % (known, path, mark, query, version)


def read(head: bytes) -> tuple[bytes, bytes]:
    """Return a head in aiohttp's words, and in lower case; raises Refusal."""
    if _PLAIN_LINE.match(head) is None or b"%" in head:
        line, newline, headers = head.partition(b"\n")
        head = normalise(line + newline) + headers
    if head.count(b"\n") != head.count(b"\r\n"):
        head = _BARE_LF.sub(b"\r\n", head)
    lowered = head.lower()
    _check_host(lowered)
    return head, lowered


def can_begin(data: bytes | bytearray) -> bool:
    """Tell whether the beginning of a head may become one, as far as one can see."""
    return b"\n" not in data or _LINE.match(data) is not None


def _check_host(lowered: bytes) -> None:
    """Go wants one well-formed Host, and with HTTP/1.1 wants it to be there."""
    hosts = _HOST.findall(lowered)
    if len(hosts) == 1:
        if _HOST_NAME.fullmatch(hosts[0]) is None:
            raise Refusal(BAD_HOST)
    elif hosts:
        raise Refusal(BAD_REQUEST)
    elif b" http/1.1\r\n" in lowered:
        raise Refusal(NO_HOST)
