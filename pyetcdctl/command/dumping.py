"""dump and load: a subtree as a document, and back.

Laws: a dump is read in one piece, from a quorum, and written to a file whole or not at all. A load
checks all of the document first; what became of each node is counted and told, and the exit code
is 4 if one was not loaded. It ends early when no endpoint answers, or at Ctrl-C, and says how far
it came. The progress bar is for a terminal only, on stderr.
"""

from __future__ import annotations

import os
import secrets
import signal
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pyetcdctl import requests
from pyetcdctl.command import dumps, formats, output
from pyetcdctl.command.session import INTERRUPTED, SERVER_ERROR, Exit, fail, fail_plainly
from pyetcdctl.errors import BadAnswer, ClientError, EtcdError, NodeExists, NotADirectory, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session

_YAML_NAMES = (".yaml", ".yml")


def dump(session: Session) -> None:
    """Write what is at and below a key."""
    if len(session.operands) > 1:
        fail_plainly(f"dump: one key is wanted, and not {session.operands[1]!r} as well")
    key, path = session.operand(0) or "/", session.flags["file"]
    wanted = session.settings["output"]
    if wanted not in ("simple", "json", "yaml"):
        fail_plainly(f'--output is "{wanted}", but a dump is json or yaml')
    if session.flags["yaml"] and wanted == "json":
        fail_plainly("--yaml and --output json cannot both be given")
    is_named_yaml = wanted == "simple" and path.endswith(_YAML_NAMES)
    is_yaml = session.flags["yaml"] or wanted == "yaml" or is_named_yaml
    request = requests.get(key, recursive=True, sort=True, quorum=True)
    document = dumps.document(session.ask(session.client(), request))
    text = formats.as_yaml(document) if is_yaml else dumps.as_json(document)
    if not path:
        output.out(text)
        return
    try:
        _write(path, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        fail_plainly(f"dump: {path}: {in_words(error)}")
    directories = sum("dir" in node for node in document["nodes"])
    keys = len(document["nodes"]) - directories
    output.err(f"dumped {_told(keys, directories)} to {path}\n")


def _write(path: str, data: bytes) -> None:
    """Write a file as a whole or not at all; what is no ordinary file is written into, and so is
    the one that stdout is: it may have more in it.
    """
    try:
        there = os.stat(path)  # not its realpath's: that of a pipe in /dev/fd is no path
    except FileNotFoundError:
        there = None
    if there is not None and _is_stdout(there):
        output.out_bytes(data)
        return
    if there is not None and not stat.S_ISREG(there.st_mode):
        with open(path, "wb") as file:
            file.write(data)
        return
    place = os.path.realpath(path)
    part = os.path.join(os.path.dirname(place), f".pyetcdctl-{secrets.token_hex(8)}")
    new = open(part, "xb")  # noqa: SIM115 - what is in the way is not ours to remove
    try:
        with new as file:
            if there is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(there.st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, place)
    except OSError:
        with suppress(OSError):
            os.unlink(part)
        raise


def _is_stdout(there: os.stat_result) -> bool:
    return sys.stdout is not None and os.path.samestat(there, os.fstat(1))


def load(session: Session) -> None:
    """Create what a dump holds."""
    if len(session.operands) > 1:
        fail_plainly(f"load: one file is wanted, and not {session.operands[1]!r} as well")
    if session.flags["skip-existing"] and session.flags["replace"]:
        fail_plainly("--skip-existing and --replace cannot both be given")
    path = session.operand(0)
    try:
        if path is None or path == "-":
            text = output.stdin().decode("utf-8", "surrogateescape")
        else:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
    except OSError as error:
        fail_plainly(f"load: open {path or 'stdin'}: {in_words(error)}")
    try:
        entries = dumps.entries(dumps.read(text), session.flags["prefix"] or None)
    except dumps.Unusable as reason:
        fail_plainly(f"load: {reason}")
    loading = _Loading(session.client(), session.flags)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _progress(len(entries)) as advance:
            for entry in entries:
                loading.create(entry)
                advance()
    except (ClientError, KeyboardInterrupt) as reason:
        done = loading.tally
        nodes = output.counted(len(entries), "node", "nodes")
        output.err(f"load: stopped after {sum(done)} of {nodes}: {done.told()}\n")
        if isinstance(reason, ClientError):
            fail(reason, SERVER_ERROR)
        raise Exit(INTERRUPTED) from None
    output.err(f"{loading.tally.told()}\n")
    if loading.tally.failed:
        raise Exit(SERVER_ERROR)


def _told(keys: int, directories: int) -> str:
    counted = output.counted
    return f"{counted(keys, 'key', 'keys')} and {counted(directories, 'directory', 'directories')}"


class _Tally(NamedTuple):
    """What became of the nodes so far."""

    keys: int = 0
    directories: int = 0
    skipped: int = 0
    failed: int = 0

    def told(self) -> str:
        text = f"loaded {_told(self.keys, self.directories)}"
        text += f", skipped {self.skipped} that exist" if self.skipped else ""
        return text + (f", {self.failed} failed" if self.failed else "")


class _Loading:
    """Creates nodes, one after the other."""

    def __init__(self, client: Client, flags: dict[str, Any]) -> None:
        self._client = client
        self._skips: bool = flags["skip-existing"]
        self._replaces: bool = flags["replace"]
        self.tally = _Tally()

    def create(self, entry: dumps.Entry) -> None:
        """Create one; raises ClientError when there is nobody to ask any more."""
        tally = self.tally
        try:
            exists = not self._put(entry)
        except EtcdError as error:
            output.err(f"{entry.key}: {error}\n")
            self.tally = tally._replace(failed=tally.failed + 1)
            return
        if exists and not entry.is_dir and not self._skips:
            output.err(f"{entry.key}: there is one already (--skip-existing or --replace?)\n")
            self.tally = tally._replace(failed=tally.failed + 1)
        elif exists and not entry.is_dir:
            self.tally = tally._replace(skipped=tally.skipped + 1)
        elif entry.is_dir:
            self.tally = tally._replace(directories=tally.directories + 1)
        else:
            self.tally = tally._replace(keys=tally.keys + 1)

    def _put(self, entry: dumps.Entry) -> bool:
        """Whether it was not there before. A directory that is there is given its TTL."""
        replaces = self._replaces and not entry.is_dir
        request = requests.put(
            entry.key,
            entry.value,
            ttl=entry.ttl,
            prev_exist=None if replaces else False,
            directory=entry.is_dir,
            one_shot=not replaces,
        )
        try:
            self._ask(request, entry)
        except NodeExists:
            if entry.is_dir:
                self._keep_directory(entry)
            return False
        return True

    def _keep_directory(self, entry: dumps.Entry) -> None:
        found = self._client.get(entry.key)
        if not found.node.dir:
            raise NotADirectory(104, "Not a directory", entry.key, found.index)
        if entry.ttl:
            request = requests.put(entry.key, None, ttl=entry.ttl, prev_exist=True, directory=True)
            self._client.keys(request)

    def _ask(self, request: requests.Request, entry: dumps.Entry) -> None:
        """Ask; what is tried at one endpoint only is tried again if it has not happened."""
        try:
            self._client.keys(request)
        except (EtcdError, BadAnswer):
            raise
        except ClientError:
            try:
                node = self._client.get(entry.key, quorum=True).node
            except EtcdError:
                self._client.keys(request)
                return
            # It is there: it happened, unless somebody else's stands in the way.
            if not entry.is_dir and node.value != entry.value:
                raise NodeExists(105, "Key already exists", entry.key, 0) from None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, if that is a terminal; call what it gives for each node."""
    if not os.isatty(2):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("loading", total=total)
        yield lambda: progress.advance(task)
