"""`python -m bench.ticker OPTIONS`: the real server, with a 1 ms ticker on its event loop.

It is `server.main` with a Process that also runs the ticker, and a control socket for the one who
measures (the path in BENCH_CONTROL; JSON lines): `load` proposes keys in this process, `begin`
starts a measurement, `end` answers with it. One second after each freeze of a snapshot, while it
is being encoded and written, a full collection is forced.

A pause is what a tick comes too late: the time since the last one, less a millisecond. Next to it
stand the CPU time the thread used meanwhile and the time it waited for a core (schedstat in /proc):
what is missing to the sum, it was blocked.
"""

import asyncio
import gc
import json
import os
import time
from contextlib import ExitStack
from typing import Any, Final
from unittest import mock

import kvstore.machine
import server.main
from bench.keys import key, value
from bench.pauses import LATE_NS, Late, Record
from bench.spans import FULL_COLLECTION, Spans
from bench.stacks import Sampler
from kvstore import Machine, Reply
from kvstore.commands import Set, encode
from raft import Node
from raft.driver import Driver
from raft.journal import Journal
from raft.log import Log
from server.process import Process

CONTROL: Final = "BENCH_CONTROL"
STACKS: Final = "BENCH_STACKS"

_TICK_S: Final = 0.001
_TICK_NS: Final = 1_000_000
_LOAD_BATCH: Final = 1024
_COLLECT_AFTER_FREEZE_S: Final = 1.0

FREEZE: Final = "freeze the state"
DROP_LOG: Final = "drop the log from memory"

_spans: Final = Spans()


class Ticker:
    """Ticks every millisecond and notes how late each tick was."""

    def __init__(self, *, with_stacks: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self._sampler = Sampler(self._overdue) if with_stacks else None
        if self._sampler is not None:
            self._sampler.start()
        self.record = Record()
        self._read()
        self._arm()

    def begin(self) -> None:
        """Forget what was noted so far."""
        self.record = Record()
        _spans.clear()
        self._read()

    def _arm(self) -> None:
        self._loop.call_later(_TICK_S, self._tick)

    def _read(self) -> None:
        self._at_ns = time.perf_counter_ns()
        self._cpu_ns = time.thread_time_ns()
        self._runnable_ns = int(os.pread(self._schedstat, 64, 0).split()[1])

    def _overdue(self) -> bool:
        return time.perf_counter_ns() - self._at_ns > LATE_NS + _TICK_NS

    def _tick(self) -> None:
        at_ns, cpu_ns, runnable_ns = self._at_ns, self._cpu_ns, self._runnable_ns
        self._read()
        pause_ns = max(0, self._at_ns - at_ns - _TICK_NS)
        self.record.pauses_us.append(pause_ns // 1000)
        steps = _spans.take()
        stacks = self._sampler.take() if self._sampler is not None else []
        if pause_ns >= LATE_NS:
            late = Late(
                pause_ms=pause_ns / 1e6,
                cpu_ms=(self._cpu_ns - cpu_ns) / 1e6,
                runnable_ms=(self._runnable_ns - runnable_ns) / 1e6,
                steps=[(name, took_ns / 1e6) for name, took_ns in steps],
                stacks=stacks,
            )
            self.record.late.append(late)
        self._arm()


class _Observed(Process):
    """A member with a ticker and a control socket."""

    _node: Node[Reply]

    def _open_node(self) -> Node[Reply]:
        self._node = super()._open_node()
        return self._node

    async def run(self) -> Any:
        """As a Process does, observed."""
        self._ticker = Ticker(with_stacks=STACKS in os.environ)
        control = await asyncio.start_unix_server(self._control, os.environ[CONTROL])
        async with control:
            return await super().run()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            order = json.loads(line)
            answer: object = None
            if order["do"] == "load":
                await self._load(order["keys"], order["value_bytes"])
            elif order["do"] == "begin":
                self._ticker.begin()
            else:
                answer = self._end()
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()

    async def _load(self, keys: int, value_bytes: int) -> None:
        content = value(value_bytes).encode()
        for start in range(0, keys, _LOAD_BATCH):
            numbers = range(start, min(start + _LOAD_BATCH, keys))
            commands = (Set(key(number).encode(), content) for number in numbers)
            await asyncio.gather(*(self._node.propose(encode(command)) for command in commands))

    def _end(self) -> dict[str, object]:
        record = self._ticker.record
        record.keys = len(self._machine.store.tree.nodes)
        record.snapshots = _spans.counts[FREEZE]
        record.compactions = _spans.counts[DROP_LOG]
        record.collections = _spans.counts[FULL_COLLECTION]
        record.longest_ms = {name: ns / 1e6 for name, ns in _spans.longest_ns.items()}
        return record.as_json()


def _freeze(machine: Machine) -> Any:
    asyncio.get_running_loop().call_later(_COLLECT_AFTER_FREEZE_S, gc.collect)
    return _original_freeze(machine)


_original_freeze: Final = Machine.freeze


def main() -> None:
    """Run the observed server."""
    with ExitStack() as patches:
        for owner, name, replacement in (
            (Machine, "freeze", _spans.timed(FREEZE, _freeze)),
            (Machine, "apply", _spans.timed("apply a batch", Machine.apply)),
            (Machine, "restore", _spans.timed("restore", Machine.restore)),
            (Journal, "write", _spans.timed("write and sync the journal", Journal.write)),
            (Journal, "compact", _spans.timed("drop journal segments", Journal.compact)),
            (Log, "compact", _spans.timed(DROP_LOG, Log.compact)),
            (Log, "window_start", _spans.timed("find the window", Log.window_start)),
            (Driver, "_turn", _spans.timed("turn of the driver", Driver._turn)),
            (
                kvstore.machine,
                "_chunks",
                _spans.timed_steps("slice of a snapshot", kvstore.machine._chunks),
            ),
            (server.main, "Process", _Observed),
        ):
            patches.enter_context(mock.patch.object(owner, name, replacement))
        _spans.watch_collector()
        server.main.main()


if __name__ == "__main__":
    main()
