"""The documentation says what the code does: routes, errors, deviations, metrics, limits."""

import re
from pathlib import Path

import pytest

from api import forms, routes, watching
from api.front_door import HEAD_BYTES_MAX
from kvstore import KEY_BYTES_MAX, KEY_DEPTH_MAX
from kvstore.errors import CODES
from kvstore.history import EVENTS_MAX
from raft.space import FREE_BYTES_MIN
from tests.oracle import Pyetcd, Request, fetch

ROOT = Path(__file__).resolve().parents[2]
COMPATIBILITY = (ROOT / "docs" / "compatibility.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PACKAGES = ("golang", "kvstore", "raft", "api", "server")


def test_every_route_is_documented() -> None:
    """Goal: the table of routes is complete. Method: the route tables' own keys, read off the
    source, since building them takes a running member."""
    source = Path(routes.__file__).read_text()
    for path in re.findall(r'^ +(?:return \{)?b"(/[^"]*)":', source, re.MULTILINE):
        shown = path + "..." if path.endswith("/") else path
        assert f"`{shown}`" in COMPATIBILITY, path


def test_every_error_code_is_documented() -> None:
    """Goal: the table of errors is the code's. Method: each row, built from CODES."""
    for code, row in CODES.items():
        assert f"| {code} | {row.http_status} | {row.message} |" in COMPATIBILITY
    assert len(re.findall(r"^\| \d{3} \| \d{3} \|", COMPATIBILITY, re.MULTILINE)) == len(CODES)


def test_every_deviation_in_the_code_is_documented() -> None:
    """Goal: no silent deviation, no stale row. Method: the modules that say DEVIATES are those
    that the table names."""
    marked = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "DEVIATES" in path.read_text()
    }
    section = COMPATIBILITY.partition("## Where we differ on purpose")[2]
    named = set(re.findall(r"\| `([a-z_/]+\.py)` \|$", section, re.MULTILINE))
    assert named == marked


@pytest.mark.parametrize(
    "text",
    [
        f"| request head | {HEAD_BYTES_MAX >> 20} MiB |",
        f"| form body | {forms.BODY_BYTES_MAX >> 20} MiB:",
        f"| parameters in a query, and in a form | {forms.PARAMETERS_MAX:,} each: 400,",
        f"| key | {KEY_BYTES_MAX >> 10} KiB and {KEY_DEPTH_MAX:,} segments:",
        f"| history for watches | {EVENTS_MAX:,} events |",
        f"| events waiting for one stream | {watching.EVENTS_MAX:,} |",
        f"below {FREE_BYTES_MIN >> 20} MiB free",
    ],
)
def test_limits_are_documented(text: str) -> None:
    """Goal: the limits in the operations page are the code's. Method: rows built from constants."""
    assert text in OPERATIONS


def test_every_metric_is_documented() -> None:
    """Goal: nothing on /metrics is a riddle. Method: ask a running server and look each name up."""
    with Pyetcd() as server:
        fetch(server.client_port, Request("GET", b"/v2/keys/a"))
        text = fetch(server.client_port, Request("GET", b"/metrics")).body.decode()
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert len(names) > 30
    undocumented = sorted(name for name in names if f"`{name}`" not in OPERATIONS)
    assert undocumented == []
