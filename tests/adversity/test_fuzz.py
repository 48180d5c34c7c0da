"""Random bytes, and requests with random damage, a few thousand, from a seed."""

import os
import random

import pytest

from tests.adversity.victim import Victim, raw_many, statuses
from tests.oracle import Request
from tests.oracle.wire import FORM

CASES = int(os.environ.get("PYETCD_FUZZ_CASES", "500"))
SEEDS = range(5)
AT_ONCE = 100
PLACES = (
    b"/v2/keys/a",
    b"/v2/keys/",
    b"/v2/keys/a?wait=false",
    b"/v2/members",
    b"/v2/members/leader",
    b"/v2/members/%ff",
    b"/v2/members/1",
    b"/v2/stats/store",
    b"/version",
    b"/health",
    b"/metrics",
    b"/config/local/log",
    b"/debug/vars",
    b"/v2/machines",
)
NAMES = (
    "value", "ttl", "dir", "prevExist", "prevIndex", "prevValue", "recursive", "sorted", "quorum",
    "wait", "waitIndex", "stream", "refresh", "noValueOnSuccess", "x",
)  # fmt: skip
VALUES = (
    "",
    "true",
    "false",
    "1",
    "0",
    "-1",
    "99999999999999999999",
    "%zz",
    "%00",
    "é",
    ";",
    "a b",
)
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "FROB", "get", "TRACE")
HEADERS = (
    ("Content-Type", FORM),
    ("Content-Type", "application/json"),
    ("Content-Type", "; bad"),
    ("Accept-Encoding", "gzip"),
    ("Content-Encoding", "gzip"),
    ("Connection", "close"),
    ("Connection", "keep-alive, upgrade"),
    ("Origin", "http://evil"),
    ("Authorization", "Basic ////"),
    ("Range", "bytes=0-1"),
    ("Transfer-Encoding", "chunked"),
    ("Cookie", "\x80=\xff"),
)


def _pairs(chance: random.Random) -> str:
    count = chance.choice((0, 1, 2, 4))
    parts = [f"{chance.choice(NAMES)}={chance.choice(VALUES)}" for _ in range(count)]
    return chance.choice(("&", "&", "&", ";")).join(parts)


def _request(chance: random.Random) -> bytes:
    target = chance.choice(PLACES)
    query = _pairs(chance).encode()
    # A poll would wait for ever, rightly; what it can be told in a query is told elsewhere.
    if query and b"wait=true" not in query and b"wait=1" not in query:
        target += b"?" + query
    headers = tuple(chance.choice(HEADERS) for _ in range(chance.randrange(3)))
    body = _pairs(chance).encode() if chance.random() < 0.7 else chance.randbytes(50)
    body = body.replace(b"wait=true", b"").replace(b"wait=1", b"")
    version = chance.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0"))
    chunk_bytes = chance.choice((0, 0, 0, 5))
    method = chance.choice(METHODS)
    return Request(
        method, target, headers, body, version, chance.random() < 0.95, chunk_bytes
    ).encoded()


def _damaged(chance: random.Random, data: bytes) -> bytes:
    """A request with a few bytes changed, lost, doubled or cut off."""
    image = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        position = chance.randrange(len(image) + 1)
        match chance.randrange(5):
            case 0:
                image[position : position + 1] = chance.randbytes(1)
            case 1:
                del image[position : position + chance.choice((1, 2, 10))]
            case 2:
                image[position:position] = chance.randbytes(chance.choice((1, 2, 10)))
            case 3:
                image[position:position] = image[position : position + chance.choice((1, 8, 40))]
            case 4:
                image[position:position] = chance.choice((b"\r\n", b"\n", b"\0", b" ", b"%", b"\r"))
    if chance.random() < 0.05:
        del image[chance.randrange(len(image) + 1) :]
    return bytes(image)


def _send(victim: Victim, cases: list[bytes]) -> int:
    """Send all; how many were answered. AssertionError for a 5xx, or a traceback."""
    answered = 0
    for start in range(0, len(cases), AT_ONCE):
        batch = cases[start : start + AT_ONCE]
        for data, got in zip(batch, raw_many(victim, batch), strict=True):
            assert all(status < 500 for status in statuses(got)), (data, got)
            answered += bool(got)
        assert victim.is_quiet(), (batch, victim.log())
    return answered


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_requests(seed: int, victim: Victim) -> None:
    """Goal: whatever comes, no 5xx and no traceback; and every connection ends. Method: one or two
    requests with random damage on each connection, after which nothing more comes."""
    chance = random.Random(seed)
    cases = [
        b"".join(_damaged(chance, _request(chance)) for _ in range(chance.choice((1, 1, 2))))
        for _ in range(CASES)
    ]
    answered = _send(victim, cases)
    assert answered > CASES // 2


def test_random_bytes(victim: Victim) -> None:
    """Goal and method: the same with bytes that were never a request."""
    chance = random.Random(1)
    cases = []
    for _ in range(CASES):
        data = chance.randbytes(chance.choice((1, 3, 20, 300, 5000)))
        if chance.random() < 0.5:
            data = data.replace(b" ", b"").replace(b"\n", b"") + b"\r\n\r\n"
        cases.append(data)
    _send(victim, cases)
