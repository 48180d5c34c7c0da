"""The request target: what Go's net/http and its ServeMux make of it before any handler runs.

Law: a path is raw bytes. It is percent-decoded once, an encoded slash is a slash, and a path that
is not clean is redirected to the clean one (contract/keys.md section 1).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

# What url.URL.EscapedPath leaves alone besides letters, digits and "-_.~".
_PATH_SAFE: Final = "$&+,/:;=@~"
_NON_ASCII: Final = re.compile(rb"[\x80-\xff]")
_HTML: Final = (
    (b"&", b"&amp;"),
    (b"<", b"&lt;"),
    (b">", b"&gt;"),
    (b'"', b"&#34;"),
    (b"'", b"&#39;"),
)


def split(target: bytes) -> tuple[bytes, bytes]:
    """Return the decoded path and the raw query of a target in origin form."""
    path, _, query = target.partition(b"?")
    return (unquote_to_bytes(path) if b"%" in path else path), query


def clean(path: bytes) -> bytes:
    """Return the path without empty, "." and ".." segments; one trailing slash is kept."""
    if b"//" not in path and b"/." not in path and path.startswith(b"/"):
        return path
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    cleaned = b"/" + b"/".join(kept)
    return cleaned + b"/" if path.endswith(b"/") and kept else cleaned


def location(path: bytes, query: bytes) -> bytes:
    """Return the URL of a redirect, as Go writes it into the body."""
    escaped = quote_from_bytes(path, safe=_PATH_SAFE).encode()
    return escaped + b"?" + query if query else escaped


def location_header(url: bytes) -> bytes:
    """Return a redirect's URL as Go writes it into the Location header."""
    return _NON_ASCII.sub(lambda match: b"%%%02x" % match[0][0], url)


def moved_body(url: bytes) -> bytes:
    """Return the little HTML page of a redirect."""
    for plain, escaped in _HTML:
        url = url.replace(plain, escaped)
    return b'<a href="%b">Moved Permanently</a>.\n\n' % url


def key_of(path: bytes, prefix: bytes) -> bytes:
    """Return the key that a clean path below `prefix` names."""
    return path[len(prefix) :].rstrip(b"/") or b"/"
