"""Strings and instants as Go's encoding/json writes them, byte for byte.

Law: the same bytes in give the same bytes out as etcd 3.4 (contract/keys.md section 7). Keys and
values are raw bytes; what is not UTF-8 is shown as the six characters ``\\ufffd``, once per byte.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

# Bytes that stand for themselves in a JSON string of Go's: printable ASCII and DEL, without the
# quote, the backslash and the three characters Go escapes for the sake of HTML.
_PLAIN: Final = bytes(c for c in range(0x20, 0x80) if c not in b'"\\<>&')
_CONTROL: Final = bytes(c for c in range(0x20) if c not in b"\n\r\t")

# The backslash comes first: the later replacements bring new ones.
_ESCAPES: Final = (
    (b"\\", b"\\\\"),
    (b'"', b'\\"'),
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    (b"\n", b"\\n"),
    (b"\r", b"\\r"),
    (b"\t", b"\\t"),
)
_LINE_SEPARATORS: Final = (
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_SMUGGLED: Final = re.compile("[\udc80-\udcff]")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def quote(raw: bytes) -> bytes:
    """Return `raw` as a JSON string, quotes included."""
    if raw.translate(None, _PLAIN):
        raw = _escape(raw)
    return b'"%b"' % raw


def _escape(raw: bytes) -> bytes:
    # Whole-buffer replacements run at memory speed: a 10 MiB value of quotes must not hold up
    # the event loop for the second a character-wise loop would take.
    for plain, escaped in _ESCAPES:
        if plain in raw:
            raw = raw.replace(plain, escaped)
    if len(raw.translate(None, _CONTROL)) != len(raw):
        for code in _CONTROL:
            raw = raw.replace(bytes((code,)), b"\\u%04x" % code)
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError:
            text = raw.decode(errors="surrogateescape")
            raw = _SMUGGLED.sub("\\\\ufffd", text).encode()
        for plain, escaped in _LINE_SEPARATORS:
            raw = raw.replace(plain, escaped)
    return raw


def rfc3339(unix_ns: int) -> bytes:
    """Return an instant in UTC with up to nine fractional digits, trailing zeros removed."""
    seconds, fraction = divmod(unix_ns, 1_000_000_000)
    instant = _EPOCH + timedelta(seconds=seconds)
    text = instant.strftime("%Y-%m-%dT%H:%M:%S")
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text.encode() + b"Z"
