"""The body of a members request: peer URLs, checked as etcd checks them, with its texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCHEMES: Final = ("http", "https", "unix", "unixs")
_GO_TYPES: Final = {str: "string", bool: "bool", int: "number", float: "number", dict: "object"}


class BadPeerUrls(Exception):
    """What is wrong with the body, in Go's and etcd's words."""


def parse(body: bytes) -> tuple[str, ...]:
    """Return the sorted peer URLs of `{"peerURLs":[...]}`; raises BadPeerUrls."""
    urls = _field(body)
    if not urls:
        raise BadPeerUrls("no valid URLs given")
    return check(urls)


def check(urls: Sequence[str]) -> tuple[str, ...]:
    """Return the URLs sorted, each without blanks around it; raises BadPeerUrls."""
    checked = []
    for given in urls:
        url = given.strip()
        try:
            split = urlsplit(url)
            port = split.port
        except ValueError as error:
            raise BadPeerUrls(f'parse "{url}": {error}') from None
        _check_one(url, split, port)
        checked.append(url)
    return tuple(sorted(checked))


def _check_one(url: str, split: SplitResult, port: int | None) -> None:
    if split.scheme not in _SCHEMES:
        raise BadPeerUrls(f"URL scheme must be http, https, unix, or unixs: {url}")
    if port is None or ":" not in split.netloc:
        raise BadPeerUrls(f'URL address does not have the form "host:port": {url}')
    if split.path:
        raise BadPeerUrls(f"URL must not contain a path: {url}")


def _field(body: bytes) -> list[str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        at_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(body.rstrip())
        text = "unexpected end of JSON input" if at_end or not body.strip() else str(error)
        raise BadPeerUrls(text) from None
    if document is None:
        return []
    if not isinstance(document, dict):
        kind = "array" if isinstance(document, list) else _GO_TYPES[type(document)]
        raise BadPeerUrls(f"json: cannot unmarshal {kind} into Go value of type struct")
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


def _wrong_type(value: object, wanted: str) -> BadPeerUrls:
    kind = "array" if isinstance(value, list) else _GO_TYPES.get(type(value), "null")
    return BadPeerUrls(
        f"json: cannot unmarshal {kind} into Go struct field .peerURLs of type {wanted}"
    )
