"""Files of `NAME=value` lines, as shells and systemd read them; subnet.env is one.

Laws: nothing in such a file is ever run: no expansion, no substitution; a line that is no
assignment is passed over, one whose quotes are not closed is an error. A file is replaced whole or
not at all. Bytes that are no text pass through as they came, as in the environment.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
_LINE = re.compile(
    r"""\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s#'"]*))"""
)
_ESCAPE = re.compile(r"\\([\\\"$`])")


class BadLine(ValueError):
    """A line that is half an assignment; the message says which."""


def parse(text: str) -> dict[str, str]:
    """The assignments, the last one of a name winning; raises BadLine."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line)
        if match:
            if line[match.end() :].startswith(("'", '"')):
                raise BadLine(f"line {number}: a quote is not closed: {line.strip()}")
            name, double, single, bare = match.groups()
            value = _ESCAPE.sub(r"\1", double) if double is not None else single
            found[name] = bare if value is None else value
    return found


def read(path: Path) -> dict[str, str]:
    """The assignments in a file; none if there is no file. Raises OSError otherwise, BadLine."""
    try:
        return parse(os.fsdecode(path.read_bytes()))
    except FileNotFoundError:
        return {}


def write(path: Path, text: str, *, through_links: bool = False) -> None:
    """Replace a file, making its directory; raises OSError with its name. A device or pipe is
    written to, and so is, if asked for, what a link leads to."""
    path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    data = os.fsencode(text)
    try:
        if (through_links and path.is_symlink()) or (path.exists() and not path.is_file()):
            path.write_bytes(data)
        else:
            _replace(path, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    try:
        with open(temporary, "wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)
            file.write(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def lines(assignments: Mapping[str, str]) -> str:
    """One bare assignment per line."""
    return "".join(f"{name}={value}\n" for name, value in assignments.items())
