"""When a key runs out is read, and misread, and printed as etcdctl does it."""

import pytest

from tests.clients.etcdctl import find_etcdctl
from tests.etcdctl.test_words_of_json import PYETCDCTL, said
from tests.pyetcdctl.answering import Reply, answering

DAY = "2026-01-01T"
TIMES = [
    *("x", "", f"{DAY}00:00:00", f"{DAY}00:00:00z", f"{DAY}24:00:00Z", f"{DAY}00:00:60Z"),
    *("2026-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    *("1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2026-13-01T00:00:00Z", f"{DAY}00:00:00.Z"),
    *("2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "0000-01-01T00:00:00Z", f"{DAY}00:60:00Z"),
    *("0001-01-01T00:00:00Z", "20260-01-01T00:00:00Z", "2026-01-01 00:00:00Z", f"{DAY}0:00:00Z"),
    *(f"{DAY}00:00:00.{digits}Z" for digits in ("100", "000", "123456789", "1234567891", "05")),
    *(f"{DAY}00:00:00{way}" for way in ("+00:00", "-00:00", "+02:00", "+02:60", "+25:00", "+2:00")),
    *(f"{DAY}00:00:00,5Z", f"{DAY}00:00:00.50-05:30", f"{DAY}00:00:00Z "),
]


@pytest.mark.parametrize("time", TIMES)
def test_times(time: str) -> None:
    """Goal: the same words and exit code. Method: both at a server that says it."""
    body = b'{"node":{"key":"/a","value":"v","expiration":"%b","ttl":5}}' % time.encode()
    with answering(lambda _target, _headers: Reply(body)) as url:
        words = ("--no-sync", "-o", "json", "get", "/a")
        assert said(PYETCDCTL, url, *words) == said((find_etcdctl(),), url, *words)
