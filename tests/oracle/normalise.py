"""What may differ between two correct answers, and nothing else.

Masked: Date, X-Raft-Index, X-Raft-Term, the order of headers, the digits of `expiration` (its
format is held), `ttl` by one second, the order inside unsorted listings. Content-Length may
differ only as far as those digits do. Everything else has to be equal byte for byte.
It knows no deviation: those are rules of their own (tests/differential/deviations.py).
"""

import re
from dataclasses import dataclass

from tests.oracle.wire import Response

MASKED_HEADERS = frozenset({"date", "x-raft-index", "x-raft-term"})
FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding"})
CHUNKED_ABOVE_BYTES = 2048
"""etcd's HTTP server sends a longer body chunked."""
TTL_SLACK_S = 1
_EXPIRATION = re.compile(rb'"expiration":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?Z"')
_TTL = re.compile(rb'"ttl":(-?\d+)')
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]|[^"\[\]{},]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Text:
    """A body with its moving parts taken out."""

    masked: bytes
    ttls: tuple[int, ...]

    def equals(self, other: "Text") -> bool:
        """Equal, with each ttl within the slack."""
        return self.masked == other.masked and all(
            abs(a - b) <= TTL_SLACK_S for a, b in zip(self.ttls, other.ttls, strict=True)
        )


def text_of(body: bytes, *, unsorted: bool = False) -> Text:
    """Masks a body; an unsorted listing's children are put in order first."""
    ordered = sort_listings(body) if unsorted else body
    ttls = tuple(int(number) for number in _TTL.findall(ordered))
    masked = _EXPIRATION.sub(b'"expiration":"<time>"', ordered)
    return Text(_TTL.sub(b'"ttl":<seconds>', masked), ttls)


def sort_listings(body: bytes) -> bytes:
    """Orders the elements of every JSON array by their bytes; other text stays as it is."""
    frames: list[list[bytes]] = [[b""]]
    for token in _TOKEN.findall(body):
        if token in (b"[", b"{"):
            frames.append([b""])
        elif token in (b"]", b"}"):
            if len(frames) == 1:
                return body
            parts = frames.pop()
            if token == b"]":
                parts.sort()
            opening = b"[" if token == b"]" else b"{"
            frames[-1][-1] += opening + b",".join(parts) + token
        elif token == b",":
            frames[-1].append(b"")
        else:
            frames[-1][-1] += token
    return b",".join(frames[0]) if len(frames) == 1 else body


def head_differences(
    expected: Response, got: Response, *, ignore: frozenset[str] = frozenset()
) -> list[str]:
    """Differences of status line and headers; `ignore` has lower-case header names."""
    found = []
    lines = [f"{one.version} {one.status} {one.reason}" for one in (expected, got)]
    if lines[0] != lines[1]:
        found.append(f"status: expected {lines[0]}, got {lines[1]}")
    hidden = MASKED_HEADERS | ignore
    wanted, given = _headers(expected, hidden), _headers(got, hidden)
    found += [f"header missing: {name}: {value}" for name, value in _minus(wanted, given)]
    found += [f"header too much: {name}: {value}" for name, value in _minus(given, wanted)]
    for name in MASKED_HEADERS:
        if (expected.header(name) is None) != (got.header(name) is None):
            where = "missing" if got.header(name) is None else "too much"
            found.append(f"header {where}: {name}")
    return found


def differences(
    expected: Response,
    got: Response,
    *,
    unsorted: bool = False,
    ignore: frozenset[str] = frozenset(),
) -> list[str]:
    """All differences of two complete answers, each as one readable line."""
    bodies_equal = text_of(expected.body, unsorted=unsorted).equals(
        text_of(got.body, unsorted=unsorted)
    )
    hidden = ignore
    if bodies_equal and len(expected.body) != len(got.body):
        hidden |= _framing_slack(expected, got)
    found = head_differences(expected, got, ignore=hidden)
    if not bodies_equal:
        found.append(f"body: expected {expected.body!r}, got {got.body!r}")
    if expected.connection_open != got.connection_open:
        found.append(f"connection open: expected {expected.connection_open}")
    return found


def _framing_slack(expected: Response, got: Response) -> frozenset[str]:
    # The bodies are equal but for the digits of times: their lengths may differ, and near the
    # border one of the two may be chunked.
    shorter, longer = sorted((len(expected.body), len(got.body)))
    if shorter <= CHUNKED_ABOVE_BYTES < longer:
        return FRAMING_HEADERS
    return frozenset({"content-length"})


def _headers(response: Response, hidden: frozenset[str]) -> list[tuple[str, str]]:
    return sorted(pair for pair in response.headers if pair[0].lower() not in hidden)


def _minus(left: list[tuple[str, str]], right: list[tuple[str, str]]) -> list[tuple[str, str]]:
    rest = list(right)
    out = []
    for pair in left:
        if pair in rest:
            rest.remove(pair)
        else:
            out.append(pair)
    return out
