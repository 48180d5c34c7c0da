"""The body of a members request, with Go's texts for what is wrong with it.

Whether a URL is one that a member can have is the server's to say (`Backend.check_urls`).
"""

from __future__ import annotations

from typing import Final

from golang import json_text

_GO_STRUCT: Final = r'struct { PeerURLs []string "json:\"peerURLs\"" }'


class BadPeerUrls(Exception):
    """What is wrong with the body, in Go's words."""


def parse(body: bytes) -> list[str]:
    """Return the peer URLs of `{"peerURLs":[...]}`, unchecked; raises BadPeerUrls."""
    try:
        document = json_text.decode(body)
    except json_text.BadJson as bad:
        raise BadPeerUrls(str(bad)) from None
    if document is None:
        document = json_text.Object(())
    if not isinstance(document, json_text.Object):
        kind = json_text.kind(document)
        raise BadPeerUrls(f"json: cannot unmarshal {kind} into Go value of type {_GO_STRUCT}")
    urls = _filled(document)
    if not urls:
        raise BadPeerUrls("no valid URLs given")
    return urls


def _filled(document: json_text.Object) -> list[str]:
    """The field as Go fills it: each array goes over what the one before it has left.

    A null in an array changes nothing, also where a longer array had something else before.
    """
    left: list[str] = []
    length = 0
    for value in document.named("peerURLs"):
        if value is None or value == []:
            left, length = [], 0
            continue
        if not isinstance(value, list):
            raise _wrong_type(value, "[]string")
        length = len(value)
        left += [""] * (length - len(left))
        for position, url in enumerate(value):
            if isinstance(url, str):
                left[position] = url
            elif url is not None:
                raise _wrong_type(url, "string")
    return left[:length]


def _wrong_type(value: json_text.Value, wanted: str) -> BadPeerUrls:
    kind = json_text.kind(value)
    return BadPeerUrls(
        f"json: cannot unmarshal {kind} into Go struct field .peerURLs of type {wanted}"
    )
