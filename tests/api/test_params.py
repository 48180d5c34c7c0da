"""Forms and parameters, on their own; the servers are compared in tests/differential."""

import contextlib
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import forms, mediatype, params
from api.params import Read, Watch, Write
from kvstore import EtcdError
from kvstore import commands as c

FORM = forms.FORM


def parsed(method: str, query: bytes = b"", body: bytes = b"") -> params.KeyRequest:
    return params.parse(method, b"/k", forms.parse(method, FORM, query, body))


@pytest.mark.parametrize(
    ("method", "query", "body", "expected"),
    [
        ("GET", b"", b"", Read(b"/k")),
        ("GET", b"quorum=true&wait=true", b"", Read(b"/k", quorum=True)),
        ("HEAD", b"quorum=true", b"", Read(b"/k")),
        ("GET", b"wait=1&waitIndex=007&recursive=t", b"", Watch(b"/k", True, False, 7)),
        ("PUT", b"", b"value=a+b%00", Write(c.Set(b"/k", b"a b\0"), False)),
        ("PUT", b"value=q", b"value=b", Write(c.Set(b"/k", b"b"), False)),
        ("PUT", b"prevExist=true", b"", Write(c.Update(b"/k"), False)),
        ("PUT", b"prevExist=true&prevIndex=0", b"", Write(c.Update(b"/k"), False)),
        (
            "PUT",
            b"prevExist=true&prevIndex=3",
            b"",
            Write(c.CompareAndSwap(b"/k", b"", b"", 3), False),
        ),
        ("PUT", b"prevExist=false&prevValue=x", b"", Write(c.Create(b"/k"), False)),
        ("PUT", b"ttl=", b"", Write(c.Set(b"/k"), False)),
        ("PUT", b"ttl=0&noValueOnSuccess=true", b"", Write(c.Set(b"/k", ttl=0), True)),
        ("POST", b"", b"value=x", Write(c.CreateInOrder(b"/k", b"x"), False)),
        ("DELETE", b"recursive=true", b"", Write(c.Delete(b"/k", recursive=True), False)),
        ("DELETE", b"prevValue=x", b"", Write(c.CompareAndDelete(b"/k", b"x", 0), False)),
    ],
)
def test_dispatch(method: str, query: bytes, body: bytes, expected: params.KeyRequest) -> None:
    """Goal: contract/keys.md sections 4.5 and 5.1. Method: a table."""
    assert parsed(method, query, body) == expected


@pytest.mark.parametrize(
    ("method", "query", "code", "cause"),
    [
        ("GET", b"prevIndex=x&waitIndex=x", 203, b'invalid value for "prevIndex"'),
        ("GET", b"waitIndex=18446744073709551616", 203, b'invalid value for "waitIndex"'),
        ("GET", b"waitIndex=1_0", 203, b'invalid value for "waitIndex"'),
        ("GET", "waitIndex=٣".encode(), 203, b'invalid value for "waitIndex"'),
        ("GET", b"recursive", 209, b'invalid value for "recursive"'),
        ("PUT", b"wait=true", 209, b'"wait" can only be used with GET requests'),
        ("PUT", b"prevValue=&ttl=x", 201, b'"prevValue" cannot be empty'),
        ("PUT", b"ttl=-1", 202, b'invalid value for "ttl"'),
        ("PUT", b"prevExist=", 209, b"invalid value for prevExist"),
        ("PUT", b"refresh=x", 209, b"invalid value for refresh"),
        ("GET", b"refresh=true", 212, b"No TTL value set"),
        ("PUT", b"refresh=true&value=x", 211, b"A value was provided on a refresh"),
    ],
)
def test_errors(method: str, query: bytes, code: int, cause: bytes) -> None:
    """Goal: contract/keys.md section 4.4, the order included. Method: a table."""
    with pytest.raises(EtcdError) as raised:
        parsed(method, query)
    assert (raised.value.code, raised.value.cause, raised.value.index) == (code, cause, 0)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (b"a=%zz", b'invalid URL escape "%zz"'),
        (b"a=%4", b'invalid URL escape "%4"'),
        (b"%", b'invalid URL escape "%"'),
        (b"a;b", b"invalid semicolon separator in query"),
        (b"a=%zz&b;c", b"invalid semicolon separator in query"),
        (b'a=%"x', b'invalid URL escape "%\\"x"'),
        (b"a=%\n_x", b'invalid URL escape "%\\n_"'),
        (b"a=%\r\x08", b'invalid URL escape "%\\r\\b"'),
        (b"a=%4\xc3", b'invalid URL escape "%4\\xc3"'),
    ],
)
def test_malformed_forms(text: bytes, cause: bytes) -> None:
    """Goal: Go's texts as the cause of 210. Method: a table; in body and query alike."""
    for query, body in ((text, b""), (b"", text)):
        with pytest.raises(EtcdError) as raised:
            forms.parse("PUT", FORM, query, body)
        assert (raised.value.code, raised.value.cause) == (210, cause)


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_any_bytes_are_a_form_or_an_error(query: bytes, body: bytes) -> None:
    """Goal: nothing but EtcdError ever comes out. Method: random bytes."""
    with contextlib.suppress(EtcdError):
        params.parse("PUT", b"/k", forms.parse("PUT", FORM, query, body))


