"""Applies a mutant to a copy of the tree and runs what should kill it.

Laws:

* The tree itself is never touched; a copy that does not import the mutant's file is an error.
* Who is asked, in this order: the test that killed this mutant the last time (killers.txt), the
  directed tests, the other tests of the log, the random simulation on a few seeds. The first one
  that fails has killed it. A seed that fails on the unchanged tree kills nothing.
* A run that does not end kills as well: a mutant may make things hang.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mutants.table import Mutant

ROOT: Final = Path(__file__).parents[2]
KILLERS: Final = Path(__file__).with_name("killers.txt")
COPIED: Final = ("raft", "kvstore", "tests/raft", "tests/simulation")
DIRECTED: Final = "tests/raft/fence"
# The rest of the log's tests; those of the transport have no part in it.
OTHERS: Final = ("tests/raft", f"--ignore={DIRECTED}", "--ignore=tests/raft/peers")
# Where a mutant of a file most likely dies; the other directed tests follow.
NEAREST: Final = {
    "appender": ("members", "driver_rules", "forwarding"),
    "applying": ("driver_rules", "forwarding", "installs", "lost_data"),
    "clock": ("clock", "driver_rules"),
    "compaction": ("installs",),
    "core": ("replication", "elections", "membership"),
    "driver": ("driver_rules", "forwarding", "installs", "transfers", "reads", "lost_data"),
    "election": ("clock", "elections"),
    "engine": ("elections", "replication", "flow", "membership", "lost_data"),
    "installs": ("installs", "transfers"),
    "log": ("durability", "replication", "elections", "membership", "lost_data"),
    "membership": ("membership", "members"),
    "node": ("members", "installs"),
    "progress": ("clock", "flow", "replication"),
    "proposals": ("forwarding",),
    "proposing": ("forwarding", "driver_rules"),
    "reads": ("reads",),
    "tenure": ("clock", "driver_rules", "forwarding"),
    "writing": ("driver_rules", "durability", "replication"),
}
TEST_S: Final = 60
RUN_S: Final = 600
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (?:tests/raft/)?(.+?)(?: - .*)?$", re.MULTILINE)
_BAD_SEED: Final = re.compile(r"^(\w+ seed \d+): ([^:]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant; `killer` is None for one that survived."""

    killer: str | None
    took_s: float


@contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """A copy of what a run needs."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        copy = Path(name)
        for folder in COPIED:
            shutil.copytree(ROOT / folder, copy / folder)
        for file in ("pyproject.toml", "tests/__init__.py"):
            shutil.copy2(ROOT / file, copy / file)
        yield copy


def apply(mutant: Mutant, copy: Path) -> None:
    """Make the edit; raises ValueError if the old text does not occur exactly once."""
    path = copy / "raft" / mutant.file
    source = path.read_text()
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: found {source.count(mutant.old)} times in {mutant.file}")
    path.write_text(source.replace(mutant.old, mutant.new))


def _python(copy: Path, *arguments: str) -> tuple[int, str]:
    """Run Python in a copy; return the exit code, -1 for a run that did not end, and the output."""
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    environment.pop("COVERAGE_PROCESS_START", None)
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=copy,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=RUN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, ""
    return done.returncode, done.stdout


def imports_the_copy(copy: Path) -> bool:
    """Whether a run in the copy uses the copy's raft."""
    code, output = _python(copy, "-c", "import raft; print(raft.__file__)")
    return code == 0 and Path(output.strip()).is_relative_to(copy)


def run_tests(copy: Path, *what: str) -> str | None:
    """Run tests; return the first one that fails, None if none does."""
    options = ("-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", f"--timeout={TEST_S}")
    options = (*options, "-m", "not xfail")  # what fails anyhow kills nothing
    code, output = _python(copy, "-m", "pytest", *options, *what)
    if code == 0:
        return None
    if code < 0:
        return "a run that did not end"
    found = _FAILED.search(output)
    if found is None and code in (4, 5):
        return None  # there is no such test (any more)
    return found[1] if found else f"an exit with code {code}: {output[-200:]!r}"


def _directed(mutant: Mutant, copy: Path) -> list[str]:
    """The files of directed tests, the most likely killers first."""
    nearest = [f"test_{name}.py" for name in NEAREST.get(mutant.file.removesuffix(".py"), ())]
    files = sorted(path.name for path in (copy / DIRECTED).glob("test_*.py"))
    files.sort(key=lambda name: nearest.index(name) if name in nearest else len(nearest))
    return [f"{DIRECTED}/{name}" for name in files]


def bad_seeds(copy: Path, seeds: int) -> dict[str, str]:
    """Run the simulation; return what was broken, by seed."""
    code, output = _python(copy, "-m", "tests.simulation", "--seeds", str(seeds), "--jobs", "1")
    if code < 0:
        return {"simulation": "a run that did not end"}
    bad = dict(_BAD_SEED.findall(output))
    return bad if bad or code == 0 else {"simulation": f"an exit with code {code}"}


class Campaign:
    """Runs mutants, one at a time or several side by side."""

    def __init__(self, *, seeds: int) -> None:
        """`seeds`: how many of the simulation a survivor of the tests is run on; 0 for none."""
        self._seeds = seeds
        self._baseline: dict[str, str] | None = None
        self.killers = read_killers()

    def run(self, mutant: Mutant) -> Outcome:
        """Run one mutant."""
        began_s = time.monotonic()
        with copy_of_the_tree() as copy:
            apply(mutant, copy)
            killer = self._find_killer(mutant, copy)
        return Outcome(killer, time.monotonic() - began_s)

    def _find_killer(self, mutant: Mutant, copy: Path) -> str | None:
        last = self.killers.get(mutant.name)
        if last is not None and "::" in last:
            killer = run_tests(copy, f"tests/raft/{last}")
            if killer is not None:
                return killer
        killer = run_tests(copy, *_directed(mutant, copy)) or run_tests(copy, *OTHERS)
        if killer is not None or not self._seeds:
            return killer
        bad = bad_seeds(copy, self._seeds)
        news = {seed: law for seed, law in bad.items() if seed not in self._known_bad()}
        return next((f"simulation, {seed}: {law}" for seed, law in news.items()), None)

    def _known_bad(self) -> dict[str, str]:
        if self._baseline is None:
            with copy_of_the_tree() as copy:
                self._baseline = bad_seeds(copy, self._seeds)
        return self._baseline


def read_killers() -> dict[str, str]:
    """Who killed each mutant the last time."""
    if not KILLERS.exists():
        return {}
    lines = KILLERS.read_text().splitlines()
    return dict(line.split("\t") for line in lines if line)


def write_killers(killers: dict[str, str]) -> None:
    """Remember who killed whom."""
    KILLERS.write_text("".join(f"{name}\t{killer}\n" for name, killer in killers.items()))
