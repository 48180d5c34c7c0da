"""`-o yaml` and `-o table`: what etcdctl's formats are to scripts, for people and their tools.

Laws: YAML has the names of the JSON that etcdctl prints, and none that are empty. A table is for
reading: what cannot be printed is escaped, as Go's %q has it; colour is for a terminal only, and
not for one with NO_COLOR. Off a terminal a table is as wide as it has to be.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from golang.quoting import go_quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.table import Table

    from pyetcdctl.answers import Node, Result

YAML: Final = "yaml"
TABLE: Final = "table"
_WIDE: Final = 100_000


def result(result: Result, wanted: str) -> str:
    """An answer about keys, as YAML or as a table of its nodes."""
    if wanted == YAML:
        document: dict[str, Any] = {"action": result.action, "node": node_fields(result.node)}
        if result.prev_node is not None:
            document["prevNode"] = node_fields(result.prev_node)
        return as_yaml(document)
    below = result.node.walk()
    nodes = below if result.node.dir and result.node.nodes is not None else [result.node]
    rows = [_node_row(node) for node in nodes]
    columns = ["KEY", "VALUE", "TTL", "CREATED", "MODIFIED"]
    if result.action not in ("get", ""):
        columns = ["ACTION", *columns, "PREVIOUS"]
        prev = "" if result.prev_node is None else result.prev_node.value
        rows = [[result.action, *row, prev] for row in rows]
    return rendered(table(columns, rows))


def _node_row(node: Node) -> list[str]:
    slash = "/" if node.dir and not node.key.endswith("/") else ""
    ttl = str(node.ttl) if node.ttl else ""
    indexes = [str(index) if index else "" for index in (node.created_index, node.modified_index)]
    return [(node.key or "/") + slash, node.value, ttl, *indexes]


def node_fields(node: Node) -> dict[str, Any]:
    """A node's fields that say something, by their names on the wire."""
    fields: dict[str, Any] = {"key": node.key or "/"}
    if node.dir:
        fields["dir"] = True
    else:
        fields["value"] = node.value
    if node.ttl:
        fields["ttl"] = node.ttl
    if node.expiration:
        fields["expiration"] = node.expiration
    if node.created_index:
        fields["createdIndex"] = node.created_index
    if node.modified_index:
        fields["modifiedIndex"] = node.modified_index
    if node.nodes is not None:
        fields["nodes"] = [node_fields(child) for child in node.nodes]
    return fields


def as_yaml(document: Any) -> str:
    """A document as YAML, its fields in their order."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=_WIDE)
    return text


def printable(text: str) -> str:
    """A text that cannot do anything to a terminal or to a table."""
    return text if text.isprintable() else go_quote(text)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table; a row's first cell may say `good`, `bad`: those have colours on a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        made.add_column(Text(column), overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell), style=_style(cell)) for cell in row))
    return made


def _style(cell: str) -> str:
    return {"healthy": "green", "unhealthy": "red", "unreachable": "red"}.get(cell, "")


def rendered(made: Table) -> str:
    """A table as the text for stdout."""
    buffer = io.StringIO()
    console(buffer).print(made)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def console(file: io.StringIO | None = None) -> Console:
    """What draws on stdout, or for it."""
    from rich.console import Console

    is_terminal = os.isatty(1)
    target = sys.stdout if file is None else file
    # Rich has no say in this: FORCE_COLOR and COLUMNS of an environment must not reach a pipe.
    if not is_terminal:
        return Console(file=target, force_terminal=False, color_system=None, width=_WIDE)
    width = os.get_terminal_size(1).columns or None
    no_color = bool(os.environ.get("NO_COLOR"))
    return Console(file=target, force_terminal=True, no_color=no_color, width=width)
