"""A run: episodes of random steps, each on two fresh servers, and a short script on failure."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.differential.faults import Fault
from tests.differential.generator import HISTORY, Generator
from tests.differential.pair import Difference, Pair
from tests.differential.shrink import shrink
from tests.differential.steps import Ask, Expire, Fill, Step, Tree, Watch
from tests.differential.suitable import requests_of
from tests.oracle import RealEtcd, Server

EPISODE_REQUESTS = 2500
DIFFERENCES_MAX = 100

MakeServer = Callable[[], Server]


@dataclass(slots=True)
class Report:
    """What a run has found."""

    requests: int = 0
    events: int = 0
    episodes: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    scripts: list[list[Step]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    requests: int
    seed: str
    make_tested: MakeServer
    make_reference: MakeServer = RealEtcd
    make_fault: Callable[[], Fault] = Fault
    shrinks: bool = True
    episode_requests: int = EPISODE_REQUESTS


def run(plan: Plan, *, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Runs episodes until enough requests were compared."""
    report = Report()
    while report.requests < plan.requests:
        wanted = min(plan.episode_requests, plan.requests - report.requests)
        # In every second episode the history is full from the start, so that its end is met.
        first = [Fill(HISTORY)] if report.episodes % 2 else []
        steps, pair = _episode(plan, f"{plan.seed}:{report.episodes}", requests=wanted, first=first)
        report.episodes += 1
        report.requests += pair.tally.requests
        report.events += pair.tally.events
        report.explained += pair.tally.explained
        report.statuses += pair.tally.statuses
        report.differences += pair.tally.differences
        progress(f"{report.requests} requests, {len(report.differences)} differences")
        if pair.tally.differences and plan.shrinks:
            report.scripts.append(_script(plan, steps, pair.tally.differences[0]))
        if len(report.differences) >= DIFFERENCES_MAX:
            break
    return report


def replay(plan: Plan, steps: list[Step]) -> Pair:
    """Carries out recorded steps on two fresh servers."""
    with plan.make_reference() as reference, plan.make_tested() as tested:
        with Pair(reference, tested, fault=plan.make_fault()) as pair:
            for step in steps:
                pair.do(step)
        return pair


def _episode(
    plan: Plan, seed: str, *, requests: int, first: Sequence[Step]
) -> tuple[list[Step], Pair]:
    steps = list(first)
    with plan.make_reference() as reference, plan.make_tested() as tested:
        is_newer = isinstance(reference, RealEtcd) and not reference.is_reference
        generator = Generator(seed, portable=is_newer)
        with Pair(reference, tested, fault=plan.make_fault()) as pair:
            pair.on_answer = generator.learn
            for step in first:
                pair.do(step)
            while pair.tally.requests < requests and not _is_spoilt(pair):
                steps.append(generator.step())
                pair.do(steps[-1])
            for step in (generator.settle(), Tree()):
                steps.append(step)
                pair.do(step)
            for server in (reference, tested):
                if not server.running:
                    pair.report(steps[-1], [f"{server.kind} has ended; its log:", server.log()])
        return steps, pair


def _is_spoilt(pair: Pair) -> bool:
    """Whether going on would only repeat a difference: the two trees are not the same."""
    found = pair.tally.differences
    if not found or found[-1].number < pair.number:
        return False
    return len(found) >= DIFFERENCES_MAX or pair.has_drifted()


def _script(plan: Plan, steps: list[Step], first: Difference) -> list[Step]:
    """The few steps that show the first difference of an episode again."""
    kind = first.lines[-1].split(":")[0]

    def shows(some: list[Step]) -> bool:
        found = replay(plan, some).tally.differences
        return any(kind in line for difference in found for line in difference.lines)

    some = steps[: first.number]
    for candidate in _likely(some):
        if shows(candidate):
            some = candidate
            break
    return shrink(some, shows)


def _likely(steps: list[Step]) -> Iterator[list[Step]]:
    """Guesses at what a difference needs: itself; its part of the tree; the writes before it."""
    *before, last = steps
    yield [last]
    top = _tops(last)
    yield [*(step for step in before if top & _tops(step)), last]
    yield [*(step for step in before if not isinstance(step, Expire) and _writes(step)), last]
    yield [*filter(_writes, before), last]


def _tops(step: Step) -> frozenset[bytes]:
    """The first names of the keys a step is about."""
    paths = [request.target.split(b"?")[0].split(b"/") for request in requests_of(step)]
    return frozenset(path[3] for path in paths if len(path) > 3)


def _writes(step: Step) -> bool:
    """Whether a step can change the tree or the index."""
    if isinstance(step, Watch | Tree):
        return False
    return not isinstance(step, Ask) or step.request.method in ("PUT", "POST", "DELETE")
