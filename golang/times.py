"""Times as Go's time.Time takes them from JSON, and writes them there.

Laws: a text is RFC 3339's, with the liberties that Go 1.19 takes: an hour of one digit, a comma
before the fraction, any offset. What is written has nanoseconds without zeros at their end, and Z
for no offset.
"""

from __future__ import annotations

import re
from typing import Final

_TIME: Final = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"T(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d+))?(?:Z|(?P<sign>[+-])(?P<hours>\d\d):(?P<minutes>\d\d))",
    re.ASCII,
)
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_NANOSECOND_DIGITS: Final = 9


def rewritten(text: str) -> str:
    """A time as Go writes it when it has read it; raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time of RFC 3339")
    year, month, day, hour, minute, second = (
        int(found[name]) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = _DAYS[month - 1] - (month == 2 and not is_leap) if 1 <= month <= len(_DAYS) else 0
    if not (1 <= day <= days and hour < 24 and minute < 60 and second < 60):
        raise ValueError(f"{text!r} is a time that there is not")
    fraction = (found["fraction"] or "")[:_NANOSECOND_DIGITS].rstrip("0")
    return (
        f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        + (f".{fraction}" if fraction else "")
        + _offset(found)
    )


def _offset(found: re.Match[str]) -> str:
    minutes = int(found["hours"] or 0) * 60 + int(found["minutes"] or 0)
    return f"{found['sign']}{minutes // 60:02}:{minutes % 60:02}" if minutes else "Z"
