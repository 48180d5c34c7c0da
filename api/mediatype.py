"""A Content-Type as Go's mime.ParseMediaType reads it, error texts included.

Laws: the work is linear in the header's length, and a header may have 1 MB.

The texts reach clients as the cause of errorCode 210 (contract/keys.md section 4.2).
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PARAMETER: Final = re.compile(
    rf"""\s*;\s*(?P<name>{_TOKEN.pattern})\s*=\s*(?:"(?:[^"\\\r\n]++|\\.)*+"|{_TOKEN.pattern})"""
)


class BadMediaType(Exception):
    """Go's error text."""


def parse(header: str) -> tuple[str, str | None]:
    """Return the media type in lower case and, if its parameters are malformed, Go's error text.

    Raises BadMediaType where Go gives no media type at all.
    """
    base = header.partition(";")[0]
    media_type = base.strip().lower()
    _check(media_type)
    seen: set[str] = set()
    at = len(base)
    while found := _PARAMETER.match(header, at):
        at = found.end()
        name = found["name"].lower()
        if name in seen:
            raise BadMediaType("mime: duplicate parameter name")
        seen.add(name)
    is_whole = header[at:].strip() in ("", ";")
    return media_type, None if is_whole else "mime: invalid media parameter"


def _check(media_type: str) -> None:
    major = _TOKEN.match(media_type)
    if major is None:
        raise BadMediaType("mime: no media type")
    rest = media_type[major.end() :]
    if not rest:
        return
    if not rest.startswith("/"):
        raise BadMediaType("mime: expected slash after first token")
    minor = _TOKEN.match(rest, 1)
    if minor is None:
        raise BadMediaType("mime: expected token after slash")
    if minor.end() != len(rest):
        raise BadMediaType("mime: unexpected content after media subtype")