@pytest.mark.parametrize(
    ("header", "outcome"),
    [
        (FORM, (FORM, None)),
        ("Application/X-WWW-Form-Urlencoded; Charset=utf-8", (FORM, None)),
        (FORM + "; charset", (FORM, "mime: invalid media parameter")),
        (FORM + ";", (FORM, None)),
        (FORM + '; a="b;c"', (FORM, None)),
        ("; bad", "mime: no media type"),
        ("a b", "mime: expected slash after first token"),
        ("a/", "mime: expected token after slash"),
        ("a/b c", "mime: unexpected content after media subtype"),
        ("a/b; x=1; x=2", "mime: duplicate parameter name"),
        ("a/b; x=1; X=1", "mime: duplicate parameter name"),
        ('a/b; x="1', ("a/b", "mime: invalid media parameter")),
        ('a/b ; x = "\\"" ; y=2 ', ("a/b", None)),
    ],
)
def test_media_types(header: str, outcome: tuple[str, str | None] | str) -> None:
    """Goal: Go's mime.ParseMediaType with its texts. Method: a table."""
    if isinstance(outcome, str):
        with pytest.raises(mediatype.BadMediaType, match=outcome):
            mediatype.parse(header)
    else:
        assert mediatype.parse(header) == outcome


@given(
    st.lists(st.sampled_from([b"%", b"+", b"=", b"a", b"41", b"fF", b"\r", b"\n", b"\xff", b"g"]))
)
def test_values_are_unescaped_as_elsewhere(pieces: list[bytes]) -> None:
    """Goal: the sweep over a long value has no rules of its own. Method: any mixture of what it
    looks at, against the standard library's way, and a pattern that finds bad escapes.
    """
    text = b"".join(pieces)
    if re.search(rb"%(?![0-9A-Fa-f]{2})", text):
        with pytest.raises(EtcdError, match="invalid URL escape"):
            forms.parse("PUT", FORM, b"", b"value=" + text)
    else:
        expected = unquote_to_bytes(text.replace(b"+", b" "))
        assert forms.parse("PUT", FORM, b"", b"value=" + text) == {b"value": expected}


def test_parameters_have_a_limit() -> None:
    """Goal: a form's work is bounded by more than its length. Method: the limit, and one more."""
    many = b"&".join([b"value=x"] * forms.PARAMETERS_MAX)
    assert forms.parse("PUT", FORM, many, many) == {b"value": b"x"}
    for query, body in ((many + b"&", many), (many, many + b"&")):
        with pytest.raises(EtcdError, match="number of URL query parameters exceeded limit"):
            forms.parse("PUT", FORM, query, body)


def test_keys_have_limits() -> None:
    """Goal: memory is length times depth, so both are bounded. Method: one beyond each."""
    for key in (b"/" + b"k" * (64 * 1024), b"/k" * 4097):
        with pytest.raises(EtcdError, match="209"):
            params.parse("GET", key, {})
