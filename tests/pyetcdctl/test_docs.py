"""The docs page says what is true."""

import re
import subprocess
import sys

import pytest

from pyetcdctl.command import event_lines
from pyetcdctl.command.more import MORE
from tests.oracle.process import ROOT
from tests.pyetcdctl.running import END_S, environment

PAGE = (ROOT / "docs" / "pyetcdctl.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_run(url: str, example: str) -> None:
    """Goal: what is to be copied works. Method: run each example of the library, at our server."""
    script = example.replace("http://127.0.0.1:2379", url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment(url),
        capture_output=True,
        text=True,
        timeout=END_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_everything_new_is_on_the_page() -> None:
    """Goal: the page is complete. Method: each new command and each field of a format."""
    assert len(EXAMPLES) == 4
    for command in MORE:
        assert re.search(rf"pyetcdctl (?:\S+ )?{command.name}\b", PAGE), command.name
    assert all(f"{{{field}}}" in PAGE for field in event_lines.FIELDS)
