"""Many cases at once: lanes, each with a stage of its own, that take cases from a queue.

Laws: cases that share a stage never run at the same time; cases of different stages do, a few at a
time, since most of a case is starting a process and waiting. What goes wrong while a case is played
is that case's difference, and its stage is made anew for the next.
"""

import tempfile
import traceback
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.etcdctl.cases import Case
from tests.etcdctl.certificates import make_certificates
from tests.etcdctl.clusters import RECONFIGURED, Encrypted, Failing, Fresh, Mutual, Reconfigured
from tests.etcdctl.mocks import Mocks
from tests.etcdctl.play import play
from tests.etcdctl.programs import Program
from tests.etcdctl.stages import ClosedPort, Guarded, Lone, Mocked, Stage
from tests.server.members import EtcdMember, Member

SERVERS: Mapping[str, type[Member]] = {"etcd": EtcdMember, "pyetcd": Member}
KINDS: Mapping[str, frozenset[str]] = {
    "etcd": frozenset({"one", "auth", "three", "fresh", "tls", "tls-client-auth", "mock"}),
    "pyetcd": frozenset({"one", "three", "fresh", "mock"}),
}
"""The kinds of stages each server can play."""
WORKERS = 5
LANES_OF_ONE = 3
LANES_OF_AUTH = 2
_STAGES: Mapping[str, type[Stage]] = {
    "failing": Failing,
    "reconfigured": Reconfigured,
    "fresh": Fresh,
    "one": Lone,
    "auth": Guarded,
    "tls": Encrypted,
    "tls-client-auth": Mutual,
    "mock": Mocked,
}


@dataclass(frozen=True, slots=True)
class Lane:
    """A stage to be made, and the cases waiting for one like it."""

    stage: type[Stage]
    waiting: SimpleQueue[Case]


def played_against(server: str, cases: Iterable[Case]) -> list[Case]:
    """The cases that a server can be the stage of."""
    return [case for case in cases if case.kind in KINDS[server]]


def run(
    cases: Iterable[Case], program: Program, server: str, *, workers: int = WORKERS
) -> dict[str, str]:
    """What differs, by the case's name; empty texts for those that are right."""
    results: dict[str, str] = {}
    with ExitStack() as stack:
        names = _common_names(stack)
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        kind = SERVERS[server]
        lanes = [pool.submit(_drive, lane, program, kind, names, results) for lane in _lanes(cases)]
        for lane in lanes:
            lane.result()
    return results


def _common_names(stack: ExitStack) -> dict[str, str]:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="certificates-")))
    make_certificates(directory)
    dead = ClosedPort()
    stack.callback(dead.close)
    mocks = stack.enter_context(Mocks(dead.url))
    return {"DEAD": dead.url, "DEADADDR": dead.address, "TLSDIR": str(directory)} | mocks.names


def _lanes(cases: Iterable[Case]) -> list[Lane]:
    waiting: dict[str, SimpleQueue[Case]] = {name: SimpleQueue() for name in _STAGES}
    # Those that take long go first, so that the lanes end together.
    for case in sorted(cases, key=_is_quick):
        waiting[_stage_name(case)].put(case)
    lanes = []
    for name, queue in waiting.items():
        count = {"one": LANES_OF_ONE, "auth": LANES_OF_AUTH}.get(name, 1)
        lanes += [Lane(_STAGES[name], queue)] * (0 if queue.empty() else count)
    return lanes


def _is_quick(case: Case) -> bool:
    takes_long = case.is_staged or any(step[0] == "@sleep" for step in case.setup)
    return not (takes_long and case.kind == "one")


def _stage_name(case: Case) -> str:
    if case.kind == "three":
        return "reconfigured" if case.name in RECONFIGURED else "failing"
    return case.kind


def _drive(
    lane: Lane,
    program: Program,
    kind: type[Member],
    names: Mapping[str, str],
    results: dict[str, str],
) -> None:
    stage = lane.stage(kind, names)
    try:
        while True:
            try:
                case = lane.waiting.get_nowait()
            except Empty:
                return
            try:
                results[case.name] = play(case, program, stage)
            except Exception:
                results[case.name] = f"could not be played:\n{traceback.format_exc()}"
                stage.close()
    finally:
        stage.close()
