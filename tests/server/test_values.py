"""Go's rules for values: what is taken, what is refused, and with which words."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golang.quoting import go_quote, go_quote_list
from server.options.values import (
    RANGES,
    BadValue,
    Kind,
    parse_bool,
    parse_duration,
    parse_number,
    parse_origins,
    parse_words,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("100", 100),
        ("0x10", 16),
        ("0XfF", 255),
        ("0b101", 5),
        ("0o17", 15),
        ("017", 15),
        ("0_17", 15),
        ("1_000", 1000),
        ("0x_f", 15),
        ("18446744073709551615", 2**64 - 1),
    ],
)
def test_numbers_go_takes(text: str, number: int) -> None:
    """Goal: every base and the underscores; method: Go's documented forms."""
    assert parse_number(Kind.UINT64, text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "-1",
        "1.0",
        "1e3",
        "_1",
        "1_",
        "1__0",
        "08",
        "0x",
        "abc",
        "\u0661",
        "1\n",
    ],
)
def test_numbers_go_refuses(text: str) -> None:
    """Goal: nothing Python's int alone would let through; method: its known liberties."""
    with pytest.raises(BadValue, match=r"^parse error$"):
        parse_number(Kind.UINT, text)


def test_number_out_of_range_says_so() -> None:
    """Goal: Go's second error text; method: one above each limit, and a monster."""
    for kind in (Kind.UINT, Kind.UINT64, Kind.INT, Kind.INT64):
        for text in (str(RANGES[kind][1] + 1), "9" * 5000):
            with pytest.raises(BadValue, match=r"^value out of range$"):
                parse_number(kind, text)
    assert parse_number(Kind.INT64, str(-(2**63))) == -(2**63)
    with pytest.raises(BadValue, match="out of range"):
        parse_number(Kind.UINT32, "4294967296")


@given(st.integers(0, 2**64 - 1), st.sampled_from(["d", "#x", "#o", "#b", "_d", "#_x"]))
def test_number_round_trip(number: int, form: str) -> None:
    """Goal: any number in any form comes back; method: Python's formats, which are also Go's."""
    assert parse_number(Kind.UINT64, format(number, form)) == number


@given(st.text(max_size=12))
def test_number_parsing_never_fails_otherwise(text: str) -> None:
    """Goal: a number or BadValue, nothing else; method: any text."""
    with contextlib.suppress(BadValue):
        assert 0 <= parse_number(Kind.UINT64, text) < 2**64


def test_booleans() -> None:
    """Goal: exactly Go's twelve words; method: all of them, and near misses."""
    assert all(map(parse_bool, ["1", "t", "T", "TRUE", "true", "True"]))
    assert not any(map(parse_bool, ["0", "f", "F", "FALSE", "false", "False"]))
    for text in ("", "yes", "on", "tRUE", " true"):
        with pytest.raises(BadValue, match="parse error"):
            parse_bool(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("5s", 5), ("2h", 7200), ("1h2m3.5s", 3723.5), (".5s", 0.5), ("-1.5m", -90)],
)
def test_durations_go_takes(text: str, seconds: float) -> None:
    """Goal: Go's duration grammar; method: its documented forms."""
    assert parse_duration(text) == seconds * 10**9


@pytest.mark.parametrize("text", ["", "5", "s", ".s", "5 s", "+", "1s2", "9999999h", "\u0663s"])
def test_durations_go_refuses(text: str) -> None:
    """Goal: no unit, no number, no range: refused; method: one text each."""
    with pytest.raises(BadValue, match="parse error"):
        parse_duration(text)


def test_lists_and_origins() -> None:
    """Goal: lists as etcd keeps them; method: duplicates, order, the star."""
    assert parse_words("b,a,b") == ("a", "b")
    assert parse_origins("*") == ("*",)
    assert parse_origins("http://b:1,http://a:1") == ("http://a:1", "http://b:1")


def test_quoting() -> None:
    """Goal: Go's %q; method: each class of character, and bytes that are not UTF-8."""
    assert go_quote('a"b\\c\n\x01é☃') == r'"a\"b\\c\n\x01é☃"'
    assert go_quote("\udcff\u200b\U000e0001") == r'"\xff\u200b\U000e0001"'
    assert go_quote_list(["a", "b"]) == '["a" "b"]'
