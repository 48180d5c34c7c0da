"""An attempt that is given up is over, whatever arrives afterwards."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import pytest

from raft.peers.dialer import Attempt, Dialer
from raft.peers.handshake import Hello, Welcome, welcome
from raft.peers.link import Counters
from raft.peers.pace import Pace
from tests.raft.peers.loops import on_both_loops
from tests.raft.peers.station import CLUSTER, TIMING, until
from tests.raft.peers.wire import Wire


class Caller:
    """Writes down what a dialer tells."""

    def __init__(self) -> None:
        self.dials = 0
        self.welcomes: list[bytes] = []

    def hello(self, member: int) -> Hello:
        """Say something."""
        self.dials += 1
        return Hello(CLUSTER, 1, member, 5, self.dials, None, births={}, version="")

    def welcomed(
        self, hello: Hello, welcome: Welcome, transport: asyncio.Transport, data: bytes
    ) -> None:
        """Keep what came behind the answer."""
        self.welcomes.append(data)

    def disowned(self, member: int) -> None:
        """Nothing of the kind happens here."""


ANSWER = welcome(Welcome(CLUSTER, 2, 1, 9, births={}, version=""))


@contextmanager
def dialing(caller: Caller, *, is_slow: bool = False) -> Iterator[tuple[Dialer, list[Attempt]]]:
    """A dialer at work, and its attempts; they are connected to wires, at once or not at all."""
    attempts: list[Attempt] = []

    async def connect(_where: object, factory: Callable[[], Attempt], _context: object) -> None:
        attempts.append(factory())
        if is_slow:
            await asyncio.get_running_loop().create_future()
        attempts[-1].connection_made(Wire())

    with mock.patch("raft.peers.dialer.address.connect", connect):
        dialer = Dialer(
            2,
            caller,
            pace=Pace.of(TIMING),
            chance=random.Random(1),
            context=None,
            counters=Counters(),
        )
        dialer.urls = ("http://h:1",)
        dialer.start()
        yield dialer, attempts
        dialer.stop()


@pytest.mark.parametrize("is_stopped", [True, False])
@on_both_loops
async def test_an_answer_that_comes_too_late_is_not_taken(is_stopped: bool) -> None:
    """Goal: from `stop` on nothing of the attempt counts, also before its task has ended. Method:
    the answer arrives right behind `stop`, in the same turn; without `stop` it counts."""
    caller = Caller()
    with dialing(caller) as (dialer, attempts):
        await until(lambda: dialer.asked, "asked")
        if is_stopped:
            dialer.stop()
            assert dialer.asked is None
        attempts[0].data_received(ANSWER + b"more")
        assert caller.welcomes == ([] if is_stopped else [b"more"])
    await asyncio.sleep(0)
    assert caller.dials == 1


@on_both_loops
async def test_a_connection_that_comes_too_late_asks_for_nothing() -> None:
    """Goal: the other side does not hear of an attempt that was given up while it was connecting.
    Method: stop before the connection is there."""
    with dialing(Caller(), is_slow=True) as (dialer, attempts):
        await until(lambda: attempts, "an attempt")
        dialer.stop()
        wire = Wire()
        attempts[0].connection_made(wire)
        assert (wire.writes, wire.ends) == ([], ["abort"])
    await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(6))
@on_both_loops
async def test_a_connection_that_is_lost_at_once_is_dialed_again(turns: int) -> None:
    """Goal: `start` is heard also while the task that dialed comes to its end. Method: call it some
    turns behind the answer."""
    caller = Caller()
    with dialing(caller) as (dialer, attempts):
        await until(lambda: dialer.asked, "asked")
        attempts[0].data_received(ANSWER)
        for _ in range(turns):
            await asyncio.sleep(0)
        dialer.lost(0.0)
        dialer.start()
        await until(lambda: caller.dials == 2, "dialed again")
    await asyncio.sleep(0)
