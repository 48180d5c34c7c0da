"""The virtual-time loop: order, processes that die, stop and are held up, clocks, threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.simulation.loop import MS, NS_PER_S, Process, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

THREAD_DELAY_NS = 3 * MS


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """A loop that asyncio takes for the running one."""
    found = VirtualLoop(lambda: THREAD_DELAY_NS)  # type: ignore[abstract]
    with found.running():
        yield found


def test_time_jumps_from_one_callback_to_the_next(loop: VirtualLoop) -> None:
    """Goal: hours cost nothing, and what is due at one moment runs in the order it was asked for.
    Method: sleepers that note when they wake."""
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, loop.time()))

    for name, seconds in (("late", 7200.0), ("first", 1.0), ("second", 1.0)):
        loop.create_task(sleeper(name, seconds))
    loop.run_until(3 * 3600 * NS_PER_S)
    assert woken == [("first", 1.0), ("second", 1.0), ("late", 7200.0)]
    assert loop.now_ns == 3 * 3600 * NS_PER_S


def test_nothing_of_a_dead_process_runs(loop: VirtualLoop) -> None:
    """Goal: after its death no callback, timer, task or thread of a process runs, but the clean-up
    of its coroutines. Method: one of each, and a death before any is due."""
    process = Process(loop, "p")
    ran: list[str] = []

    async def task() -> None:
        try:
            await asyncio.sleep(1)
            ran.append("task")
        finally:
            ran.append("clean-up")

    def begin() -> None:
        loop.create_task(task())
        loop.call_later(1, ran.append, "timer")
        loop.call_soon(ran.append, "soon")
        loop.run_in_executor(None, ran.append, "thread")

    process.run(begin)
    loop.run_until(MS)
    assert ran == ["soon"]
    process.kill()
    loop.run_until(5 * NS_PER_S)
    assert ran == ["soon", "clean-up"]


def test_a_stopped_process_goes_on_where_it_was(loop: VirtualLoop) -> None:
    """Goal: while stopped nothing of it runs; afterwards everything does, in order. Method: timers
    before, within and after the stop."""
    process = Process(loop, "p")
    ran: list[tuple[int, int]] = []

    def note(number: int) -> None:
        ran.append((number, loop.now_ns // MS))

    process.run(lambda: [loop.call_later(n / 1000, note, n) for n in (1, 3, 5, 9)])
    loop.run_until(2 * MS)
    process.stop()
    loop.run_until(7 * MS)
    process.go_on()
    loop.run_until(20 * MS)
    assert ran == [(1, 1), (3, 7), (5, 7), (9, 9)]


def test_time_spent_inside_a_callback_holds_up_that_process_only(loop: VirtualLoop) -> None:
    """Goal: a callback that waits for a disk sees its clock go on, and delays what is due in its
    process, but no other one. Method: spend ten milliseconds in one."""
    slow, other = Process(loop, "slow"), Process(loop, "other")
    ran: list[tuple[str, int]] = []

    def wait() -> None:
        before_ns = slow.monotonic_ns()
        loop.spend(10 * MS)
        assert slow.monotonic_ns() - before_ns == 10 * MS
        loop.call_soon(note, "asked while waiting")

    def note(what: str) -> None:
        ran.append((what, loop.now_ns // MS))

    slow.run(lambda: (loop.call_later(0.001, wait), loop.call_later(0.002, note, "slow")))
    other.run(lambda: loop.call_later(0.002, note, "other"))
    loop.run_until(20 * MS)
    assert ran == [("other", 2), ("slow", 11), ("asked while waiting", 11)]


def test_clocks_run_at_their_own_rates(loop: VirtualLoop) -> None:
    """Goal: a process has its own time, also for its timers, and a jump of its clock makes them
    due. Method: a fast clock and a jump."""
    fast = Process(loop, "fast", origin_ns=500 * NS_PER_S, rate_ppm=2_000_000)
    ran: list[tuple[float, int]] = []

    def note() -> None:
        ran.append((loop.time(), loop.now_ns))

    fast.run(lambda: (loop.call_later(1, note), loop.call_later(100, note)))
    loop.run_until(NS_PER_S)
    assert ran == [(501.0, NS_PER_S // 2)]
    fast.skip(99 * NS_PER_S)
    loop.run_until(NS_PER_S + 1)
    assert ran[1] == (601.0, NS_PER_S)


def test_a_thread_takes_its_time_and_holds_up_nobody(loop: VirtualLoop) -> None:
    """Goal: what runs in a thread begins later, and its result comes when its time is over, while
    its process goes on. Method: a function that spends time, errors included."""
    process = Process(loop, "p")
    ran: list[tuple[object, int]] = []

    def work() -> str:
        ran.append(("work", loop.now_ns // MS))
        loop.spend(10 * MS)
        return "done"

    async def waiter() -> None:
        ran.append((await asyncio.to_thread(work), loop.now_ns // MS))
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        ran.append(("raised", loop.now_ns // MS))

    def tick() -> None:
        ran.append(("tick", loop.now_ns // MS))

    process.run(lambda: (loop.create_task(waiter()), loop.call_later(0.005, tick)))
    loop.run_until(NS_PER_S)
    assert ran == [("work", 3), ("tick", 5), ("done", 13), ("raised", 16)]


def test_what_nobody_catches_ends_the_run(loop: VirtualLoop) -> None:
    """Goal: no exception goes by unnoticed. Method: one in a callback, one in a task nobody waits
    for, one that is reported and then swallowed."""
    loop.call_soon(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        loop.run_until(1)

    async def fails() -> None:
        raise KeyError("lost")

    loop.create_task(fails())
    with pytest.raises(KeyError):
        loop.run_until(3)

    def swallows() -> None:
        try:
            loop.fail(ValueError("known"))
            raise ValueError("known")
        except ValueError:
            pass  # as a driver would that ends itself for it

    loop.call_soon(swallows)
    with pytest.raises(ValueError, match="known"):
        loop.run_until(4)


def test_waiting_for_a_condition_has_an_end(loop: VirtualLoop) -> None:
    """Goal: `run_while` stops when its condition ends, or at its limit. Method: both."""
    seen: list[int] = []
    loop.call_later(1, seen.append, 1)
    assert loop.run_while(lambda: not seen, 2 * NS_PER_S)
    assert loop.now_ns == NS_PER_S
    assert not loop.run_while(lambda: True, 2 * NS_PER_S)
    assert loop.now_ns == 2 * NS_PER_S
