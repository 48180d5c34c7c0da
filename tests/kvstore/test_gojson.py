"""JSON strings and instants as Go writes them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.gojson import quote, rfc3339


def go_quote(raw: bytes) -> bytes:
    """Go's encoding/json, transcribed character by character."""
    out = b""
    text = raw.decode(errors="surrogateescape")
    for char in text:
        if "\udc80" <= char <= "\udcff":
            out += b"\\ufffd"
        elif char in '"\\':
            out += b"\\" + char.encode()
        elif char in "\n\r\t":
            out += {"\n": b"\\n", "\r": b"\\r", "\t": b"\\t"}[char]
        elif char < " " or char in "<>&\u2028\u2029":
            out += b"\\u%04x" % ord(char)
        else:
            out += char.encode()
    return b'"' + out + b'"'


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_quote_equals_go(raw: bytes) -> None:
    """Goal: the fast replacements are Go's rules. Method: against a literal transcription."""
    assert quote(raw) == go_quote(raw)


@given(st.text())
def test_quoted_text_is_json(text: str) -> None:
    """Goal: valid text survives. Method: read it back with another JSON reader."""
    assert json.loads(quote(text.encode())) == text


def test_invalid_bytes_are_replaced_one_by_one() -> None:
    """Goal: contract/keys.md section 7, invalid UTF-8. Method: the captured example and a truncated
    sequence, which counts each of its bytes."""
    assert quote(b"\xffabc\xc3") == b'"\\ufffdabc\\ufffd"'
    assert quote(b"\xe2\x98a") == b'"\\ufffd\\ufffda"'
    assert quote("\ufffd".encode()) == '"\ufffd"'.encode()


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, b"1970-01-01T00:00:00Z"),
        (1, b"1970-01-01T00:00:00.000000001Z"),
        (1_500_000_000, b"1970-01-01T00:00:01.5Z"),
        (-(1 << 63), b"1677-09-21T00:12:43.145224192Z"),
        ((1 << 63) - 1, b"2262-04-11T23:47:16.854775807Z"),
    ],
)
def test_instants(nanoseconds: int, text: bytes) -> None:
    """Goal: RFC 3339 with trailing zeros removed. Method: the edges of Go's 64-bit nanoseconds."""
    assert rfc3339(nanoseconds) == text


@given(st.integers(0, 4_000_000_000))
def test_whole_seconds_equal_datetime(seconds: int) -> None:
    """Goal: the calendar is right. Method: against the standard library's own formatting."""
    expected = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert rfc3339(seconds * 1_000_000_000) == expected.encode()
