"""Strings and instants as Go's encoding/json writes them, byte for byte.

Law: the same bytes in give the same bytes out as etcd 3.4 (contract/keys.md section 7). Keys and
values are raw bytes; what is not UTF-8 is shown as the six characters ``\\ufffd``, once per byte.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring
from typing import Final

# Bytes that stand for themselves in a JSON string of Go's: printable ASCII and DEL, without the
# quote, the backslash and the three characters Go escapes for the sake of HTML.
_PLAIN: Final = bytes(c for c in range(0x20, 0x80) if c not in b'"\\<>&')
# Python has short escapes for these two, Go has not: lone surrogates, which no text has in it that
# was read from bytes, stand for them meanwhile.
_LONG: Final = (("\b", "\ud808", "\\u0008"), ("\f", "\ud80c", "\\u000c"))
_HTML: Final = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))
_LINE_SEPARATORS: Final = (
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def quote(raw: bytes) -> bytes:
    """Return `raw` as a JSON string, quotes included."""
    if raw.translate(None, _PLAIN):
        return _quote(raw)
    return b'"%b"' % raw


def _quote(raw: bytes) -> bytes:
    # Steps over the whole of it, each at memory speed: 10 MiB, also of what is no UTF-8, must not
    # hold up the event loop for the second a step per character would take.
    text = raw.decode(errors="surrogateescape")
    for control, stand_in, _ in _LONG:
        if control in text:
            text = text.replace(control, stand_in)
    text = encode_basestring(text)
    for _, stand_in, escaped in _LONG:
        if stand_in in text:
            text = text.replace(stand_in, escaped)
    try:
        quoted = text.encode()
    except UnicodeEncodeError:
        # A question mark takes the place of each byte that is no UTF-8, and a zero byte, which has
        # been escaped and cannot be there, that of a question mark.
        quoted = text.replace("?", "\0").encode(errors="replace")
        quoted = quoted.replace(b"?", b"\\ufffd").replace(b"\0", b"?")
    escapes = _HTML if quoted.isascii() else _HTML + _LINE_SEPARATORS
    for plain, escape in escapes:
        if plain in quoted:
            quoted = quoted.replace(plain, escape)
    return quoted


def rfc3339(unix_ns: int) -> bytes:
    """Return an instant in UTC with up to nine fractional digits, trailing zeros removed."""
    seconds, fraction = divmod(unix_ns, 1_000_000_000)
    instant = _EPOCH + timedelta(seconds=seconds)
    text = instant.strftime("%Y-%m-%dT%H:%M:%S")
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text.encode() + b"Z"
