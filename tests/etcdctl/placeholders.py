"""Placeholders of the cases: `{{NAME}}`, `{{NAME+n}}` and `{{NAME+n:020}}`.

Laws: a name that is known here is replaced by its value, to which `+n` is added and which `:0w`
pads with zeros to w digits. A name that nobody can know beforehand stands for a pattern. Any other
name is an error of the test.
"""

import re
from collections.abc import Mapping
from typing import Final

_PLACEHOLDER = re.compile(r"\{\{(\w+)(?:\+(\d+))?(?::0(\d+))?\}\}")
PATTERNS: Final = {
    "TIME": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z",
    "LOGTIME": r"\d{4}[-/]\d\d[-/]\d\d \d\d:\d\d:\d\d(?:\.\d+)?",
    "PORT": r"\d+",
    "DNS": r"\S+",
    "IDX": r"\d+",
}
"""What the value of a placeholder may look like, when it is not known."""


def fill(text: str, names: Mapping[str, str]) -> str:
    """The text with values; KeyError names a placeholder that has none."""
    return _PLACEHOLDER.sub(lambda found: _value(found, names), text)


def pattern(text: str, names: Mapping[str, str]) -> re.Pattern[str]:
    """What matches exactly the texts that the given one stands for."""
    parts, position = [], 0
    for found in _PLACEHOLDER.finditer(text):
        parts.append(re.escape(text[position : found.start()]))
        name = found[1]
        known = name in names or name not in PATTERNS
        parts.append(re.escape(_value(found, names)) if known else PATTERNS[name])
        position = found.end()
    parts.append(re.escape(text[position:]))
    return re.compile("".join(parts))


def shown(text: str, names: Mapping[str, str]) -> str:
    """The text with the values that are known, for readers."""
    return _PLACEHOLDER.sub(
        lambda found: _value(found, names) if found[1] in names else found[0], text
    )


def _value(found: re.Match[str], names: Mapping[str, str]) -> str:
    value = names[found[1]]
    if found[2] is not None:
        value = str(int(value) + int(found[2]))
    return value.zfill(int(found[3] or 0))
