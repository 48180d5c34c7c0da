"""Flags as Go's `flag` and urfave/cli read them, which scripts rely on to the letter; and ours.

Laws (contract/etcdctl.md, sections 2 and 3):

* One dash or two are the same; `-x=v` and `-x v`; a boolean takes a value only behind `=`; the
  first word that is no flag, or `--`, ends them. The last one wins, except where values are
  collected. Of a flag's names only one can be used at a time.
* Integers, booleans and durations are written as in Go. What is wrong is Usage, in Go's words.
* A line with a command or a flag of ours is none of etcdctl's. In it flags stand anywhere in front
  of `--`, a boolean takes no word along, and a word with a dash that is no flag is a mistake.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from golang import booleans
from golang.quoting import go_quote

BOOL: Final = "bool"
INT: Final = "int"
TEXT: Final = "text"
TEXTS: Final = "texts"
DURATION: Final = "duration"

_ABSENT: Final[dict[str, Any]] = {BOOL: False, INT: 0, TEXT: "", DURATION: 0.0}

_INTEGER: Final = re.compile(
    r"[+-]?(?:0[xX]_?[0-9a-fA-F]+|0[bB]_?[01]+|0[oO]?_?[0-7]*|[1-9][0-9]*)"
)
_SEPARATED: Final = re.compile(r"(?<=[0-9a-fA-FxXbBoO])_(?=[0-9a-fA-F])")
_SPAN: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_UNITS_S: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


class Usage(Exception):
    """A command line that is wrong, and why."""


class TwoForms(Usage):
    """Two names of one flag are given."""


class Flag(NamedTuple):
    """A flag: its names, the first of them the one it goes by; durations are in s."""

    names: tuple[str, ...]
    kind: str
    about: str
    default: Any = None
    # How its value and its default are called in a help text.
    called: str = "value"
    shown: str = ""

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def absent(self) -> Any:
        """Its value when it is not given."""
        if self.default is not None:
            return self.default
        return [] if self.kind == TEXTS else _ABSENT[self.kind]


HELP: Final = Flag(("help", "h"), BOOL, "show help")


def parse(
    flags: tuple[Flag, ...],
    words: list[str],
    *,
    forms_first: bool = False,
    anywhere: bool = False,
    keeps_end: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Read flags off the front; return all values by name, and the words behind them.

    `forms_first`: of two mistakes the one told is that a flag is given by two of its names.
    `anywhere`: flags are read off until `--`, wherever they stand. `keeps_end`: a `--` that ends
    them stays, to tell what is behind it.
    """
    flags = flags if HELP in flags else (*flags, HELP)
    end = words.index("--") if anywhere and "--" in words else len(words)
    given: set[str] = set()
    try:
        values, operands = _parsed(flags, words[:end], given, anywhere=anywhere)
    except Usage:
        if forms_first:
            _check_forms(flags, given)
        raise
    _check_forms(flags, given)
    return values, operands + words[end if keeps_end else end + 1 :]


def _check_forms(flags: tuple[Flag, ...], given: set[str]) -> None:
    for flag in flags:
        used = [name for name in flag.names if name in given]
        if len(used) > 1:
            raise TwoForms(f"Cannot use two forms of the same flag: {used[1]} {used[0]}")


