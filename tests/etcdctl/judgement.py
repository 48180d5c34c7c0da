"""Says what differs between what a client did and what it should have done.

Laws: a client is right if one of the expected outcomes matches wholly: both streams and the exit
code. Otherwise the nearest is shown, line by line, with placeholders filled in where known.
"""

import difflib
from collections.abc import Mapping, Sequence

from tests.etcdctl.cases import Outcome
from tests.etcdctl.placeholders import pattern, shown


def matches(outcome: Outcome, expected: Outcome, names: Mapping[str, str]) -> bool:
    """Whether everything is as expected."""
    return outcome.code == expected.code and texts_match(outcome, expected, names)


def texts_match(outcome: Outcome, expected: Outcome, names: Mapping[str, str]) -> bool:
    """Whether what is printed is as expected."""
    return all(
        pattern(wanted, names).fullmatch(found) is not None
        for wanted, found in zip(_texts(expected), _texts(outcome), strict=True)
    )


def differences(outcome: Outcome, expected: Sequence[Outcome], names: Mapping[str, str]) -> str:
    """What differs from the nearest of the expected outcomes; empty if one matches."""
    if any(matches(outcome, one, names) for one in expected):
        return ""
    reports = [_report(outcome, one, names) for one in expected]
    nearest = min(reports, key=len)
    which = f"nearest of {len(expected)} expected outcomes:\n" if len(expected) > 1 else ""
    return which + "".join(nearest)


def _report(outcome: Outcome, expected: Outcome, names: Mapping[str, str]) -> list[str]:
    lines = []
    if outcome.code != expected.code:
        lines.append(f"exit: expected {expected.code}, got {outcome.code}\n")
    streams = zip(("stdout", "stderr", "terminal"), _texts(expected), _texts(outcome), strict=True)
    for stream, wanted, found in streams:
        lines += _stream_report(stream, wanted, found, names)
    return lines


def _stream_report(stream: str, wanted: str, found: str, names: Mapping[str, str]) -> list[str]:
    if pattern(wanted, names).fullmatch(found) is not None:
        return []
    got = found.splitlines(keepends=True)
    right = [_as_seen(line, got, names) for line in wanted.splitlines(keepends=True)]
    compared = difflib.unified_diff(right, got, "expected", "got", n=2)
    return [f"{stream}:\n", *(f"    {_ended(line)}" for line in compared)]


def _as_seen(line: str, seen: list[str], names: Mapping[str, str]) -> str:
    """The line as it was seen, if it was, else with the values known."""
    wanted = pattern(line, names)
    return next((one for one in seen if wanted.fullmatch(one)), shown(line, names))


def _ended(line: str) -> str:
    return line if line.endswith("\n") else line + "\\ no newline\n"


def _texts(outcome: Outcome) -> tuple[str, str, str]:
    return outcome.stdout, outcome.stderr, outcome.terminal
