"""Texts to values by the rules of Go's flag package.

Laws: accepts and refuses exactly what Go does (base prefixes, underscores, ranges, the twelve
words for a boolean, durations) with Go's error texts; ASCII only, so no Arabic-Indic digits get
through Python's `int`. Knows no option by name.
"""

import re
from enum import Enum

from golang import booleans
from golang.quoting import go_quote
from server.options.urls import Url, parse_urls


class BadValue(Exception):
    """The text is not a value of its kind; the message is Go's."""


class Kind(Enum):
    """What an option's value may be; the value is what a person calls it."""

    STRING = "string"
    WORDS = "comma list"
    UINT = "uint"
    UINT64 = "uint64"
    UINT32 = "uint32"
    INT = "int"
    INT64 = "int64"
    BOOL = "bool"
    URLS = "comma list of URLs"
    ORIGINS = "* or comma list of URLs"
    HOSTS = "* or comma list of hosts"
    DURATION = "duration"
    CHOICE = "choice"
    HOST_PORT = "host:port"
    IGNORED = "ignored"
    ABOLISHED = "error"

    @property
    def is_flag_only(self) -> bool:
        """Whether the flag stands alone, its value only ever after an `=`."""
        return self in (Kind.BOOL, Kind.IGNORED)


Value = str | int | bool | tuple[str, ...] | tuple[Url, ...]

RANGES: dict[Kind, tuple[int, int]] = {
    Kind.UINT: (0, 2**64 - 1),
    Kind.UINT64: (0, 2**64 - 1),
    Kind.UINT32: (0, 2**32 - 1),
    Kind.INT: (-(2**63), 2**63 - 1),
    Kind.INT64: (-(2**63), 2**63 - 1),
    Kind.DURATION: (-(2**63), 2**63 - 1),
}

_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<x>(?:_?[0-9a-fA-F])+)|0[bB](?P<b>(?:_?[01])+)"
    r"|0[oO](?P<o>(?:_?[0-7])+)|0(?P<z>(?:_?[0-7])+)|(?P<d>0|[1-9](?:_?[0-9])*))",
    re.ASCII,
)
_BASES = {"x": 16, "b": 2, "o": 8, "z": 8, "d": 10}
_DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNIT_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
DIGITS_MAX = 4000
"""More digits than this are out of any range; also below the interpreter's own limit."""


def parse_bool(text: str) -> bool:
    """One of Go's twelve words."""
    if text in booleans.TRUE:
        return True
    if text in booleans.FALSE:
        return False
    raise BadValue("parse error")


def parse_number(kind: Kind, text: str) -> int:
    """An integer in decimal, 0x, 0b, 0o or 0-octal, single underscores allowed, in range."""
    low, high = RANGES[kind]
    match = _NUMBER.fullmatch(text)
    if match is None or (low == 0 and match["sign"]):
        raise BadValue(_number_error(kind, text, syntax=True))
    base, found = next((b, match[g]) for g, b in _BASES.items() if match[g] is not None)
    digits = found.replace("_", "")
    if len(digits) > DIGITS_MAX:
        raise BadValue(_number_error(kind, text, syntax=False))
    number = int(digits, base) * (-1 if match["sign"] == "-" else 1)
    if not low <= number <= high:
        raise BadValue(_number_error(kind, text, syntax=False))
    return number


def _number_error(kind: Kind, text: str, *, syntax: bool) -> str:
    if kind is Kind.UINT32:  # etcd's own flag type, which does not hide strconv's error
        cause = "invalid syntax" if syntax else "value out of range"
        return f"strconv.ParseUint: parsing {go_quote(text)}: {cause}"
    return "parse error" if syntax else "value out of range"


def parse_duration(text: str) -> int:
    """A Go duration such as `1h2m3.5s`, in nanoseconds."""
    sign = -1 if text[:1] == "-" else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total_ns, at = 0, 0
    while at < len(rest):
        part = _DURATION_PART.match(rest, at)
        if part is None or not (part[1] or part[2]) or len(part[0]) > DIGITS_MAX:
            raise BadValue("parse error")
        unit_ns = _UNIT_NS[part[3]]
        fraction = part[2] or ""
        total_ns += int(part[1] or 0) * unit_ns
        total_ns += int(fraction or 0) * unit_ns // 10 ** len(fraction)
        at = part.end()
    if not rest or total_ns > RANGES[Kind.DURATION][1]:
        raise BadValue("parse error")
    return sign * total_ns


def parse_words(text: str) -> tuple[str, ...]:
    """A comma list as etcd keeps it: each word once, sorted."""
    return tuple(sorted(set(text.split(","))))


def parse_origins(text: str) -> tuple[str, ...]:
    """`*`, or URLs as CORS origins."""
    if text == "*":
        return ("*",)
    return tuple(dict.fromkeys(url.text for url in parse_urls(text.split(","))))
