"""Which step of the server took the time: named steps, timed where they happen.

Laws: a step is timed on the event loop's thread only, and remembered only if it was long; the
wrapped functions do what they did. A generator's step is one `next`.
"""

import functools
import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")

LONG_NS: Final = 1_000_000
FULL_COLLECTION: Final = "full collection"
_GENERATIONS: Final = ("young collection", "middle collection", FULL_COLLECTION)


@dataclass(slots=True)
class Spans:
    """What has been timed since somebody last looked."""

    recent: list[tuple[str, int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    longest_ns: Counter[str] = field(default_factory=Counter)
    _collecting_since_ns: int = 0

    def take(self) -> list[tuple[str, int]]:
        """The long steps (name, ns) since the last call; an outer one comes after inner ones."""
        taken, self.recent = self.recent, []
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self.recent.clear()
        self.counts.clear()
        self.longest_ns.clear()

    def ended(self, name: str, started_ns: int) -> None:
        """Note that a step has ended now."""
        if threading.current_thread() is not threading.main_thread():
            return
        took_ns = time.perf_counter_ns() - started_ns
        self.counts[name] += 1
        if took_ns > self.longest_ns[name]:
            self.longest_ns[name] = took_ns
        if took_ns >= LONG_NS:
            self.recent.append((name, took_ns))

    def timed(self, name: str, function: Callable[ParamsT, ResultT]) -> Callable[ParamsT, ResultT]:
        """The function, its calls timed."""

        @functools.wraps(function)
        def call(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> ResultT:
            started_ns = time.perf_counter_ns()
            try:
                return function(*args, **kwargs)
            finally:
                self.ended(name, started_ns)

        return call

    def timed_steps(
        self, name: str, function: Callable[ParamsT, Iterator[ResultT]]
    ) -> Callable[ParamsT, Iterator[ResultT]]:
        """The function, each step of the iterator it returns timed."""

        @functools.wraps(function)
        def call(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> Iterator[ResultT]:
            steps = iter(function(*args, **kwargs))
            del args, kwargs  # the iterator alone decides how long they live
            while True:
                started_ns = time.perf_counter_ns()
                try:
                    step = next(steps)
                except StopIteration:
                    self.ended(f"{name}, the last", started_ns)
                    return
                self.ended(name, started_ns)
                yield step

        return call

    def watch_collector(self) -> None:
        """Time the garbage collector too."""
        gc.callbacks.append(self._collector)

    def _collector(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since_ns = time.perf_counter_ns()
        else:
            self.ended(_GENERATIONS[info["generation"]], self._collecting_since_ns)
