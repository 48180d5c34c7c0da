"""The captured cases, one value each.

Laws: a case says everything about one invocation and nothing about this machine: ports, ids and
indexes are placeholders. The ports of mock servers, which the capture has as numbers, become
placeholders here, so that two runs can go on side by side.

Source: `cases.jsonl`, captured from etcdctl 3.4.23 (Debian), 3.2.32 and 2.3.8.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("cases.jsonl")
TIMEOUT = "TIMEOUT"
"""The exit code of a client that had to be killed because it went on for too long."""
LIMIT_S = 40.0
SERVER_KILLED = "server killed while the watch waits"
_UNRECORDED: dict[str, dict[str, Any]] = {
    "three-noquorum-watch-sigint": {"sig": "INT", "sigafter": 0.8},
}
"""What was done to the client in the capture, as the case's name says, but is not in its record."""
_MOCK = re.compile(r"127\.0\.0\.1:(248[34]\d)")
Step = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client printed, and its exit code; negative means killed by that signal."""

    stdout: str
    stderr: str
    code: int | str
    terminal: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One invocation; the outcomes are alternatives, of which any is right."""

    name: str
    kind: str
    setup: tuple[Step, ...]
    argv: tuple[str, ...]
    env: Mapping[str, str | None]
    stdin: bytes | None
    typed: tuple[str, ...]
    during: tuple[Step, ...]
    signal: str
    signal_after_s: float
    limit_s: float
    repeat: int
    state: str
    volatile: bool
    captured: tuple[Outcome, ...]
    preferred: tuple[Outcome, ...]
    """Of the release a drop-in should follow in this case; else the same as captured."""

    @property
    def watches(self) -> bool:
        """Whether the client ends up in a long poll of the server."""
        return bool({"watch", "exec-watch"} & set(self.argv))

    @property
    def is_staged(self) -> bool:
        """Whether something is done while the client runs."""
        return bool(self.during or self.signal or self.state == SERVER_KILLED)

    @property
    def words(self) -> tuple[str, ...]:
        """All arguments of all command lines in it."""
        lines = (*self.setup, self.argv, *self.during)
        return tuple(word for line in lines for word in line)


def load() -> list[Case]:
    """All cases, in the order of the capture."""
    with PATH.open(encoding="utf-8") as file:
        return [_case(json.loads(line)) for line in file]


def _case(record: dict[str, Any]) -> Case:
    record = record | _UNRECORDED.get(record["name"], {})
    if record["server"] == "mock":
        record = json.loads(_MOCK.sub(r"{{MOCK\1}}", json.dumps(record)))
    captured = _outcomes(record)
    preferred = record.get("prefer")
    return Case(
        name=record["name"],
        kind=record["server"],
        setup=_steps(record["setup"]),
        argv=tuple(record["argv"]),
        env=record["env"],
        stdin=_stdin(record),
        typed=tuple(record.get("pty", ())),
        during=_steps(record.get("during", [])),
        signal=record.get("sig", ""),
        signal_after_s=float(record.get("sigafter", 0.0)),
        limit_s=float(record.get("timeout", LIMIT_S)),
        repeat=record.get("repeat", 1),
        state=record.get("state", ""),
        volatile=record.get("volatile", False),
        captured=captured,
        preferred=_outcomes(record["alt"][preferred]) if preferred else captured,
    )


def _outcomes(record: dict[str, Any]) -> tuple[Outcome, ...]:
    terminal = record.get("tty", "")
    return tuple(
        Outcome(one["stdout"], one["stderr"], one["exit"], terminal)
        for one in record.get("variants", [record])
    )


def _steps(lines: list[list[Any]]) -> tuple[Step, ...]:
    return tuple(tuple(str(word) for word in line) for line in lines)


def _stdin(record: dict[str, Any]) -> bytes | None:
    if "stdin_b64" in record:
        return base64.b64decode(record["stdin_b64"])
    text: str | None = record["stdin"]
    return None if text is None else text.encode()
