"""The body of a members request, with Go's texts for what is wrong with it.

Whether a URL is one that a member can have is the server's to say (`Backend.check_urls`).
"""

from __future__ import annotations

import json
from typing import Final

_GO_STRUCT: Final = r'struct { PeerURLs []string "json:\"peerURLs\"" }'
_GO_TYPES: Final = {str: "string", bool: "bool", int: "number", float: "number", dict: "object"}


class BadPeerUrls(Exception):
    """What is wrong with the body, in Go's words."""


def parse(body: bytes) -> list[str]:
    """Return the peer URLs of `{"peerURLs":[...]}`, unchecked; raises BadPeerUrls."""
    urls = _field(body)
    if not urls:
        raise BadPeerUrls("no valid URLs given")
    return urls


def _field(body: bytes) -> list[str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadPeerUrls(_syntax_error(error)) from None
    if document is None:
        return []
    if not isinstance(document, dict):
        kind = "array" if isinstance(document, list) else _GO_TYPES[type(document)]
        raise BadPeerUrls(f"json: cannot unmarshal {kind} into Go value of type {_GO_STRUCT}")
    # Go matches the names of fields without regard to case.
    urls = next((v for k, v in document.items() if k.lower() == "peerurls"), None)
    if urls is None:
        return []
    if not isinstance(urls, list):
        raise _wrong_type(urls, "[]string")
    for url in urls:
        if not isinstance(url, str):
            raise _wrong_type(url, "string")
    return urls


def _syntax_error(error: Exception) -> str:
    """What Go's JSON reader would say, as near as may be."""
    if not isinstance(error, json.JSONDecodeError):
        return "invalid character in JSON input"
    if error.pos >= len(error.doc.rstrip()):
        return "unexpected end of JSON input"
    found = error.doc[error.pos]
    if error.msg == "Extra data":
        return f"invalid character '{found}' after top-level value"
    return f"invalid character '{found}' looking for beginning of value"


def _wrong_type(value: object, wanted: str) -> BadPeerUrls:
    kind = "array" if isinstance(value, list) else _GO_TYPES.get(type(value), "null")
    return BadPeerUrls(
        f"json: cannot unmarshal {kind} into Go struct field .peerURLs of type {wanted}"
    )
