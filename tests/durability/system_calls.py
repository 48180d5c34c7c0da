"""A server under strace, and what the trace says about the order of syncs and replies.

The trace is a list of lines in the order in which the tracer saw the calls begin and end. A call
that ended before another one began is therefore truly earlier.
"""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.clients.waiting import until
from tests.oracle import Pyetcd

SHOWN_BYTES_MAX = 64 << 10
_CALLS = "fdatasync,fsync,pwrite64,pwritev,write,writev,sendto,sendmsg"
_LINE = re.compile(r"(\d+) +(.*)")
_BEGIN = re.compile(r"(\w+)\((\d+)<([^>]*)>(.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_UNFINISHED = "<unfinished ...>"
_FAILED = re.compile(r"\) += -1 ")


@dataclass(slots=True)
class Call:
    """One system call on a file descriptor; `end` is the line of its return."""

    name: str
    fd: int
    path: str
    text: str
    begin: int
    end: int = -1
    failed: bool = False

    @property
    def to_client(self) -> bool:
        """Whether it writes to a socket."""
        return self.name.startswith(("write", "send")) and self.path.startswith(
            ("socket:", "TCP:", "UNIX:")
        )

    @property
    def to_journal(self) -> bool:
        """Whether it writes to a segment of the log, or to what becomes one."""
        return self.name.startswith("pwrite") and "/wal/" in self.path

    @property
    def is_sync(self) -> bool:
        """Whether it makes a file durable."""
        return self.name in ("fdatasync", "fsync")


class Traced(Pyetcd):
    """pyetcd under strace."""

    kind = "traced"

    @property
    def trace_path(self) -> Path:
        """Where strace writes."""
        return self.data_dir.with_name("trace")

    def command(self) -> list[str]:
        """strace, then the server."""
        strace = shutil.which("strace")
        assert strace, "strace is not installed"
        options = ["-f", "-y", "--seccomp-bpf", "-s", str(SHOWN_BYTES_MAX), "-e", f"trace={_CALLS}"]
        return [strace, *options, "-o", str(self.trace_path), *super().command()]

    def finish(self) -> list[Call]:
        """End the server, wait until strace has written everything, and read it."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        for child in children.split():
            os.kill(int(child), signal.SIGTERM)
        until(lambda: not self.running, "strace ends")
        return list(calls(self.trace_path))


def calls(path: Path) -> Iterator[Call]:
    """Read a trace; calls come in the order in which they began."""
    unfinished: dict[str, Call] = {}
    found = []
    with path.open(encoding="latin-1") as lines:
        for number, line in enumerate(lines):
            match = _LINE.match(line)
            if match is None:
                continue
            process, rest = match.groups()
            resumed = _RESUMED.match(rest)
            if resumed is not None:
                call = unfinished.pop(process, None)
                if call is not None:
                    call.end, call.failed = number, bool(_FAILED.search(resumed[2]))
                continue
            begun = _BEGIN.match(rest)
            if begun is None:
                continue
            name, fd, where, text = begun.groups()
            call = Call(name, int(fd), where, text, number)
            if text.rstrip().endswith(_UNFINISHED):
                unfinished[process] = call
            else:
                call.end, call.failed = number, bool(_FAILED.search(text))
            found.append(call)
    yield from found


def told_too_early(trace: list[Call], tokens: list[str]) -> list[str]:
    """Those tokens that a client was sent before the log record that holds them was durable.

    AssertionError if a token is in no record, or was sent to nobody: then nothing was looked at.
    """
    records = [call for call in trace if call.to_journal]
    answers = [call for call in trace if call.to_client]
    syncs = [call for call in trace if call.is_sync and not call.failed]
    early = []
    for token in tokens:
        record = next((call for call in records if token in call.text), None)
        told = next((call for call in answers if token in call.text), None)
        assert told is not None, f"no client was told {token}"
        assert record is not None, f"no log record holds {token}"
        if not any(
            sync.fd == record.fd and 0 <= record.end < sync.begin <= sync.end < told.begin
            for sync in syncs
        ):
            early.append(token)
    return early
