"""`ls --tree`: what is below a key, drawn.

Laws: siblings stand in the order of their names; off a terminal there is no colour, the lines are
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyetcdctl.command import formats, output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyetcdctl.answers import Node
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session
    from pyetcdctl.requests import Request


def print_below(session: Session, client: Client, request: Request) -> None:
    """Ask for all that is below, and draw it; in another format than simple it is just that."""
    whole = request._replace(query=request.query.replace("recursive=false", "recursive=true"))
    result = session.ask(client, whole)
    if session.settings["output"] != "simple":
        session.print(result)
        return
    root = formats.printable(result.node.key or "/")
    output.out("".join(f"{line}\n" for line in (root, *_lines(result.node, ""))))


def _lines(node: Node, indent: str) -> Iterator[str]:
    children = sorted(node.nodes or (), key=lambda child: child.key)
    for child in children:
        is_last = child is children[-1]
        slash = "/" if child.dir else ""
        name = formats.printable(child.key.rpartition("/")[2]) + slash
        yield f"{indent}{'└── ' if is_last else '├── '}{name}"
        yield from _lines(child, indent + ("    " if is_last else "│   "))
