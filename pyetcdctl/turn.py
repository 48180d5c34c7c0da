"""One place in the queue of a lock, without I/O: what to ask next, and what an answer means.

Laws: see locking. Nobody is first but by a listing that a quorum has answered; what makes queueing
impossible is raised, everything else is asked again, and is an outage from the second time on until
the place in the queue is there, or seen, again. A place is its process's: a child of a fork is told
that it has none, and removes nothing. Nobody gives up before having looked, for which
there are _LOOK_S at least; whoever has looked gives up on time.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final

from pyetcdctl import arguments, forking, requests
from pyetcdctl.backoff import Backoff
from pyetcdctl.errors import (
    PASSING,
    ClientError,
    DeadlineExceeded,
    EtcdError,
    EventIndexCleared,
    KeyNotFound,
    RaftFailed,
)
from pyetcdctl.leases import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyetcdctl.answers import Node, Result

_POLL_S: Final = 10.0
"""How long one question for the key in front may stay open: a member may be silently gone."""
_LOOK_S: Final = 2.0
"""How long it may take to see the queue, also for who will not wait so long."""


class LockLost(LeaseLost):
    """The lock went to somebody else, or may have."""


class LockTimeout(ClientError):
    """The lock was not got in the time given."""

    def __init__(self, key: str, wait_s: float, trouble: ClientError | None = None) -> None:
        """`trouble`: why nothing was heard of it at the end."""
        why = "" if trouble is None else f" ({str(trouble).strip()})"
        super().__init__(f"the lock {key} was not got within {wait_s:g} s{why}")


class Turn:
    """One place in the queue, without I/O: what to ask next, and what an answer means."""

    def __init__(
        self,
        directory: str,
        value: str | None,
        ttl: int,
        on_outage: Callable[[ClientError], object] | None = None,
        wait_s: float | None = None,
    ) -> None:
        """`on_outage` is told of each outage once; what it raises comes out of `took`. `wait_s`:
        LockTimeout so long after now. `value`: by default own_name().
        """
        value = own_name() if value is None else value
        arguments.text("key", directory)
        arguments.text("value", value)
        arguments.ttl(ttl, is_needed=True)
        arguments.seconds("wait_s", wait_s)
        self.directory = directory
        self._value = value
        self._ttl = ttl
        self._wait_s = wait_s
        self._begun_s = time.monotonic()
        self._has_looked = False
        self._front: tuple[str, int] | None = None
        self._has_to_look = False
        self._backoff = Backoff()
        self._on_outage = on_outage
        self._trouble: ClientError | None = None
        self._is_outage = False
        self.key: str | None = None
        self.index = 0
        self.is_first = False
        self._process = forking.here()

    @property
    def pause_s(self) -> float:
        """How long to wait before the next question."""
        return self._backoff.pause_s

    def request(self) -> requests.Request:
        """The next question; raises LockTimeout."""
        question = self._question()
        left_s = self._left_s()
        if question.waits:
            # Whoever lost its place notices then.
            poll_s = min(_POLL_S, self._ttl)
            left_s = poll_s if left_s is None else min(poll_s, left_s)
        return question._replace(within_s=left_s)

    def _left_s(self) -> float | None:
        if self._wait_s is None:
            return None
        waited_s = time.monotonic() - self._begun_s
        if waited_s >= self._wait_s and (self._has_looked or self.pause_s):
            raise LockTimeout(self.directory, self._wait_s, self._trouble)
        wait_s = self._wait_s if self._has_looked else max(self._wait_s, _LOOK_S)
        return max(0.001, wait_s - waited_s)

    def _question(self) -> requests.Request:
        if self._front is not None:
            key, index = self._front
            return requests.wait(key, recursive=False, wait_index=index + 1)
        if self.key is None and not self._has_to_look:
            return requests.once(requests.post(self.directory, self._value, ttl=self._ttl))
        return requests.get(self.directory, recursive=False, sort=True, quorum=True)

    def lose(self) -> None:
        """The key is not ours any more: queue again."""
        self.key, self._front, self.is_first = None, None, False

    def give_up(self) -> str | None:
        """Have no place any more: the key that was ours is to be removed. Raises LockLost if it is
        another process's.
        """
        key = self.key
        self.lose()
        if key is not None and forking.is_another(self._process):
            raise LockLost.elsewhere(key)
        return key

    def took(self, request: requests.Request, outcome: Result | ClientError) -> None:
        """Take an answer. Raises what makes queueing impossible."""
        self._front = None
        if request.method == "POST":
            # If it failed, look: that finds an endpoint that answers.
            self._has_to_look = isinstance(outcome, ClientError)
        elif not request.waits:
            self._has_to_look = False
        if isinstance(outcome, ClientError):
            self._failed(request, outcome)
            return
        self._backoff.succeeded()
        if request.method == "POST" or self.key is not None:
            self._trouble, self._is_outage = None, False
        if request.method == "POST":
            self.key, self.index = outcome.node.key, outcome.node.created_index
        elif not request.waits and self.key is not None:
            self._look(outcome)

    def _failed(self, request: requests.Request, error: ClientError) -> None:
        if request.waits and isinstance(error, EventIndexCleared | DeadlineExceeded):
            return
        if isinstance(error, KeyNotFound) and not request.waits and request.method == "GET":
            self.lose()
            return
        if isinstance(error, EtcdError) and not isinstance(error, RaftFailed):
            raise error
        if not isinstance(error, PASSING):
            raise error
        self._backoff.failed()
        self._has_to_look = True
        was_outage, self._is_outage = self._is_outage, self._trouble is not None
        self._trouble = error
        if self._is_outage and not was_outage and self._on_outage is not None:
            self._on_outage(error)

    def _look(self, listing: Result) -> None:
        self._has_looked = True
        queue = sorted(filter(None, map(_place, listing.node.nodes or ())))
        mine = next((place for place in queue if place[1] == self.key), None)
        if mine is None:
            self.lose()
            return
        before = queue[: queue.index(mine)]
        self.is_first = not before
        if before:
            self._front = before[-1][1], listing.index


def _place(node: Node) -> tuple[int, str] | None:
    """A key's number, and the key."""
    number = node.key.rpartition("/")[2]
    return (int(number), node.key) if number.isdecimal() and not node.dir else None


def own_name() -> str:
    """What a key says of its holder unless told otherwise: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def as_lock(lost: LeaseLost) -> LockLost:
    """A lost key is a lost lock."""
    return LockLost(lost.key, lost.why)
