"""An event loop in virtual time, on which processes live, stop, are held up and die.

Laws:

* Time is a whole number of nanoseconds and moves only from one callback to the next; sleeping
  costs nothing. Callbacks run in the order of (time, sequence): equal seeds give equal histories.
* What was scheduled on behalf of a process (a context variable says so) never runs after its death
  and not while it is stopped; while it is held up (a disk that takes its time inside of a callback)
  it runs afterwards, in order.
* A process has a monotonic clock of its own: it starts anywhere and runs at its own rate. The
  loop's `time()` and timers are in that time when the process asks.
* What runs "in a thread" runs on this one, whole, after a delay that is drawn; the time it takes
  holds up nobody.
* An exception that nobody catches ends the run.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")

MS = 1_000_000
NS_PER_S = 1_000_000_000
_PPM = 1_000_000

_current: ContextVar[Process | None] = ContextVar("process", default=None)


class Process:
    """A process of the simulated world, and its clock."""

    def __init__(
        self, loop: VirtualLoop, owner: Any, *, origin_ns: int = 0, rate_ppm: int = _PPM
    ) -> None:
        """Its monotonic clock shows `origin_ns` now and runs at `rate_ppm` millionths.

        `owner`: whose process it is, for who wants to know.
        """
        self._loop = loop
        self.owner = owner
        self.alive = True
        self.stopped = False
        self.held: list[Handle] = []
        self.busy_until_ns = 0
        # When it last went on after it was stopped or held up.
        self.went_on_ns = loop.now_ns
        self.tasks: list[asyncio.Task[Any]] = []
        self._born_ns = loop.now_ns
        self._origin_ns = origin_ns
        self._rate_ppm = rate_ppm
        self._context = copy_context()
        self._context.run(_current.set, self)

    @staticmethod
    def current() -> Process | None:
        """The process on whose behalf the running callback runs."""
        return _current.get()

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function on behalf of the process, from outside."""
        if _current.get() is self:
            return function(*args)
        return self._context.copy().run(function, *args)

    def at(self, at_ns: int, function: Callable[..., object], *args: Any) -> Handle:
        """Call a function on behalf of the process at that time of the world."""
        return self._loop.schedule(at_ns, function, *args, context=self._context.copy())

    def kill(self) -> None:
        """End it: nothing of it runs from here on."""
        self.alive = False
        self.held.clear()
        self._loop.schedule(self._loop.now_ns, self.bury)

    def bury(self) -> None:
        """End its coroutines: their clean-up runs now and not whenever memory is collected.

        It finds nothing that it could still reach.
        """
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine: Any = task.get_coro()
                while inspect.getcoroutinestate(coroutine) != inspect.CORO_CLOSED:
                    with suppress(RuntimeError):  # it wants to wait for something once more
                        self.run(coroutine.close)

    def unheeded(self) -> BaseException | None:
        """What a task of it has raised and nobody has looked at."""
        for task in self.tasks:
            if task.done() and task._log_traceback:
                return task.exception()
        return None

    def stop(self) -> None:
        """SIGSTOP."""
        self.stopped = True

    def go_on(self) -> None:
        """SIGCONT."""
        self.stopped = False
        self.went_on_ns = self._loop.now_ns
        held, self.held = self.held, []
        for handle in held:
            self._loop.repeat(handle)

    @property
    def acts_since_ns(self) -> int:
        """Since when nothing has held it up."""
        return max(self.went_on_ns, self.busy_until_ns)

    def monotonic_ns(self) -> int:
        """The time on its own clock."""
        loop = self._loop  # this is asked all the time
        elapsed_ns = loop._now_ns + loop._lag_ns - self._born_ns
        return self._origin_ns + elapsed_ns * self._rate_ppm // _PPM

    def skip(self, forward_ns: int) -> None:
        """Let its clock jump; timers that are due by that come at once."""
        self._origin_ns += forward_ns
        self._loop.hasten(self, forward_ns * _PPM // self._rate_ppm)

    def world_ns(self, local_ns: int) -> int:
        """When its clock shows `local_ns`."""
        return self._born_ns - (self._origin_ns - local_ns) * _PPM // self._rate_ppm


@dataclass(slots=True)
class Took:
    """How long something would have taken."""

    ns: int = 0


class Handle:
    """A callback that is due; asyncio knows it as Handle and TimerHandle."""

    __slots__ = ("args", "at_ns", "callback", "context", "dropped", "in_thread", "process", "timer")

    def __init__(
        self, at_ns: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> None:
        self.at_ns = at_ns
        self.callback = callback
        self.args = args
        self.context = context
        self.process = context.get(_current)
        self.dropped = False
        self.in_thread = False
        self.timer = False

    def cancel(self) -> None:
        """Do not call it any more."""
        self.dropped = True

    def cancelled(self) -> bool:
        """Whether it will not be called any more."""
        return self.dropped


class _Future(asyncio.Future[Any]):
    """A future that knows whose it is."""

    process: Process | None


class _Task(asyncio.Task[Any]):
    """A task that knows whose it is."""

    process: Process | None


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs everything there is, one callback at a time."""

    def __init__(self, thread_delay_ns: Callable[[], int]) -> None:
        """`thread_delay_ns` draws how long it takes until a thread does what it was asked to."""
        self._now_ns = 0
        self._lag_ns = 0
        self._sequence = 0
        self._heap: list[tuple[int, int, Handle]] = []
        self._thread_delay_ns = thread_delay_ns
        self._uncaught: BaseException | None = None
        self.after: Callable[[Process | None], None] = lambda _process: None
        self.callbacks = 0

    # -- time -------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """The world's time, within a callback that is held up included."""
        return self._now_ns + self._lag_ns

    def spend(self, time_ns: int) -> None:
        """Let time pass inside the running callback."""
        self._lag_ns += time_ns

    def time(self) -> float:
        process = _current.get()
        return (self.now_ns if process is None else process.monotonic_ns()) / NS_PER_S

    # -- running ----------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be the running loop, as far as asyncio is concerned."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def run_until(self, end_ns: int) -> None:
        """Run everything that is due up to then."""
        heap = self._heap
        while heap and heap[0][0] <= end_ns:
            self._step()
        self._now_ns = max(self._now_ns, end_ns)
        self.raise_failure()

    def run_while(self, condition: Callable[[], object], end_ns: int) -> bool:
        """Run while the condition holds, but not beyond that time; tell whether it ended."""
        heap = self._heap
        while condition():
            if not heap or heap[0][0] > end_ns:
                self._now_ns = max(self._now_ns, end_ns)
                return not condition()
            self._step()
        return True

    def _step(self) -> None:
        at_ns, sequence, handle = heapq.heappop(self._heap)
        if handle.dropped:
            return
        process = handle.process
        if process is not None:
            if not process.alive:
                return
            if process.stopped:
                process.held.append(handle)
                return
            if process.busy_until_ns > at_ns and not handle.in_thread:
                heapq.heappush(self._heap, (process.busy_until_ns, sequence, handle))
                return
        self._now_ns = at_ns
        self._lag_ns = 0
        self.callbacks += 1
        try:
            handle.context.run(handle.callback, *handle.args)
        except Exception as error:
            self._uncaught = self._uncaught or error
        if self._lag_ns:
            if process is not None:
                process.busy_until_ns = at_ns + self._lag_ns
            self.after(process)
            self._lag_ns = 0
        else:
            self.after(process)
        if self._uncaught is not None:
            self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what nobody has caught, if there is something."""
        uncaught, self._uncaught = self._uncaught, None
        if uncaught is not None:
            raise uncaught

    def fail(self, error: BaseException) -> None:
        """End the run with this error, whoever catches it on its way up."""
        self._uncaught = self._uncaught or error

    @contextmanager
    def aside(self) -> Iterator[Took]:
        """Do something outside of callbacks for which time would pass, and learn how much."""
        took = Took()
        before_ns, self._lag_ns = self._lag_ns, 0
        try:
            yield took
        finally:
            took.ns, self._lag_ns = self._lag_ns, before_ns

    # -- scheduling -------------------------------------------------------------------------

    def schedule(
        self,
        at_ns: int,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        """Call at that time of the world; without a context it is nobody's process that calls."""
        handle = Handle(at_ns, callback, args, Context() if context is None else context)
        self._sequence += 1
        heapq.heappush(self._heap, (at_ns, self._sequence, handle))
        return handle

    def repeat(self, handle: Handle) -> None:
        """Schedule a handle that was held back for now."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_ns, self._sequence, handle))

    def hasten(self, process: Process, by_ns: int) -> None:
        """Bring the timers of a process forward."""
        for number, (at_ns, sequence, handle) in enumerate(self._heap):
            if handle.process is process and handle.timer:
                self._heap[number] = (max(self.now_ns, at_ns - by_ns), sequence, handle)
        heapq.heapify(self._heap)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        context = copy_context() if context is None else context
        return self.schedule(self._now_ns + self._lag_ns, callback, *args, context=context)

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        process = _current.get()
        local_ns = int(when * NS_PER_S)
        at_ns = local_ns if process is None else process.world_ns(local_ns)
        context = copy_context() if context is None else context
        handle = self.schedule(max(at_ns, self.now_ns), callback, *args, context=context)
        handle.timer = True
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        future = _Future(loop=self)
        future.process = _current.get()
        return future

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = _Task(coro, loop=self, name=name, context=context)
        process = task.process = _current.get()
        if process is not None:
            process.tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            finish: Callable[[asyncio.Future[T], Any], None]
            outcome: Any
            try:
                finish, outcome = _set_result, func(*args)
            except Exception as error:
                finish, outcome = _set_exception, error
            done_ns, self._lag_ns = self.now_ns, 0
            self.schedule(done_ns, finish, future, outcome, context=copy_context())

        at_ns = self.now_ns + self._thread_delay_ns()
        self.schedule(at_ns, work, context=copy_context()).in_thread = True
        return future

    # -- what asyncio asks besides ----------------------------------------------------------

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        process = getattr(context.get("future") or context.get("task"), "process", None)
        if process is not None and not process.alive:
            return  # nobody was left to look at it
        error = context.get("exception")
        self.fail(error or RuntimeError(context["message"]))


def _set_result(future: asyncio.Future[T], result: T) -> None:
    if not future.cancelled():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.cancelled():
        future.set_exception(error)
