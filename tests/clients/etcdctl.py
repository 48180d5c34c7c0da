"""Debian's `etcdctl`, API 2, as a child process, and the tale that is told with it.

A tale is a list of command lines and of watches with the writes that wake them. `tell` runs it
against a server and returns what every command printed and its exit code.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.clients.reachable import first_watcher
from tests.clients.waiting import until
from tests.oracle import Server

COMMAND_S = 30.0
_TTL = re.compile(r'(?<=TTL: )\d+|(?<="ttl":)\d+')
_EXPIRATION = re.compile(r'(?<="expiration":")[-0-9T:.]+Z')


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command line came to."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def ttls(self) -> tuple[int, ...]:
        """The times to live it printed, in s."""
        return tuple(int(number) for number in _TTL.findall(self.out))

    def masked(self) -> "Outcome":
        """The same without times, and with the lines of an unsorted listing in order."""
        out = _EXPIRATION.sub("<time>", _TTL.sub("<s>", self.out))
        if "ls" in self.arguments and "--sort" not in self.arguments:
            out = "".join(sorted(out.splitlines(keepends=True)))
        return Outcome(self.arguments, self.code, out, self.err)


def etcdctl(server: Server, *arguments: str, stdin: str = "") -> Outcome:
    """Run one command to its end."""
    done = subprocess.run(
        _command(server, arguments),
        env=_environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
    )
    return Outcome(arguments, done.returncode, done.stdout, done.stderr)


class Background:
    """A command that goes on until it ends by itself, or is interrupted."""

    def __init__(self, server: Server, arguments: tuple[str, ...]) -> None:
        self._arguments = arguments
        self._printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `end` closes it
        self.process = subprocess.Popen(
            _command(server, arguments),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._printed,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_lines(self, count: int) -> None:
        """Wait until it has printed this many lines."""
        until(lambda: self._text().count("\n") >= count, f"{self._arguments}: {count} lines")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def outcome(self) -> Outcome:
        """Wait for its end."""
        _, err = self.process.communicate(timeout=COMMAND_S)
        return Outcome(self._arguments, self.process.returncode, self._text(), err)

    def end(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._printed.close()

    def _text(self) -> str:
        # Read by position: the child writes through the same open file.
        size = os.fstat(self._printed.fileno()).st_size
        return os.pread(self._printed.fileno(), size, 0).decode()


@contextmanager
def background(server: Server, *arguments: str) -> Iterator[Background]:
    """Start a watching command and wait until its watcher is registered."""
    with first_watcher(server) as registered:
        running = Background(server, arguments)
        try:
            registered()
            yield running
        finally:
            running.end()


def find_etcdctl() -> str:
    """The program's path; its absence is a failure, never a skip."""
    path = shutil.which("etcdctl")
    assert path, "etcdctl is not installed: Debian's package is etcd-client"
    return path


def _command(server: Server, arguments: tuple[str, ...]) -> list[str]:
    return [find_etcdctl(), "--endpoints", server.url, *arguments]


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ETCD") and not name.lower().endswith("_proxy")
    }
    return kept | {"ETCDCTL_API": "2"}


# -- the tale ---------------------------------------------------------------------------------

