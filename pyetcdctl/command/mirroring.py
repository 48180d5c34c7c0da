"""mirror: copy what is below a key to another cluster, then follow it.

Laws: first what differs is written, then every event behind the index of that copy, each once and
in order (watching); after a gap what differs is written again. So a mirror that is begun anew goes
on. What only the copy has is never removed unasked before the first event. TTLs are not copied: an
expiry comes as an event. While one of the two does not answer it is tried again; nothing is
skipped, and each outage and its end are said once. An original that has begun anew is a beginning
as the first one: what is left of it may be the copy. Whatever signal ends the following, it says
how far it came.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyetcdctl import requests
from pyetcdctl.command import output
from pyetcdctl.command.session import SERVER_ERROR, fail, fail_plainly
from pyetcdctl.command.supervising import ENDING, heeded
from pyetcdctl.errors import (
    ClientError,
    ClusterUnavailable,
    DeadlineExceeded,
    EndpointFailed,
    KeyNotFound,
    NodeExists,
    RaftFailed,
)
from pyetcdctl.watching import RESYNC

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyetcdctl.answers import Node
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session
    from pyetcdctl.watching import Change

_GONE: Final = ("delete", "expire", "compareAndDelete")
_PASSING: Final = (ClusterUnavailable, EndpointFailed, DeadlineExceeded, RaftFailed)
_PAUSE_S: Final = 0.5


def mirror(session: Session) -> None:
    """Copy, and follow until a signal ends it."""
    if len(session.operands) != 2:
        fail_plainly("mirror: two operands required: mirror <from> <to>")
    source, target = (session.client(endpoints=_endpoints(text)) for text in session.operands)
    _check_apart(source, target)
    prefix = requests.clean(session.flags["prefix"]).rstrip("/") or "/"
    copying = _Copy(target, prefix, may_remove=session.flags["delete"])
    try:
        original, index = _below(source, prefix)
        copying.begin(original)
    except ClientError as error:
        fail(error, SERVER_ERROR)
    output.out(f"{copying.tally.told(prefix)}, as of index {index}\n")
    if not session.flags["once"]:
        _follow(source, copying, prefix, index, is_quiet=session.flags["quiet"])


def _endpoints(text: str) -> list[str]:
    return [each if "://" in each else f"http://{each}" for each in text.split(",")]


def _check_apart(source: Client, target: Client) -> None:
    """End the run if both are the same cluster."""
    try:
        common = {m.id for m in source.members()} & {m.id for m in target.members()}
    except ClientError as error:
        fail(error, SERVER_ERROR)
    if common:
        fail_plainly(f"mirror: both are the same cluster: the member {min(common)} is in both")


def _below(client: Client, prefix: str) -> tuple[dict[str, Node], int]:
    """All nodes at and below a key as a quorum knows them, and the index."""
    try:
        result = client.get(prefix, recursive=True, quorum=True)
    except KeyNotFound as error:
        return {}, error.index
    return _flat(result.node), result.index


def _flat(root: Node) -> dict[str, Node]:
    # Every node but the root directory has been created once.
    return {node.key: node for node in (root, *root.walk()) if node.created_index}


class _Tally(NamedTuple):
    """What the making of a copy came to."""

    keys: int
    directories: int
    written: int
    removed: int

    def told(self, prefix: str) -> str:
        return (
            f"{prefix} is copied: {output.counted(self.keys, 'key', 'keys')}, "
            f"{output.counted(self.directories, 'directory', 'directories')} "
            f"({self.written} written, {self.removed} removed)"
        )


class _Copy:
    """The copy, which is made and kept the same."""

    def __init__(self, client: Client, prefix: str, *, may_remove: bool) -> None:
        """`may_remove`: whether the copy loses what it alone has when the original begins."""
        self._client = client
        self._prefix = prefix
        self._may_remove = may_remove
        self.tally = _Tally(0, 0, 0, 0)

    def begin(self, original: dict[str, Node]) -> None:
        """Write what differs, unless the copy would lose what it must not."""
        self._make(original, may_remove=self._may_remove)

    def _make(self, original: dict[str, Node], *, may_remove: bool) -> None:
        there = self._patiently(lambda: _below(self._client, self._prefix))[0]
        extra = [key for key in there if key not in original]
        wrong = [key for key in there if key in original and there[key].dir != original[key].dir]
        if (extra or wrong) and not may_remove:
            shown = min(extra or wrong)
            count = output.counted(len(extra) + len(wrong), "key", "keys")
            fail_plainly(
                f"mirror: the copy has {count} below {self._prefix} that the original has "
                f"not, such as {shown}: --delete removes them"
            )
        removed: list[str] = []
        for key in sorted([*extra, *wrong], key=lambda key: key.count("/")):
            if not any(key.startswith(f"{each}/") for each in removed):
                self.remove(key)
                removed.append(key)
        lost = tuple(f"{key}/" for key in removed)
        written = 0
        for key, node in sorted(original.items(), key=lambda item: item[0].count("/")):
            before = None if key in removed or key.startswith(lost) else there.get(key)
            if before is None or before.value != node.value:
                self.write(node)
                written += 1
        directories = sum(node.dir for node in original.values())
        self.tally = _Tally(
            len(original) - directories, directories, written, len(extra) + len(wrong)
        )

    def write(self, node: Node) -> None:
        """Make one node the same."""
        if node.dir:
            self._patiently(lambda: self._make_dir(node.key))
        else:
            self._patiently(lambda: self._client.set(node.key, node.value))

    def _make_dir(self, key: str) -> None:
        try:
            self._client.make_dir(key)
        except NodeExists:
            if not self._client.get(key, quorum=True).node.dir:
                self._client.make_dir(key, prev_exist=None)

    def remove(self, key: str) -> None:
        """Remove a node and what is below it."""
        self._patiently(lambda: self._remove(key))

    def _remove(self, key: str) -> None:
        try:
            self._client.delete(key, recursive=True, dir=True)
        except KeyNotFound:
            return

    def apply(self, change: Change) -> None:
        """Do what an event says."""
        if change.action == RESYNC:
            self._make(_flat(change.node), may_remove=True)
        elif change.action not in _GONE:
            self.write(change.node)
        elif change.node.key == self._prefix or self._is_inside(change.node.key):
            self.remove(change.node.key)
        else:
            # A directory above has gone, and all of this with it.
            self.remove(self._prefix)

    def _is_inside(self, key: str) -> bool:
        return key.startswith(self._prefix.rstrip("/") + "/")

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer; what is asked may happen twice."""
        has_told = False
        while True:
            try:
                answer = ask()
            except _PASSING as error:
                if not has_told:
                    _tell_outage("the copy", error)
                has_told = True
            else:
                if has_told:
                    _tell_outage("the copy", None)
                return answer
            time.sleep(_PAUSE_S)
            self._find()

    def _find(self) -> None:
        """What is tried at one endpoint only begins at one that answers."""
        try:
            self._client.get("/")
        except ClientError:
            return


