"""A Content-Type as Go's mime.ParseMediaType reads it, error texts included.

The texts reach clients as the cause of errorCode 210 (contract/keys.md section 4.2).
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_QUOTED: Final = re.compile(r'"((?:[^"\\\r\n]|\\.)*)"')


class BadMediaType(Exception):
    """Go's error text."""


def parse(header: str) -> tuple[str, str | None]:
    """Return the media type in lower case and, if its parameters are malformed, Go's error text.

    Raises BadMediaType where Go gives no media type at all.
    """
    base, semicolon, rest = header.partition(";")
    media_type = base.strip().lower()
    _check(media_type)
    seen: dict[str, str] = {}
    rest = (semicolon + rest).lstrip()
    while rest:
        parameter = _parameter(rest)
        if parameter is None:
            return media_type, None if rest.strip() == ";" else "mime: invalid media parameter"
        name, value, rest = parameter
        if seen.setdefault(name, value) != value:
            raise BadMediaType("mime: duplicate parameter name")
        rest = rest.lstrip()
    return media_type, None


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


def _parameter(text: str) -> tuple[str, str, str] | None:
    """Consume `; name=value`; None if there is none."""
    if not text.startswith(";"):
        return None
    text = text[1:].lstrip()
    name = _TOKEN.match(text)
    if name is None:
        return None
    text = text[name.end() :].lstrip()
    if not text.startswith("="):
        return None
    text = text[1:].lstrip()
    value = _QUOTED.match(text) or _TOKEN.match(text)
    if value is None:
        return None
    return name[0].lower(), value[0], text[value.end() :]
