"""JSON as Go's encoding/json takes it, and its complaints.

The standard library's decoder does the work; where Go takes something else, or says something
else, it is put right here.

Laws: what is decoded is what Go decodes (bytes that are not UTF-8 and lone surrogates become
U+FFFD; no byte order mark, no UTF-16, no NaN), and a refusal has Go's words. An object is its
members in the order they are written, because Go takes names in any case, and each of two.
DEVIATES: what is nested deeper than some hundred levels (Python's recursion limit) is refused;
Go's limit is 10,000.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Value: TypeAlias = "str | int | float | bool | list[Value] | Object | None"
"""What a JSON text can say."""

INTEGER_DIGITS_MAX: Final = 30
"""Longer ones fit no field of Go's; they are floating point numbers here."""
_TOO_DEEP: Final = "exceeded max depth"
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


class BadJson(ValueError):
    """Not JSON; the message is Go's."""


# No dataclass: importing those takes longer than all else that a command line needs of this.
class Object(NamedTuple):
    """An object: names and values, in the order they are written."""

    members: tuple[tuple[str, Value], ...] = ()

    def named(self, name: str) -> Iterator[Value]:
        """The values that Go would put into a field of that name: all of them, in order."""
        wanted = folded(name)
        return (value for key, value in self.members if folded(key) == wanted)

    def find(self, name: str) -> tuple[Value, bool]:
        """The last one of these, and whether there is one."""
        found = [*self.named(name)]
        return (found[-1], True) if found else (None, False)


def decode(text: bytes) -> Value:
    """The value a text is, as `json.Unmarshal` reads it; raises BadJson."""
    characters = _characters(text)
    try:
        value: Value = _DECODER.decode(characters)
    except (ValueError, RecursionError):
        raise _refusal(text) from None
    return value


def decode_first(text: bytes) -> Value:
    """The value a text begins with, as a `json.Decoder` reads it; raises BadJson."""
    characters = _characters(text).lstrip(" \t\r\n")
    try:
        value: Value = _DECODER.raw_decode(characters)[0]
    except (ValueError, RecursionError):
        raise _refusal(text) from None
    return value


def _refusal(text: bytes) -> BadJson:
    from golang.json_scanner import scan  # its tables take 2 ms, which every start would spend

    complaint = scan(text)
    return BadJson(complaint.what if complaint else _TOO_DEEP)


def kind(value: Value) -> str:
    """Go's word for what a value is."""
    match value:
        case Object():
            return "object"
        case list():
            return "array"
        case str():
            return "string"
        case bool():
            return "bool"
        case None:
            return "null"
        case _:
            return "number"


def _characters(text: bytes) -> str:
    """Go makes a U+FFFD of each byte that is part of no character, and of each half of a pair."""
    characters = _NOT_UTF8.sub("\ufffd", text.decode(errors="surrogateescape"))
    if "\\u" not in characters:
        return characters
    return _ESCAPE.sub(lambda found: "\ufffd" if found["half"] else found[0], characters)


def folded(name: str) -> str:
    """A name as Go compares it with a field's: without regard to case, in which the long s counts
    as an s and the Kelvin sign as a k.
    """
    return name.replace("\u017f", "s").lower()


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else float(digits)


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not know, and Python takes."""
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=lambda members: Object(tuple(members)),
    parse_int=_integer,
    parse_constant=refuse_constant,
)
