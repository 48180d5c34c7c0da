"""The mutants: one small edit each, and what it breaks. `engine.mutants` holds those of engine.py:

    # the name
    : what it breaks, with the audit's id where there is one
     a line that stays
    -a line that goes
    +a line that comes

Laws:

* What stays and goes occurs exactly once in the file, so that a mutant means one thing and the
  table is noticed to be out of step with the sources.
* A mutant changes behaviour that some law of its module promises; what is equivalent to the
  original is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIX: Final = ".mutants"
FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mutant:
    """An edit of one file of raft/."""

    name: str
    file: str
    old: str
    new: str
    breaks: str


def read(path: Path) -> list[Mutant]:
    """Return the mutants of a file; raises ValueError for a line that is out of place."""
    mutants: list[Mutant] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        kind, text = line[:1], line[1:]
        if kind == "#":
            mutants.append(Mutant(f"{path.stem}: {text.strip()}", f"{path.stem}.py", "", "", ""))
            continue
        if not line:
            continue
        if kind not in (":", " ", "-", "+") or not mutants:
            raise ValueError(f"{path.name}, line {number}: {line!r}")
        last = mutants.pop()
        stays, goes = f"{text}\n" * (kind in " +"), f"{text}\n" * (kind in " -")
        if kind == ":":
            mutants.append(Mutant(last.name, last.file, last.old, last.new, text.strip()))
        else:
            edited = last.old + goes, last.new + stays
            mutants.append(Mutant(last.name, last.file, *edited, last.breaks))
    return mutants


MUTANTS: Final = [mutant for path in sorted(FOLDER.glob(f"*{SUFFIX}")) for mutant in read(path)]