def _parsed(
    flags: tuple[Flag, ...], rest: list[str], given: set[str], *, anywhere: bool
) -> tuple[dict[str, Any], list[str]]:
    known = {name: flag for flag in flags for name in flag.names}
    values = {flag.name: flag.absent for flag in flags}
    operands: list[str] = []
    while rest and (anywhere or _is_dashed(rest[0])):
        word = rest.pop(0)
        if word == "--":
            break
        if not _is_dashed(word):
            operands.append(word)
            continue
        name, has_value, value = word[2 if word.startswith("--") else 1 :].partition("=")
        if not name or name.startswith("-"):
            raise Usage(f"bad flag syntax: {word}")
        flag = known.get(name)
        if flag is None:
            raise Usage(f"flag provided but not defined: -{name}")
        if flag.kind == BOOL and not has_value:
            value = "true"
        elif not has_value:
            if not rest:
                raise Usage(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        if flag.kind == TEXTS:
            values[flag.name] = [*values[flag.name], value]
        else:
            values[flag.name] = _read(flag.kind, name, value)
        given.add(name)
    return values, operands + rest


def _is_dashed(word: str) -> bool:
    return len(word) > 1 and word.startswith("-")


def _read(kind: str, name: str, value: str) -> Any:
    if kind == BOOL:
        if value in booleans.TRUE | booleans.FALSE:
            return value in booleans.TRUE
        raise Usage(f"invalid boolean value {go_quote(value)} for -{name}: parse error")
    try:
        if kind == INT:
            return integer(value)
        return duration_s(value) if kind == DURATION else value
    except OverflowError:
        raise Usage(
            f"invalid value {go_quote(value)} for flag -{name}: value out of range"
        ) from None
    except ValueError:
        raise Usage(f"invalid value {go_quote(value)} for flag -{name}: parse error") from None


def integer(text: str) -> int:
    """Read an integer of 64 bits; raises ValueError and OverflowError."""
    digits = _SEPARATED.sub("", text)
    if not _INTEGER.fullmatch(digits):
        raise ValueError(text)
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-").lower()
    octal = len(digits) > 1 and digits.startswith("0") and digits[1].isdigit()
    value = sign * int(digits, 8 if octal else 0)
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(text)
    return value


def duration_s(text: str) -> float:
    """Read a duration such as 300ms or 1m30s; raises ValueError."""
    sign = -1.0 if text.startswith("-") else 1.0
    spans = text[1:] if text[:1] in ("-", "+") else text
    if spans == "0":
        return 0.0
    total_s, end = 0.0, 0
    for span in _SPAN.finditer(spans):
        if span.start() != end:
            raise ValueError(text)
        total_s, end = total_s + float(span[1]) * _UNITS_S[span[2]], span.end()
    if not spans or end != len(spans) or total_s > (1 << 63) / 1e9:
        raise ValueError(text)
    return sign * total_s


def reordered(flags: tuple[Flag, ...], words: list[str]) -> list[str]:
    """Put a command's flags in front of its operands, as Debian's etcdctl 3.4 does.

    A known flag without `=` takes the next word along even if it is boolean. What is behind `--`
    is operands.
    """
    front: list[str] = []
    behind: list[str] = []
    takes_next = False
    for position, word in enumerate(words):
        if takes_next and not _is_known(flags, word):
            takes_next = False
            front.append(word)
        elif word == "--":
            return [*front, "--", *behind, *words[position + 1 :]]
        elif _is_known(flags, word):
            front.append(word)
            takes_next = "=" not in word
        else:
            behind.append(word)
    return front + behind


def is_any(flags: tuple[Flag, ...], words: list[str]) -> bool:
    """Whether one of the flags is among the words in front of `--`."""
    end = words.index("--") if "--" in words else len(words)
    return any(
        _is_dashed(word) and _named(word) in flag.names for word in words[:end] for flag in flags
    )


def _is_known(flags: tuple[Flag, ...], word: str) -> bool:
    if word in ("-", "--") or not word.startswith("-"):
        return False
    return any(_named(word) in flag.names for flag in (*flags, HELP))


def _named(word: str) -> str:
    return word[2 if word.startswith("--") else 1 :].partition("=")[0]


def reordered_upstream(words: list[str]) -> list[str]:
    """Put flags in front as upstream's etcdctl 3.2 does, for exec-watch: `--` survives."""
    end = words.index("--") if "--" in words else len(words)
    for position, word in enumerate(words[:end]):
        if word.startswith("-") and word != "-":
            return [*words[position:end], *words[:position], *words[end:]]
    return words