PLAIN: tuple[tuple[str, ...], ...] = (
    ("set", "/message", "hello"),
    ("get", "/message"),
    ("-o", "extended", "get", "/message"),
    ("-o", "json", "get", "/message"),
    ("-o", "extended", "set", "/message", "hello again"),
    ("-o", "json", "set", "/message", "<&> ü"),
    ("set", "/message", "swapped", "--swap-with-value", "<&> ü"),
    ("set", "/message", "no", "--swap-with-value", "wrong"),
    ("set", "/message", "no", "--swap-with-index", "1"),
    ("set", "/short", "x", "--ttl", "100"),
    ("-o", "extended", "get", "/short"),
    ("-o", "json", "get", "/short"),
    ("get", "/missing"),
    ("get", "/missing/below"),
    ("mk", "/fresh", "made"),
    ("mk", "/fresh", "made twice"),
    ("-o", "json", "mk", "--in-order", "/queue", "job 1"),
    ("-o", "json", "mk", "--in-order", "/queue", "job 2"),
    ("mk", "/message/below", "a file is no directory"),
    ("mkdir", "/dir"),
    ("mkdir", "/dir"),
    ("-o", "json", "mkdir", "/dir/sub"),
    ("setdir", "/dir"),
    ("setdir", "/dir/set"),
    ("setdir", "/dir/timed", "--ttl", "200"),
    ("updatedir", "/dir/set", "--ttl", "200"),
    ("-o", "extended", "ls", "/dir/set"),
    ("update", "/message", "updated"),
    ("-o", "extended", "update", "/message", "updated again"),
    ("update", "/missing", "x"),
    ("update", "/dir", "x"),
    ("set", "/dir/b", "2"),
    ("set", "/dir/a", "1"),
    ("set", "/dir/_hidden", "h"),
    ("get", "/dir/_hidden"),
    ("get", "/dir"),
    ("ls",),
    ("ls", "/"),
    ("ls", "--sort"),
    ("ls", "-r", "-p", "--sort", "/"),
    ("ls", "--recursive", "/dir"),
    ("ls", "-p", "/dir"),
    ("ls", "/message"),
    ("ls", "/missing"),
    ("-o", "json", "ls", "--sort", "-r", "/dir"),
    ("ls", "--quorum", "--sort", "/dir"),
    ("get", "--quorum", "/message"),
    ("rm", "/dir"),
    ("rm", "--dir", "/dir"),
    ("rmdir", "/dir"),
    ("rmdir", "/dir/sub"),
    ("rm", "/dir/b"),
    ("-o", "extended", "rm", "/dir/a"),
    ("rm", "--with-value", "no", "/fresh"),
    ("rm", "--with-value", "made", "/fresh"),
    ("rm", "--with-index", "1", "/message"),
    ("rm", "/missing"),
    ("rm", "/"),
    ("-o", "json", "rm", "-r", "/dir"),
    ("rm", "-r", "/queue"),
    ("set", "/", "x"),
    ("set", "", "x"),
    ("set", "/a b/ü%2F?#", "odd key"),
    ("get", "/a b/ü%2F?#"),
    ("ls", "-r", "--sort"),
    ("watch", "--after-index", "3", "/message"),
    ("watch", "--after-index", "3", "--recursive", "/dir"),
    ("cluster-health",),
    ("member", "list"),
    ("member", "remove", "abcdef"),
    ("--no-sync", "get", "/message"),
    ("--debug", "get", "/message"),
)


def _stdin(server: Server) -> Outcome:
    return etcdctl(server, "set", "/from-stdin", stdin="two\nlines\n")


def _watch(server: Server) -> Outcome:
    with background(server, "watch", "/watched") as watch:
        etcdctl(server, "set", "/watched-not", "x")
        etcdctl(server, "set", "/watched", "seen")
        return watch.outcome()


def _watch_extended(server: Server) -> Outcome:
    with background(server, "-o", "extended", "watch", "-r", "/tree") as watch:
        etcdctl(server, "set", "/tree/a/leaf", "seen")
        return watch.outcome()


def _watch_forever(server: Server) -> Outcome:
    with background(server, "watch", "-r", "--forever", "/wood") as watch:
        etcdctl(server, "set", "/wood/a", "1")
        etcdctl(server, "set", "/wood/b", "2", "--ttl", "100")
        etcdctl(server, "update", "/wood/b", "3")
        etcdctl(server, "set", "/wood/_hidden", "unseen")
        etcdctl(server, "rm", "/wood/a")
        etcdctl(server, "rm", "-r", "/wood")
        etcdctl(server, "mk", "--in-order", "/wood", "4")
        # Two lines an event: what happened to which key, and the value. The last write's are read
        # before Ctrl-C is pressed.
        watch.wait_lines(2 * 5)
        watch.interrupt()
        return watch.outcome()


def _watch_expiry(server: Server) -> Outcome:
    with background(server, "watch", "-r", "--forever", "/brief") as watch:
        etcdctl(server, "set", "/brief/key", "gone soon", "--ttl", "1")
        watch.wait_lines(4)
        watch.interrupt()
        return watch.outcome()


_TOLD = "echo $ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE $ETCD_WATCH_MODIFIED_INDEX"


def _exec_watch(server: Server) -> Outcome:
    # Children run side by side: each one's line is awaited before the next write.
    arguments = ("exec-watch", "--recursive", "/job", "--", "sh", "-c", _TOLD)
    with background(server, *arguments) as watch:
        changes = (("set", "/job/1", "run me"), ("update", "/job/1", "again"), ("rm", "/job/1"))
        for number, change in enumerate(changes, 1):
            etcdctl(server, *change)
            watch.wait_lines(number)
        watch.interrupt()
        return watch.outcome()


STAGED: tuple[Callable[[Server], Outcome], ...] = (
    _stdin,
    _watch,
    _watch_extended,
    _watch_forever,
    _watch_expiry,
    _exec_watch,
)


def tell(server: Server) -> dict[str, Outcome]:
    """Run everything, in order; the outcomes by a name."""
    told = {}
    for number, arguments in enumerate(PLAIN):
        told[f"{number:02} {' '.join(arguments)}"] = etcdctl(server, *arguments)
    for stage in STAGED:
        told[stage.__name__] = stage(server)
    return told


NAMES = [f"{number:02} {' '.join(arguments)}" for number, arguments in enumerate(PLAIN)]
NAMES += [stage.__name__ for stage in STAGED]
