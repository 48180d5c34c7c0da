"""The body of a members request, with Go's texts for what is wrong with it.

Whether a URL is one that a member can have is the server's to say (`Backend.check_urls`).
"""

from __future__ import annotations

from typing import Final

from golang.json_text import BadJson
from golang.structs import TEXT, List, Struct, unmarshal

_BODY: Final = Struct(r'struct { PeerURLs []string "json:\"peerURLs\"" }', {"peerURLs": List(TEXT)})


class BadPeerUrls(Exception):
    """What is wrong with the body, in Go's words."""


def parse(body: bytes) -> list[str]:
    """Return the peer URLs of `{"peerURLs":[...]}`, unchecked; raises BadPeerUrls."""
    try:
        urls: list[str] = unmarshal(body, _BODY)["peerURLs"] or []
    except BadJson as bad:
        raise BadPeerUrls(str(bad)) from None
    if not urls:
        raise BadPeerUrls("no valid URLs given")
    return urls
