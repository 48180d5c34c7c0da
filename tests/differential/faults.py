"""Planted faults: each spoils what the second server said, once, as a real error would.

A fault sits between the server and the comparison. It proves that the comparison has eyes: a
test plants each of the five and expects a difference at the very request it has spoiled.
"""

import re
from dataclasses import dataclass, replace

from tests.oracle import Response

AFTER = 20
"""A fault waits for this many answers, so that it hits the middle of a run."""


@dataclass(slots=True)
class Fault:
    """Passes everything on until its moment, and then spoils one answer or event."""

    name: str = "none"
    answers_seen: int = 0
    planted: int = 0

    def answer(self, response: Response) -> Response:
        """A complete answer on its way to the comparison."""
        self.answers_seen += 1
        if self.planted or self.answers_seen < AFTER:
            return response
        spoilt = self.spoil(response)
        self.planted += spoilt is not response
        return spoilt

    def event(self, chunk: bytes) -> bytes | None:
        """An event on its way to the comparison; None drops it."""
        return chunk

    def spoil(self, response: Response) -> Response:
        """The answer with the fault, or the very same object when it does not apply."""
        return response


class FieldOrder(Fault):
    """createdIndex before modifiedIndex."""

    def spoil(self, response: Response) -> Response:
        """Swaps the first pair; the length stays."""
        body = re.sub(
            rb'("modifiedIndex":\d+),("createdIndex":\d+)', rb"\2,\1", response.body, count=1
        )
        return response if body == response.body else replace(response, body=body)


class MissingHeader(Fault):
    """No X-Etcd-Index."""

    def spoil(self, response: Response) -> Response:
        """Takes the header out of an answer that has it."""
        kept = tuple(pair for pair in response.headers if pair[0] != "X-Etcd-Index")
        return response if kept == response.headers else replace(response, headers=kept)


class IndexPlusOne(Fault):
    """modifiedIndex is one too high."""

    def spoil(self, response: Response) -> Response:
        """Adds one where that keeps the number's length."""
        found = re.search(rb'"modifiedIndex":(\d+)', response.body)
        if found is None or found[1].endswith(b"9"):
            return response
        number = b"%d" % (int(found[1]) + 1)
        body = response.body[: found.start(1)] + number + response.body[found.end(1) :]
        return replace(response, body=body)


class WrongCause(Fault):
    """The cause of an error names another key."""

    def spoil(self, response: Response) -> Response:
        """Changes the cause's last byte."""
        body = re.sub(rb'("cause":"/[^"]*)[^"\\]"', rb'\1~"', response.body, count=1)
        return response if body == response.body else replace(response, body=body)


class MissingEvent(Fault):
    """A watcher does not get an event."""

    def event(self, chunk: bytes) -> bytes | None:
        """Drops one event; not a removal, one of which a deviation may explain."""
        if self.planted or self.answers_seen < AFTER or b'"action":"set"' not in chunk:
            return chunk
        self.planted += 1
        return None


FAULTS: dict[str, type[Fault]] = {
    "field order": FieldOrder,
    "missing header": MissingHeader,
    "index + 1": IndexPlusOne,
    "wrong cause": WrongCause,
    "missing event": MissingEvent,
}
