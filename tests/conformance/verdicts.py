"""Which captured exchanges are known to differ, read from docs/compatibility.md.

The page has, below the heading of `HEADING`, a table with the columns exchange, verdict and
reason. The first holds one or more names in backquotes, the second `not yet` or `deviation`.
The list is held true in both directions: a listed exchange that passes is an error as well.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.oracle.process import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
HEADING = "## Captured exchanges that differ"
NOT_YET = "not yet"
DEVIATION = "deviation"
_NAME = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Known:
    """A known difference."""

    verdict: str
    reason: str


def known_differences(page: Path = PAGE) -> dict[str, Known]:
    """The table's rows by the exchange's name."""
    _, found, rest = page.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")
    if not found:
        raise ValueError(f"{page.name} has no heading {HEADING!r}")
    known: dict[str, Known] = {}
    for line in rest.split("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 3 or not _NAME.search(cells[0]):
            continue
        names, verdict, reason = cells
        if verdict not in (NOT_YET, DEVIATION) or not reason:
            raise ValueError(f"{page.name}: a row needs a verdict and a reason: {line}")
        for name in _NAME.findall(names):
            if name in known:
                raise ValueError(f"{page.name} lists {name} twice")
            known[name] = Known(verdict, reason)
    return known


@dataclass(frozen=True, slots=True)
class Tally:
    """The result of a run, judged by the list."""

    passed: list[str]
    not_yet: list[str]
    deviations: list[str]
    failures: dict[str, list[str]]

    def counts(self) -> str:
        """The three counts, and the failures."""
        return (
            f"pass {len(self.passed)}, not yet {len(self.not_yet)}, "
            f"deviation {len(self.deviations)}, failed {len(self.failures)}"
        )


def judge(results: dict[str, list[str]], known: dict[str, Known]) -> Tally:
    """Sorts results into the three counts and the failures."""
    tally = Tally([], [], [], {})
    for name, found in results.items():
        if name not in known:
            if found:
                tally.failures[name] = found
            else:
                tally.passed.append(name)
        elif not found:
            tally.failures[name] = [f"listed as '{known[name].verdict}', but it passes"]
        else:
            one = tally.not_yet if known[name].verdict == NOT_YET else tally.deviations
            one.append(name)
    for name in known.keys() - results.keys():
        tally.failures[name] = ["listed, but there is no such exchange"]
    return tally
