"""Regular expressions in Go's dialect (RE2's), read by Python's.

| Go                                  | becomes                                                |
|-------------------------------------|--------------------------------------------------------|
| [[:digit:]], [[:^digit:]] and so on | the characters                                         |
| \\z                                 | \\Z                                                    |
| \\Q...\\E                           | the characters, escaped                                |
| x{,5}                               | x\\{,5}: no repetition                                 |
| \\d, \\w, \\s, \\b                  | the same, of ASCII only                                |
| \\pL, \\x{41}, (?U), a(?i)b         | refused, in the words of Python                        |

Law: what Go takes is read as Go reads it, or refused. What only Python takes is not looked for.
"""

import re
import string
import warnings

ASCII = "".join(map(chr, range(128)))
BEYOND_ASCII = "\\x80-\\U0010ffff"
POSIX = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "ascii": ASCII,
    "blank": "\t ",
    "cntrl": ASCII[:32] + ASCII[127],
    "digit": string.digits,
    "graph": ASCII[33:127],
    "lower": string.ascii_lowercase,
    "print": ASCII[32:127],
    "punct": string.punctuation,
    "space": string.whitespace,
    "upper": string.ascii_uppercase,
    "word": string.ascii_letters + string.digits + "_",
    "xdigit": string.hexdigits,
}
_NAMED = r"\[:\^?[A-Za-z]*:\]"
_TOKEN = re.compile(
    rf"\\Q(?P<plain>.*?)(?:\\E|\Z)|\\.|(?P<set>\[\^?\]?(?:{_NAMED}|\\.|[^]])*\])|.", re.S
)
_MEMBER = re.compile(rf"\\.|{_NAMED}|.", re.S)


class PatternError(ValueError):
    """No regular expression; the message says why."""


def compile(pattern: str) -> re.Pattern[str]:
    """What Go means by the pattern; raises PatternError."""
    translated = "".join(_token(found, pattern) for found in _TOKEN.finditer(pattern))
    try:
        with warnings.catch_warnings():
            # Of what a future Python may read otherwise; today's reads it as Go does.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(translated, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(str(error)) from None


def _token(found: re.Match[str], pattern: str) -> str:
    text = found.group()
    if found["plain"] is not None:
        return re.escape(found["plain"])
    if found["set"] is not None:
        return "[" + "".join(map(_member, _MEMBER.findall(text[1:-1]))) + "]"
    if text == "{" and pattern.startswith("{,", found.start()):
        return r"\{"
    return r"\Z" if text == r"\z" else text


def _member(text: str) -> str:
    if not re.fullmatch(_NAMED, text):
        return text
    name = text.strip("[:^]")
    if name not in POSIX:
        raise PatternError(f"{text} is no class: there are {', '.join(POSIX)}")
    if "^" not in text:
        return re.escape(POSIX[name])
    return re.escape("".join(sorted(set(ASCII) - set(POSIX[name])))) + BEYOND_ASCII
