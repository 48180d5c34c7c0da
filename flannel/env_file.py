"""Files of `NAME=value` lines, as shells and systemd read them; subnet.env is one.

Laws: nothing in such a file is ever run: no expansion, no substitution; a line that is no
assignment is passed over; one whose quotes are not closed, or within its value, or with more than a
comment behind that, is an error, and so is a NUL. Only a newline, and a carriage return before it,
ends a line, and only blanks and tabs are white, whatever else Unicode has. A file is replaced whole
or not at all, by one of the same mode and owner; only one that is mounted, which cannot be
replaced, is written in its place. Bytes that are no text pass through as they came, as in the
environment. Who reads a file asks `check` before: a pipe that nobody writes into would be waited
for, and a device like /dev/zero read, for ever.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path

DIRECTORY_MODE = 0o755
FILE_MODE, PRIVATE_MODE = 0o644, 0o600
_LINE = re.compile(
    r"""[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)="""
    r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^ \t'"]*))"""
)
_END = re.compile(r"[ \t]*\Z|[ \t]+#")
_NO_FILES = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""A directory is named by whoever tries to read it."""
_ESCAPE = re.compile(r"\\([\\\"$`])")


class BadLine(ValueError):
    """A line that is half an assignment, or more than one; the message says which."""


class NotAFile(Exception):
    """What cannot be read to its end; the message says why."""


def check(path: Path, option: str, *, or_device: bool = False) -> None:
    """Raises NotAFile for what is neither a file nor becomes one; a character device is taken if it
    is only to be written to."""
    with contextlib.suppress(OSError):  # is said when it is read, or written
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind in _NO_FILES and not (or_device and kind == stat.S_IFCHR):
            raise NotAFile(f"{option} must be a file, and {path} is {_NO_FILES[kind]}")


def parse(text: str) -> dict[str, str]:
    """The assignments, the last one of a name winning; raises BadLine."""
    found: dict[str, str] = {}
    for number, whole in enumerate(text.split("\n"), 1):
        line = whole.removesuffix("\r")
        if "\0" in line:
            raise BadLine(f"line {number}: there is a NUL in it")
        match = _LINE.match(line)
        if match:
            name, double, single, bare = match.groups()
            rest = line[match.end() :]
            if rest.startswith(("'", '"')):
                why = "is not closed" if bare == "" else f"within the value of {name} is not taken"
                raise BadLine(f"line {number}: a quote {why}: {line.strip()}")
            if not _END.match(rest):
                raise BadLine(
                    f"line {number}: there is more after the value of {name}: {line.strip()}"
                )
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
        # Nobody reads it before it has the mode it is to have.
        with open(temporary, "wb", opener=partial(os.open, mode=PRIVATE_MODE)) as file:
            _be_like(path, file.fileno())
            file.write(data)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if error.errno != errno.EBUSY:
            raise
        path.write_bytes(data)


def _be_like(path: Path, descriptor: int) -> None:
    """Give an open file the mode and owner of the one it replaces."""
    mode = FILE_MODE
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        with contextlib.suppress(PermissionError):  # only root gives files away
            os.fchown(descriptor, found.st_uid, found.st_gid)
    os.fchmod(descriptor, mode)


def lines(assignments: Mapping[str, str]) -> str:
    """One bare assignment per line."""
    return "".join(f"{name}={value}\n" for name, value in assignments.items())
