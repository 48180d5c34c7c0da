"""The page on configuration is the table's."""

from server.options.docs import PAGE, page
from server.options.table import OPTIONS


def test_the_committed_page_is_the_generated_one() -> None:
    """Goal: docs never drift. Method: generate again; to mend: `python -m server.options.docs`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_option_is_on_the_page() -> None:
    """Goal: none is forgotten; method: look for each name, and for a broken table."""
    text = page()
    for option in OPTIONS:
        assert f"| `{option.name}` |" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert {line.count(" | ") for line in rows if "`etcd-cluster`" not in line} <= {2, 5}
