"""A text in quotes, as Go's %q prints it: on one line, and harmless to a terminal."""

from collections.abc import Iterable

_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    '"': r"\"",
    "\\": r"\\",
}


def go_quote(text: str) -> str:
    """The text as Go's %q prints it; bytes that are not UTF-8 (lone surrogates here) as \\xNN."""
    return '"' + "".join(map(_quoted_char, text)) + '"'


def _quoted_char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def go_quote_list(texts: Iterable[str]) -> str:
    """A list as Go's %q prints a slice: `["a" "b"]`."""
    return "[" + " ".join(map(go_quote, texts)) + "]"
