"""A cluster under load and under harm, epoch after epoch, each judged as a whole.

An epoch begins in a state that all members share, and ends when the nemesis rests, the clients have
stopped, every watcher has seen the last event, and all members list the same state. So the
memory a campaign takes does not grow with its length, and a violation is told when it happens.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.cluster.canon import Canon
from tests.cluster.checker import Verdict, check
from tests.cluster.cluster import Cluster, NotReady
from tests.cluster.history import ROOT, History, Kind, Op, Outcome, Seen
from tests.cluster.member import now
from tests.cluster.nemesis import Nemesis
from tests.cluster.watchers import Watcher
from tests.cluster.workload import BRIEF, DIRECTORIES, QUEUE, Rates, Workload

EPOCH_S = 60.0
DRAIN_S = 40.0
AGREE_S = 30.0
POLL_S = 0.05


@dataclass(slots=True)
class Report:
    """A campaign's figures."""

    kind: str
    members: int
    seconds: float = 0.0
    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    quorum_reads: int = 0
    reads: int = 0
    listings: int = 0
    events: int = 0
    ended_streams: int = 0
    connections: int = 0
    resyncs: int = 0
    holes: int = 0
    unsure: int = 0
    trouble_s: float = 0.0
    acknowledged_in_trouble: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Acknowledged writes per s, times of trouble included."""
        return self.acknowledged / self.seconds if self.seconds else 0.0

    @property
    def calm_rate(self) -> float:
        """Acknowledged writes per s outside of times of trouble."""
        calm_s = self.seconds - self.trouble_s
        return (self.acknowledged - self.acknowledged_in_trouble) / calm_s if calm_s > 0 else 0.0

    def take(self, history: History, verdict: Verdict, seconds: float) -> None:
        """Add an epoch."""
        self.seconds += seconds
        done = Counter((op.kind, op.outcome) for op in history.ops)
        self.acknowledged += done[Kind.WRITE, Outcome.OK]
        self.refused += done[Kind.WRITE, Outcome.REFUSED]
        self.unknown += done[Kind.WRITE, Outcome.UNKNOWN]
        self.quorum_reads += done[Kind.QUORUM, Outcome.OK]
        self.reads += done[Kind.READ, Outcome.OK]
        self.listings += done[Kind.LIST, Outcome.OK]
        for watcher in history.watchers:
            self.events += sum(len(segment.indexes) for segment in watcher.segments)
            self.connections += watcher.connections
            self.resyncs += watcher.resyncs
            self.ended_streams += watcher.silent_ends
        for window in history.windows:
            self.trouble_s += window.end - window.start
            self.acknowledged_in_trouble += sum(
                op.event is not None and window.start <= op.end < window.end for op in history.ops
            )
        self.unsure += verdict.unsure
        self.checked.update(verdict.checked)
        self.violations.update({rule: len(found) for rule, found in verdict.violations.items()})
        self.examples += verdict.examples()

    def __str__(self) -> str:
        faults = "\n".join(f"  {count:4} {name}" for name, count in sorted(self.faults.items()))
        checked = ", ".join(f"{rule} {count}" for rule, count in sorted(self.checked.items()))
        wrong = ", ".join(f"{rule} {count}" for rule, count in self.violations.items()) or "none"
        return (
            f"{self.kind}, {self.members} members, {self.seconds:.0f} s of load, of which "
            f"{self.trouble_s:.0f} s of trouble\n"
            f"acknowledged writes {self.acknowledged} ({self.rate:.0f}/s, in calm times "
            f"{self.calm_rate:.0f}/s), refused {self.refused}, unknown {self.unknown}\n"
            f"quorum reads {self.quorum_reads}, plain reads {self.reads}, "
            f"listings {self.listings}\n"
            f"events seen {self.events} over {self.connections} watches, of which "
            f"{self.ended_streams} ended or fell silent, after a cleared history {self.resyncs}\n"
            f"checked: {checked}; not to be judged {self.unsure}, in {self.holes} holes\n"
            f"faults: {self.faults.total()}\n{faults}\n"
            f"violations: {wrong}"
        )


class Campaign:
    """Load, harm and judgement on one cluster that runs already."""

    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        *,
        rates: Rates | None = None,
        only: str = "",
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._cluster = cluster
        self._seed = seed
        self._rates = rates or Rates()
        self._nemesis = Nemesis(cluster, f"{seed}/nemesis", only=only)
        self._say = say
        self._epochs = 0
        self.report = Report(cluster.program.kind, len(cluster.members))
        self.report.faults = self._nemesis.faults

    async def run(self, minutes: float) -> Report:
        """Epochs until the time is over, or something is wrong."""
        ends = now() + minutes * 60
        while now() < ends and not self.report.violations:
            await self._epoch(min(EPOCH_S, ends - now()))
        return self.report

    async def _epoch(self, seconds: float) -> None:
        self._epochs += 1
        seed = f"{self._seed}/{self._epochs}"
        base = await self._agreed(Workload(self._cluster, self._rates, seed, lambda op: None))
        first = next(iter(base.values()))
        assert first.listing is not None
        history = History(first.listing, first.index)
        canon = Canon(history.base, history.base_index)
        workload = Workload(self._cluster, self._rates, seed, history.ops.append)
        watchers = self._watchers(history, canon, seed)
        began = now()
        tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
        workload.start()
        try:
            await self._nemesis.run(history, began + seconds)
            ended = now()
            await workload.stop()
            if not history.troubles:
                await self._drain(workload, watchers, history)
                history.finals = await self._agreed(workload)
        except NotReady as failure:
            history.troubles.append(str(failure))
            ended = now()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._raise_unexpected(tasks)
        cluster_time = self._cluster.program.cluster_time
        verdict = check(history, canon, cluster_time=cluster_time)
        self.report.take(history, verdict, ended - began)
        self.report.holes += len(canon.holes)
        self._say(
            f"epoch {self._epochs}: {', '.join(w.fault for w in history.windows) or 'calm'}; "
            f"{self.report.rate:.0f} writes/s so far, violations {verdict.total}"
        )

    def _raise_unexpected(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _watchers(self, history: History, canon: Canon, seed: str) -> list[Watcher]:
        """On each member a stream of everything and polls of a part; some that wander."""
        streams = "streams"
        wandering = ["streams", "streams"]
        if self._cluster.program.streams_from_the_past:
            wandering = ["streams_from_the_past", "streams_from_the_past"]
        plans: list[tuple[str, str, int | None]] = []
        for number in range(len(self._cluster.members)):
            plans.append((streams, ROOT, number))
            plans.append(("polls", f"{ROOT}/d{number % DIRECTORIES}", number))
            plans.append((streams, QUEUE, number))
        plans += [(manner, ROOT, None) for manner in wandering]
        plans += [("polls", QUEUE, None), (wandering[0], BRIEF, None)]
        found = []
        for number, (manner, prefix, at) in enumerate(plans):
            seen = Seen(f"watcher {number} ({manner} of {prefix})", prefix)
            history.watchers.append(seen)
            chance = random.Random(f"{seed}/{number}")
            found.append(
                Watcher(
                    self._cluster, seen, chance,
                    manner=manner, at=at, canon=canon, store=history.ops.append,
                )
            )  # fmt: skip
        return found

    async def _drain(self, workload: Workload, watchers: list[Watcher], history: History) -> None:
        """Until every watcher has seen a write made after everything else."""
        marks: dict[str, int] = {}
        for prefix in sorted({watcher.seen.prefix for watcher in watchers}):
            marks[prefix] = await workload.mark(self._cluster.members[0], prefix)
        ends = now() + DRAIN_S
        while behind := [w for w in watchers if w.last < marks[w.seen.prefix]]:
            if now() > ends:
                history.troubles += [
                    f"{watcher.seen.name} has seen {watcher.last} and not "
                    f"{marks[watcher.seen.prefix]} after {DRAIN_S} s"
                    for watcher in behind
                ]
                return
            await asyncio.sleep(POLL_S)

    async def _agreed(self, workload: Workload) -> dict[str, Op]:
        """Everybody's listing, at one index; keys may still expire meanwhile."""
        ends = now() + AGREE_S
        while True:
            members = self._cluster.members
            listings = [await workload.listing(member) for member in members]
            found = {op.member: op for op in listings}
            if len({op.index for op in listings}) == 1 and all(
                op.outcome is Outcome.OK for op in listings
            ):
                return found
            if now() > ends:
                raise NotReady(f"no common index after {AGREE_S} s: {listings}")
            await asyncio.sleep(POLL_S)
