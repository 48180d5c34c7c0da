"""The schedules that break PySyncObj as it is shipped are all replayed in this folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
# The audit's own numbers: its scripts r1.py (there is no R07 and no R14) and r3.py, and those of
# its defects that have a test of their own here.
SCHEDULES = [
    *(f"R{number:02}" for number in range(1, 26) if number not in (7, 14)),
    *("R06b", "R19b", "r3"),
    *("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S12", "S13", "S14"),
    *("D1", "D2", "D2b", "D3", "D4", "D5", "D6", "D7"),
    *("L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10"),
    *("P4", "P5", "P6", "P7", "X2", "X5"),
]


def named() -> dict[str, list[str]]:
    """Which tests name which schedule, by the ids at the beginning of their docstrings."""
    found: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                head = (ast.get_docstring(node) or "").partition(". ")[0]
                if re.fullmatch(r"[RrSDLPX]\d+b?(, [RrSDLPX]\d+b?)*", head):
                    for schedule in head.split(", "):
                        found.setdefault(schedule, []).append(node.name)
    return found


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_is_replayed(schedule: str) -> None:
    """Goal: none is forgotten. Method: look for its id in the docstrings of tests."""
    assert named().get(schedule), f"no test replays {schedule}"


def test_every_test_says_goal_and_method() -> None:
    """Goal: a reader knows what a test is for. Method: look at the docstrings of tests."""
    for path in sorted(FOLDER.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.name[:5] == "test_"
            ):
                text = ast.get_docstring(node) or ""
                assert "Goal: " in text, node.name
                assert "Method:" in text, node.name
