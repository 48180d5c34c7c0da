"""What Go's JSON scanner says of a text that is not JSON.

encoding/json looks at a text byte by byte before it decodes anything, and its complaint reaches
clients word for word. This is a machine with the same states: `_STATES` says for each what may come
next, and where Go says to be when something else comes.

Laws: a text has no complaint exactly if Go 1.19's `json.Valid` holds of it (what is not UTF-8 does
not matter, nesting of more than 10,000 does); bytes count, not characters: Go shows one as the
Latin-1 character of that number. Work per byte is bounded: 256 KiB take some 40 ms at worst.
"""

from __future__ import annotations

from itertools import chain
from typing import Final, NamedTuple

from golang.quoting import go_quote

DEPTH_MAX: Final = 10_000
_END: Final = "unexpected end of JSON input"

# What the next byte does, where it does more than lead to another state.
_OPEN_OBJECT: Final = "open object"
_OPEN_ARRAY: Final = "open array"
_COLON: Final = "colon"
_NEXT_MEMBER: Final = "next member"
_CLOSE: Final = "close"
_VALUE_ENDS: Final = "value ends"

_BLANK: Final = " \t\r\n"
_DIGITS: Final = "0123456789"
_HEX: Final = _DIGITS + "abcdefABCDEF"
_WORDS: Final = ("true", "false", "null")
_NUMBER: Final = "in numeric literal"
_POINT: Final = "after decimal point in numeric literal"
_EXPONENT: Final = "in exponent of numeric literal"
_ESCAPE: Final = "in \\u hexadecimal character escape"

_VALUE: Final = {
    "{": _OPEN_OBJECT, "[": _OPEN_ARRAY, '"': "string", "-": "minus", "0": "zero",
    "123456789": "integer", "t": "t", "f": "f", "n": "n",
}  # fmt: skip
_STRING: Final = "".join(map(chr, range(0x20, 0x100)))

# State -> (where Go says to be, what may come next); the later of two rules for a byte counts.
_RULES: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "value": ("looking for beginning of value", {_BLANK: "value"} | _VALUE),
    "first item": (
        "looking for beginning of value",
        {_BLANK: "first item", "]": _CLOSE} | _VALUE,
    ),
    "first key": (
        "looking for beginning of object key string",
        {_BLANK: "first key", '"': "string", "}": _CLOSE},
    ),
    "key": ("looking for beginning of object key string", {_BLANK: "key", '"': "string"}),
    "after key": ("after object key", {_BLANK: "after key", ":": _COLON}),
    "after member": (
        "after object key:value pair",
        {_BLANK: "after member", ",": _NEXT_MEMBER, "}": _CLOSE},
    ),
    "after item": (
        "after array element",
        {_BLANK: "after item", ",": "value", "]": _CLOSE},
    ),
    "after all": ("after top-level value", {_BLANK: "after all"}),
    "string": ("in string literal", {_STRING: "string", "\\": "escape", '"': _VALUE_ENDS}),
    "escape": ("in string escape code", {'"\\/bfnrt': "string", "u": "u"}),
    "u": (_ESCAPE, {_HEX: "u0"}),
    "u0": (_ESCAPE, {_HEX: "u00"}),
    "u00": (_ESCAPE, {_HEX: "u000"}),
    "u000": (_ESCAPE, {_HEX: "string"}),
    "minus": (_NUMBER, {"0": "zero", "123456789": "integer"}),
    "zero": ("", {".": "point", "eE": "exponent"}),
    "integer": ("", {_DIGITS: "integer", ".": "point", "eE": "exponent"}),
    "point": (_POINT, {_DIGITS: "fraction"}),
    "fraction": ("", {_DIGITS: "fraction", "eE": "exponent"}),
    "exponent": (_EXPONENT, {"+-": "sign", _DIGITS: "power"}),
    "sign": (_EXPONENT, {_DIGITS: "power"}),
    "power": ("", {_DIGITS: "power"}),
} | {
    word[:done]: (
        f"in literal {word} (expecting '{word[done]}')",
        {word[done]: word[: done + 1] if done + 1 < len(word) else _VALUE_ENDS},
    )
    for word in _WORDS
    for done in range(1, len(word))
}
_STATES: Final = {
    state: {ord(byte): following for some, following in rules.items() for byte in some}
    for state, (_where, rules) in _RULES.items()
}
_NUMBERS: Final = frozenset({"zero", "integer", "fraction", "power"})
"""Where a number may end: what comes next is looked at as what comes after the value."""


class Complaint(NamedTuple):
    """What is wrong, in Go's words, and how many bytes are before the place."""

    what: str
    at: int


def scan(text: bytes, *, depth_max: int = DEPTH_MAX) -> Complaint | None:
    """Return what Go's scanner says of a text, None if it is JSON."""
    state = "value"
    open_ = ["after all"]  # for each value that is begun, the state after the one inside it
    # By a blank at the end Go finds out whether the text may end there.
    for at, byte in enumerate(chain(text, b" ")):
        following = _STATES[state].get(byte)
        if following is None and state in _NUMBERS:
            state = open_[-1]
            following = _STATES[state].get(byte)
        if following is None:
            return Complaint(f"invalid character {_shown(byte)} {_RULES[state][0]}", at)
        if following in _STATES:
            state = following
        elif following == _VALUE_ENDS:
            state = open_[-1]
        elif following == _CLOSE:
            open_.pop()
            state = open_[-1]
        elif following == _COLON:
            open_[-1], state = "after member", "value"
        elif following == _NEXT_MEMBER:
            open_[-1], state = "after key", "key"
        elif len(open_) > depth_max:
            return Complaint(f"invalid character {_shown(byte)} exceeded max depth", at)
        elif following == _OPEN_OBJECT:
            open_.append("after key")
            state = "first key"
        else:
            open_.append("after item")
            state = "first item"
    return None if state == "after all" else Complaint(_END, len(text))


def _shown(byte: int) -> str:
    if byte in b"'\"":
        return "'\\''" if byte == ord("'") else "'\"'"
    return f"'{go_quote(chr(byte))[1:-1]}'"