def _tell_outage(whose: str, error: ClientError | None) -> None:
    if error is None:
        output.err(f"{whose} answers again\n")
    else:
        output.err(f"{whose} does not answer, it is tried again: {str(error).strip()}\n")


def _follow(source: Client, copying: _Copy, prefix: str, index: int, *, is_quiet: bool) -> None:
    followed, at = 0, index

    def tell() -> None:
        changes = output.counted(followed, "change", "changes")
        output.err(f"followed {changes}, up to index {at}\n")

    def end(_signal: int, _frame: Any) -> None:
        tell()
        os._exit(0)

    for number in heeded(*ENDING):
        signal.signal(number, end)
    try:
        changes = source.watch(
            prefix,
            recursive=True,
            after_index=index,
            on_outage=lambda error: _tell_outage("the original", error),
        )
        for change in changes:
            if change.index < at:
                # Wiped, perhaps, and the copy is what is left.
                output.err(f"the original has begun anew: index {change.index}, after {at}\n")
                copying.begin(_flat(change.node))
            else:
                copying.apply(change)
            followed, at = followed + 1, change.index
            if not is_quiet:
                now = datetime.now().astimezone().isoformat(timespec="milliseconds")
                output.out(f"{now} {change.action} {change.node.key or '/'}\n")
    except ClientError as error:
        tell()
        fail(error, SERVER_ERROR)
