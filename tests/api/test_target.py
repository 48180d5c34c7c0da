"""Paths as Go's ServeMux sees them, and request lines as the front door passes them on."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.request_head import Refusal, normalise
from api.target import clean, key_of, location, location_header, moved_body, split

PATHS = st.lists(st.sampled_from([b"a", b"_b", b"", b".", b"..", b"..."]), max_size=6).map(
    lambda segments: b"/" + b"/".join(segments)
)


@given(PATHS)
def test_clean_equals_posix_with_a_kept_slash(path: bytes) -> None:
    """Goal: Go's cleanPath. Method: against posixpath.normpath, plus the slash Go puts back."""
    expected = posixpath.normpath(b"/" + path.lstrip(b"/"))
    if path.endswith(b"/") and expected != b"/":
        expected += b"/"
    assert clean(path) == expected
    assert clean(clean(path)) == clean(path)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/v2/keys/a%2Fb", b"/v2/keys/a/b", b""),
        (b"/v2/keys/a?b?c", b"/v2/keys/a", b"b?c"),
        (b"/v2/keys/a%3Fb", b"/v2/keys/a?b", b""),
        (b"/v2/keys/a+b%00", b"/v2/keys/a+b\x00", b""),
    ],
)
def test_a_target_is_decoded_once(target: bytes, path: bytes, query: bytes) -> None:
    """Goal: contract/keys.md section 1. Method: a table."""
    assert split(target) == (path, query)


def test_redirects_are_written_as_go_writes_them() -> None:
    """Goal: the Location header and the page of a 301. Method: captured from etcd 3.4.23."""
    url = location("/v2/keys/é\n".encode(), b"x=%22a&b")
    assert url == b"/v2/keys/%C3%A9%0A?x=%22a&b"
    assert moved_body(url) == (
        b'<a href="/v2/keys/%C3%A9%0A?x=%22a&amp;b">Moved Permanently</a>.\n\n'
    )
    assert location_header(b"/a?\xc3") == b"/a?%c3"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (b"/v2/keys", b"/"),
        (b"/v2/keys/", b"/"),
        (b"/v2/keys/a/", b"/a"),
        (b"/v2/keys/a/b", b"/a/b"),
    ],
)
def test_keys(path: bytes, key: bytes) -> None:
    """Goal: one trailing slash does not count. Method: a table."""
    assert key_of(path, b"/v2/keys") == key


@pytest.mark.parametrize(
    ("line", "passed_on"),
    [
        (b"FROB /a HTTP/1.1\r\n", b"PATCH /a HTTP/1.1\r\n"),
        (b"get /a HTTP/1.1\r\n", b"PATCH /a HTTP/1.1\r\n"),
        (b"CONNECT a:1 HTTP/1.1\r\n", b"PATCH /a:1 HTTP/1.1\r\n"),
        (b"GET http://x/a?b HTTP/1.1\r\n", b"GET /a?b HTTP/1.1\r\n"),
        (b"GET http://x HTTP/1.1\r\n", b"GET // HTTP/1.1\r\n"),
        (b"OPTIONS * HTTP/1.1\r\n", b"OPTIONS / HTTP/1.1\r\n"),
        ("GET /é HTTP/1.0\r\n".encode(), b"GET /%C3%A9 HTTP/1.0\r\n"),
        (b"GET /a#b HTTP/1.1\r\n", b"GET /a%23b HTTP/1.1\r\n"),
        (b"GET /a HTTP/1.7\n", b"GET /a HTTP/1.1\r\n"),
        (b"GET /a?%zz HTTP/1.1\r\n", b"GET /a?%zz HTTP/1.1\r\n"),
    ],
)
def test_odd_request_lines_are_put_into_a_form_aiohttp_reads(line: bytes, passed_on: bytes) -> None:
    """Goal: what Go takes, aiohttp takes. Method: a table of what Go was seen to take."""
    assert normalise(line) == passed_on


@pytest.mark.parametrize(
    "line",
    [
        b"GET /%zz HTTP/1.1\r\n",
        b"GET /%4 HTTP/1.1\r\n",
        b"GET /a\x01 HTTP/1.1\r\n",
        b"GET a HTTP/1.1\r\n",
        b"GET * HTTP/1.1\r\n",
        b"GET /a HTTP/2.0\r\n",
        b"GET  /a HTTP/1.1\r\n",
        b"hello world\r\n",
        b"\r\n",
    ],
)
def test_lines_that_go_refuses_are_refused(line: bytes) -> None:
    """Goal: 400 and the end of the connection. Method: a table."""
    with pytest.raises(Refusal):
        normalise(line)
