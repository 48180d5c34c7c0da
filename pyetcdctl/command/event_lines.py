"""`watch --format` and `watch --timestamps`: one line for each event, made as one likes it.

Laws: the format is checked before anything is asked. All events are told, those of directories,
too. The time is when the event was seen here: RFC 3339, to the millisecond, in local time.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pyetcdctl.command import output
from pyetcdctl.command.session import fail_plainly

if TYPE_CHECKING:
    from pyetcdctl.answers import Result

FIELDS: Final = ("time", "action", "key", "value", "prev", "index", "ttl")
DEFAULT: Final = "{action} {key} {value}"
_PLACE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|\\[nt\\]")
_PLAIN: Final = {"{{": "{", "}}": "}", "\\n": "\n", "\\t": "\t", "\\\\": "\\"}


def form(wanted: str, *, timestamps: bool) -> str:
    """The format that flags ask for; ends the run if it cannot be filled."""
    form = ("{time} " if timestamps else "") + (wanted or DEFAULT)
    check(form)
    return form


def check(form: str) -> None:
    """End the run if a format cannot be filled."""
    for found in _PLACE.finditer(form):
        if found[1] is None and found[0] in "{}":
            fail_plainly(f'--format is "{form}": a lone {found[0]} is to be written {found[0] * 2}')
        if found[1] is not None and found[1] not in FIELDS:
            allowed = ", ".join(f"{{{name}}}" for name in FIELDS)
            fail_plainly(f'--format is "{form}": {found[0]} is none of {allowed}')


def tell(form: str, result: Result) -> bool:
    """Print an event, whatever it is."""
    output.out(line(form, result))
    return True


def line(form: str, result: Result, *, now: datetime | None = None) -> str:
    """One event in a format that was checked."""
    node, prev = result.node, result.prev_node
    fields = {
        "time": (now or datetime.now()).astimezone().isoformat(timespec="milliseconds"),
        "action": result.action,
        "key": node.key + ("/" if node.dir else ""),
        "value": node.value,
        "prev": "" if prev is None else prev.value,
        "index": str(node.modified_index),
        "ttl": str(node.ttl) if node.ttl else "",
    }

    def filled(found: re.Match[str]) -> str:
        return _PLAIN[found[0]] if found[1] is None else fields[found[1]]

    return _PLACE.sub(filled, form) + "\n"
