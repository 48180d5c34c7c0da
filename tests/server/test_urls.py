"""Go's URL parsing and etcd's rules for listen and advertise URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.options.urls import BadUrl, Url, parse_url, parse_urls


def test_url_fields() -> None:
    """Goal: scheme, host, port and text of the usual forms; method: one each."""
    assert parse_url(" http://127.0.0.1:2379 ") == Url(
        "http", "127.0.0.1", "2379", "http://127.0.0.1:2379"
    )
    six = parse_url("HTTPS://[::1]:2379")
    assert (six.scheme, six.host, six.authority, six.is_tls) == ("https", "::1", "[::1]:2379", True)
    unix = parse_url("unix://sock:0")
    assert (unix.is_unix, unix.is_tls, unix.authority) == (True, False, "sock:0")
    assert parse_url("http://:2379").host == ""
    assert parse_url("http://a:1?q#f").text == "http://a:1?q#f"
    assert parse_url("http://u:p@a:1").host == "a"


def test_url_moves_without_its_decoration() -> None:
    """Goal: an advertised default moves to another address; method: v4 and v6."""
    url = parse_url("http://localhost:2379?q")
    assert url.moved_to("10.0.0.1", "80").text == "http://10.0.0.1:80"
    assert url.moved_to("fe80::1", "80").text == "http://[fe80::1]:80"


def test_urls_are_sorted() -> None:
    """Goal: etcd's order, which ids depend on; method: two out of order."""
    assert [url.text for url in parse_urls(["http://b:1", "http://a:1"])] == [
        "http://a:1",
        "http://b:1",
    ]


FORM = 'URL address does not have the form "host:port": '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "URL scheme must be http, https, unix, or unixs: "),
        ("zzz", "URL scheme must be http, https, unix, or unixs: zzz"),
        ("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
        ("http://127.0.0.1", FORM + "http://127.0.0.1"),
        ("http:127.0.0.1:1", FORM + "http:127.0.0.1:1"),
        ("http://::1:1", FORM + "http://::1:1"),
        ("http://a:1/", "URL must not contain a path: http://a:1/"),
        ("http://[::1", "parse \"http://[::1\": missing ']' in host"),
        ("http://a:b", 'parse "http://a:b": invalid port ":b" after host'),
        ("http://a b:1", 'parse "http://a b:1": invalid character " " in host name'),
        ("http://a%zz:1", 'parse "http://a%zz:1": invalid URL escape "%zz"'),
        ("http://a:1/%zz", 'parse "http://a:1/%zz": invalid URL escape "%zz"'),
        ("http://a\n:1", r'parse "http://a\n:1": net/url: invalid control character in URL'),
        ("127.0.0.1:1", 'parse "127.0.0.1:1": first path segment in URL cannot contain colon'),
        ("://a:1", 'parse "://a:1": missing protocol scheme'),
        ("http://a{@b:1", 'parse "http://a{@b:1": net/url: invalid userinfo'),
    ],
)
def test_bad_urls(text: str, message: str) -> None:
    """Goal: etcd's text for each fault; method: one URL per branch."""
    with pytest.raises(BadUrl) as caught:
        parse_url(text)
    assert str(caught.value) == message


@given(st.text(max_size=30) | st.from_regex(r"(http|unix)s?://[\[\]a-c:0-9@%/?#.]{0,20}"))
def test_any_text_is_a_url_or_bad(text: str) -> None:
    """Goal: no other failure, and the text of a URL is itself one; method: any text."""
    try:
        url = parse_url(text)
    except BadUrl:
        return
    assert parse_url(url.text) == url
