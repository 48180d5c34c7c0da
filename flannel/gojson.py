"""JSON as Go reads it, and its complaints, with the place.

The operator writes the network config by hand, so what is wrong with it must be said exactly: the
words are those of Go's encoding/json (what flanneld's log shows), followed by line and column.

Laws: pure; strict (no NaN, no comments, no trailing comma); an object is a list of pairs, because
Go matches field names without regard to case and the last one wins; depth and length are bounded.
"""

import json
import re
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

TEXT_MAX = 1 << 16
"""Characters. What flannel keeps in a store has a few hundred; more would hold up the packets."""
DEPTH_MAX = 100
INTEGER_DIGITS_MAX = 30
"""Longer ones fit no field anyway."""
END = "unexpected end of JSON input"

Value: TypeAlias = "str | int | float | bool | list[Value] | Fields | None"
"""What a JSON text can say."""

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS: dict[str, tuple[str, bool | None]] = {
    "t": ("true", True),
    "f": ("false", False),
    "n": ("null", None),
}


class JSONError(ValueError):
    """Not JSON; the message is Go's, with line and column."""


@dataclass(frozen=True, slots=True)
class Fields:
    """An object: its members in the order they are written."""

    members: tuple[tuple[str, "Value"], ...] = ()

    def find(self, name: str) -> tuple["Value", bool]:
        """The last member with that name in any case, and whether there is one."""
        value: Value = None
        found = False
        for key, member in self.members:
            if key.lower() == name.lower():
                value, found = member, True
        return value, found


def kind(value: Value) -> str:
    """Go's word for what a value is."""
    match value:
        case Fields():
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


def text_of(value: Value) -> str:
    """The value as JSON again, compact."""
    if isinstance(value, Fields):
        members = (f"{json.dumps(key)}:{text_of(member)}" for key, member in value.members)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text_of(item) for item in value) + "]"
    return json.dumps(value)


def parse(text: str) -> Value:
    """The one value in the text; raises JSONError."""
    if len(text) > TEXT_MAX:
        raise JSONError(f"longer than {TEXT_MAX} characters: {len(text)}")
    reader = _Reader(text)
    value = reader.value(0)
    reader.space()
    if reader.at < len(text):
        reader.fail("after top-level value")
    return value


class _Reader:
    """A place in a text, moving to its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, where: str) -> NoReturn:
        """Complain about the character here; at the end of the text, about its being the end."""
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - (self.text.rfind("\n", 0, self.at) + 1) + 1
        place = f" (line {line}, column {column})"
        if self.at >= len(self.text):
            raise JSONError(END + place)
        raise JSONError(f"invalid character {_quoted(self.text[self.at])} {where}{place}")

    def space(self) -> None:
        """Go to the next character that counts."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def peek(self) -> str:
        """The next character that counts; empty at the end."""
        self.space()
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Value:
        """Whatever begins here."""
        if depth > DEPTH_MAX:
            raise JSONError(f"exceeded max depth of {DEPTH_MAX}")
        first = self.peek()
        if first == "{":
            return self.fields(depth)
        if first == "[":
            return self.items(depth)
        if first == '"':
            return self.string()
        if first in _WORDS:
            return self.word(*_WORDS[first])
        if first == "-" or (first.isascii() and first.isdigit()):
            return self.number()
        self.fail("looking for beginning of value")

    def fields(self, depth: int) -> Fields:
        """An object."""
        found: list[tuple[str, Value]] = []
        self.at += 1
        if self.peek() == "}":
            self.at += 1
            return Fields()
        while True:
            if self.peek() != '"':
                self.fail("looking for beginning of object key string")
            key = self.string()
            if self.peek() != ":":
                self.fail("after object key")
            self.at += 1
            found.append((key, self.value(depth + 1)))
            if not self.more("}", "after object key:value pair"):
                return Fields(tuple(found))

    def items(self, depth: int) -> list[Value]:
        """An array."""
        found: list[Value] = []
        self.at += 1
        if self.peek() == "]":
            self.at += 1
            return found
        while True:
            found.append(self.value(depth + 1))
            if not self.more("]", "after array element"):
                return found

    def more(self, close: str, where: str) -> bool:
        """Whether a comma is next; else it must be the closing bracket."""
        following = self.peek()
        if following not in (",", close) or not following:
            self.fail(where)
        self.at += 1
        return following == ","

    def string(self) -> str:
        """A string; what is wrong with it is looked for only if it is not one."""
        found = _STRING.match(self.text, self.at)
        if found:
            self.at = found.end()
            return str(json.loads(found.group()))
        self.at += 1
        while True:
            plain = _PLAIN.match(self.text, self.at)
            self.at = plain.end() if plain else self.at
            if self.text[self.at : self.at + 1] != "\\":
                self.fail("in string literal")
            self.at += 1
            self.escape()

    def escape(self) -> None:
        """Go behind one escape."""
        letter = self.text[self.at : self.at + 1]
        if letter not in '"\\/bfnrtu' or not letter:
            self.fail("in string escape code")
        self.at += 1
        for _ in range(4 if letter == "u" else 0):
            digit = self.text[self.at : self.at + 1]
            if digit not in "0123456789abcdefABCDEF" or not digit:
                self.fail("in \\u hexadecimal character escape")
            self.at += 1

    def word(self, word: str, value: bool | None) -> bool | None:
        """`true`, `false` or `null`."""
        for expected in word:
            if self.text[self.at : self.at + 1] != expected:
                self.fail(f"in literal {word} (expecting '{expected}')")
            self.at += 1
        return value

    def number(self) -> int | float:
        """A number; an integer if it has neither point nor exponent."""
        found = _NUMBER.match(self.text, self.at)
        if not found:
            self.at += 1
            self.fail("in numeric literal")
        self.at = found.end()
        digits = found.group()
        following = self.text[self.at : self.at + 1]
        if following in (".", "e", "E") and following:
            self.at += 1
            self.fail(
                "after decimal point in numeric literal"
                if following == "."
                else "in exponent of numeric literal"
            )
        is_integer = digits.lstrip("-").isdigit() and len(digits) <= INTEGER_DIGITS_MAX
        return int(digits) if is_integer else float(digits)


def _quoted(character: str) -> str:
    """A character between single quotes, as Go shows it."""
    special = {"'": "'\\''", '"': "'\"'"}
    if character in special:
        return special[character]
    shown = character if character.isprintable() else json.dumps(character)[1:-1]
    return f"'{shown}'"
