"""The answers several routes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from api.exchange import Response
from api.render import JSON, NO_SNIFF, TEXT
from kvstore.errors import RAFT_INTERNAL, EtcdError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raft import ProposalFailed

NOT_FOUND: Final = Response(404, NO_SNIFF, b"404 page not found\n")


def method_not_allowed(allowed: Sequence[str]) -> Response:
    """405 with the methods that are; etcd names them without spaces, in its own order."""
    allow = b"Allow: %b\r\n" % ",".join(allowed).encode() if allowed else b""
    return Response(405, allow + NO_SNIFF, b"Method Not Allowed\n")


def text(body: bytes) -> Response:
    return Response(200, TEXT, body)


def json(
    value: object, *, status: int = 200, headers: bytes = b"", newline: bool = True
) -> Response:
    """A JSON answer of a route other than /v2/keys."""
    # orjson leaves "<", ">" and "&" as they are; Go writes them as escapes.
    body = orjson.dumps(value)
    for plain, escaped in ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026")):
        body = body.replace(plain, escaped)
    return Response(status, JSON + headers, body + b"\n" if newline else body)


def message(status: int, words: str, headers: bytes = b"") -> Response:
    """The error form of the members and log routes."""
    # A header may hold any bytes, and be quoted.
    shown = words.encode(errors="surrogateescape").decode(errors="replace")
    return json({"message": shown}, status=status, headers=headers, newline=False)


def proposal_failed(failure: ProposalFailed) -> EtcdError:
    """errorCode 300 with what became of the proposal as cause."""
    return EtcdError(RAFT_INTERNAL, str(failure).encode())
