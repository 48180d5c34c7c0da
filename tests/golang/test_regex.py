"""Goal: -iface-regex is read as Go reads it, or refused, without a warning.

Method: one case per rule.
"""

import pytest

from golang import regex


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("^eth[[:digit:]]$", ["eth1"], ["eth:", "ethd", "eth"]),
        ("^eth[[:^digit:]]$", ["ethx", "eth\u00e4"], ["eth1"]),
        ("^[^[:alpha:][:digit:]]$", ["-", "\u00e4"], ["a", "1"]),
        ("^[][:punct:]]+$", ["]-^\\"], ["a"]),
        ("^[:digit:]$", ["d", ":"], ["1"]),
        (r"^[\[:digit:]]$", ["[]", "d]"], ["1"]),
        ("^[[a]$", ["[", "a"], ["b"]),
        ("^[a&&b]$", ["a", "&"], ["c"]),
        (r"^eth1\z", ["eth1"], ["eth1\n", "eth12"]),
        (r"^\Qeth1.\E\d\Q+", ["eth1.7+"], ["eth1x7+"]),
        (r"\\z", ["\\z"], ["z"]),
        ("^a{,2}$", ["a{,2}"], ["aa"]),
        ("^a{1,2}$", ["aa"], ["aaa"]),
        (r"^\d$", ["1"], ["\u0661"]),
        ("(?i)^ETH", ["eth0"], []),
        ("^(?P<kind>eth|ens)[^0]", ["ens3"], ["eth0"]),
    ],
)
def test_what_is_matched(pattern: str, matching: list[str], others: list[str]) -> None:
    """Go's own reading."""
    expression = regex.compile(pattern)
    assert [text for text in [*matching, *others] if expression.search(text)] == matching


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[[:nosuch:]]", r"\[:nosuch:\] is no class: there are alnum, alpha"),
        (r"\pL", r"bad escape \\p at position 0"),
        (r"\x{41}", "incomplete escape"),
        ("(?U)a+", "unknown extension"),
        ("[a", "unterminated character set"),
        ("a{99999999999}", "too large"),
    ],
)
def test_what_is_refused(pattern: str, reason: str) -> None:
    """What Python cannot read; what is none of the two's."""
    with pytest.raises(regex.PatternError, match=reason):
        regex.compile(pattern)
