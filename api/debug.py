"""/debug/vars and /config/local/log: looking inside a running server."""

from __future__ import annotations

import gc
import resource
import sys
from typing import TYPE_CHECKING, Final

import orjson

from api.answers import message, method_not_allowed
from api.exchange import Answer, BadBody, Request, Response
from golang import json_text

if TYPE_CHECKING:
    from api.backend import Backend

VARS_METHODS: Final = ("GET",)
LOG_METHODS: Final = ("PUT",)
BODY_BYTES_MAX: Final = 64 * 1024


class Debug:
    """The handlers of both routes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def vars(self, request: Request) -> Answer:
        if request.method not in VARS_METHODS:
            return method_not_allowed(VARS_METHODS)
        lines = [f'"{name}": {orjson.dumps(value).decode()}' for name, value in self._vars()]
        body = "{\n" + ",\n".join(lines) + "\n}\n"
        return Response(200, b"Content-Type: application/json; charset=utf-8\r\n", body.encode())

    def _vars(self) -> list[tuple[str, object]]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        collections = [generation["collections"] for generation in gc.get_stats()]
        node = self._backend.node
        status = node.status
        progress = dict(node.progress)
        if status.is_leader:
            # A leader counts itself; what it is sure of is what is committed.
            own = (status.commit_index, status.commit_index + 1, "StateReplicate")
            progress.setdefault(node.identity.member_id, own)
        shown_progress = {
            f"{member:x}": {"match": match, "next": following, "state": state}
            for member, (match, following, state) in sorted(progress.items())
        }
        return [
            ("cmdline", sys.orig_argv),
            ("file_descriptor_limit", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
            # Go's memstats has 26 fields of its allocator's; these are what Python can say.
            ("memstats", {"Sys": usage.ru_maxrss * 1024, "NumGC": sum(collections)}),
            (
                "raft.status",
                {
                    "id": self._backend.member_id,
                    "term": status.term,
                    "vote": f"{status.vote:x}",
                    "commit": status.commit_index,
                    "lead": f"{status.leader:x}",
                    "raftState": status.state,
                    "applied": status.applied_index,
                    "progress": shown_progress,
                    "leadtransferee": "0",
                },
            ),
        ]

    async def log(self, request: Request) -> Answer:
        if request.method not in LOG_METHODS:
            return method_not_allowed(LOG_METHODS)
        try:
            body = await request.body.read(BODY_BYTES_MAX)
        except BadBody:
            body = None
        level = _level_in(body or b"")
        if level is None:
            return message(400, "Invalid json body")
        try:
            self._backend.set_log_level(level)
        except ValueError:
            return message(400, f"Invalid log level {level}")
        return Response(204)


def _level_in(body: bytes) -> str | None:
    """The field Level as Go fills it, "" if there is none; None if Go would not take the body."""
    try:
        document = json_text.decode_first(body)
    except json_text.BadJson:
        return None
    if document is None:
        return ""
    if not isinstance(document, json_text.Object):
        return None
    level = ""
    for value in document.named("Level"):
        if isinstance(value, str):
            level = value
        elif value is not None:
            return None
    return level
