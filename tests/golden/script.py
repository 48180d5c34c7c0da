"""The language of the scripts.

A script is a list of blocks separated by blank lines. Lines that begin with `#` tell the story. A
block is one command, a line `----`, and the exact result:

    PUT /a value=1
    ----
    201 X-Etcd-Index: 4
    {"action":"set","node":{"key":"/a","value":"1","modifiedIndex":4,"createdIndex":4}}

Commands:

    PUT /key?query field=value ...    a request to /v2/keys; also GET, POST, DELETE; the words
                                      after the path are the form's fields, percent-encoded
    repeat N PUT ...                  the same request N times; the result is the last one's
    watch NAME /key?query             a long poll; the result is its head, or the error
    event NAME                        the next event of a poll, or `end`
    wait until expired /key           until the key is gone; the result is what GET says then

An `expiration` is written as `<time>`, a `ttl` may be one second off; all else is exact.
"""

import re
from dataclasses import dataclass
from pathlib import Path

RULE = "----"
_EXPIRATION = re.compile(r'("expiration":)"[^"]*"')


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a script."""

    verb: str
    """An HTTP method, or `watch`, `event`, `expired`."""
    target: str = ""
    body: str = ""
    name: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """A command with the lines around it."""

    comments: tuple[str, ...]
    line: str
    command: Command
    expected: str
    number: int


def load(path: Path) -> list[Block]:
    """Reads a script."""
    blocks = []
    comments: list[str] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line or line.startswith("#"):
            comments.append(line)
            continue
        if at >= len(lines) or lines[at] != RULE:
            raise ValueError(f"{path.name}:{at}: a command is followed by {RULE}")
        end = at + 1
        while end < len(lines) and lines[end]:
            end += 1
        expected = "\n".join(lines[at + 1 : end])
        blocks.append(Block(tuple(comments), line, parse(line), expected, at))
        comments, at = [], end
    return blocks


def parse(line: str) -> Command:
    """Reads one command."""
    words = line.split(" ")
    match words:
        case ["repeat", times, *rest]:
            inner = parse(" ".join(rest))
            return Command(inner.verb, inner.target, inner.body, times=int(times))
        case ["watch", name, target]:
            return Command("watch", target, name=name)
        case ["event", name]:
            return Command("event", name=name)
        case ["wait", "until", "expired", key]:
            return Command("expired", key)
        case ["GET" | "PUT" | "POST" | "DELETE" as method, target, *fields]:
            return Command(method, target, "&".join(fields))
    raise ValueError(f"no such command: {line}")


def write(path: Path, blocks: list[Block], results: list[str]) -> None:
    """Writes a script with new results."""
    out: list[str] = []
    for block, result in zip(blocks, results, strict=True):
        shown = _EXPIRATION.sub(r'\1"<time>"', result)
        out += [*block.comments, block.line, RULE, *([shown] if shown else [])]
    path.write_text("\n".join(out) + "\n", encoding="utf-8")
