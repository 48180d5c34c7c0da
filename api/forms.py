"""Query strings and form bodies as Go's net/url and net/http read them.

Laws:

* Values are raw bytes; nothing is trimmed. The first of several values of a name counts, and those
  of the body come before those of the query.
* A body counts only with PUT, POST and PATCH and only if its Content-Type says it is a form.
* Errors are errorCode 210 with Go's text as cause (contract/keys.md section 4.2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from api import mediatype
from kvstore.errors import INVALID_FORM, EtcdError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORM: Final = "application/x-www-form-urlencoded"
BODY_BYTES_MAX: Final = 10 << 20
TOO_LARGE: Final = b"http: POST too large"

_BODY_METHODS: Final = frozenset(("PUT", "POST", "PATCH"))
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})[^\n]{0,2}|%(?![0-9A-Fa-f]{2})")


def reads_body(method: str, content_type: str) -> bool:
    """Tell whether the body of such a request is read at all."""
    if method not in _BODY_METHODS or not content_type:
        return False
    if content_type == FORM:
        return True
    try:
        return mediatype.parse(content_type)[0] == FORM
    except mediatype.BadMediaType:
        return False


def parse(method: str, content_type: str, query: bytes, body: bytes) -> Mapping[bytes, bytes]:
    """Return the first value of each name of body and query."""
    error: bytes | None = None
    values: dict[bytes, bytes] = {}
    if method in _BODY_METHODS and content_type and content_type != FORM:
        try:
            text = mediatype.parse(content_type)[1]
        except mediatype.BadMediaType as bad:
            text = str(bad)
        error = text.encode() if text else None
    for part in (body, query):
        if part:
            problem = _parse_into(values, part)
            error = error or problem
    if error is not None:
        raise EtcdError(INVALID_FORM, error)
    return values


def _parse_into(values: dict[bytes, bytes], encoded: bytes) -> bytes | None:
    error = None
    for pair in encoded.split(b"&"):
        if b";" in pair:
            error = b"invalid semicolon separator in query"
            continue
        if not pair:
            continue
        name, _, value = pair.partition(b"=")
        if b"%" in pair or b"+" in pair:
            bad = _BAD_ESCAPE.search(name) or _BAD_ESCAPE.search(value)
            if bad is not None:
                error = error or b"invalid URL escape " + _go_quote(bad[0])
                continue
            name = unquote_to_bytes(name.replace(b"+", b" "))
            value = unquote_to_bytes(value.replace(b"+", b" "))
        values.setdefault(name, value)
    return error


def _go_quote(raw: bytes) -> bytes:
    """A short text as Go's strconv.Quote shows it."""
    text = raw.decode(errors="surrogateescape")
    shown = "".join(
        f"\\x{ord(c) & 0xFF:02x}"
        if "\udc80" <= c <= "\udcff" or c < " " or c == "\x7f"
        else "\\" + c
        if c in '"\\'
        else c
        for c in text
    )
    return f'"{shown}"'.encode()
