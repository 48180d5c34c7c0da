"""The schedule of faults: harm, healing, and a time of calm in which everything must work.

Laws: the order of the faults follows from the seed alone, and each kind comes once before any comes
again; a window of trouble ends when all members serve and a settling time has passed, and not
later than its deadline; a member that ended by itself is a violation.
"""

import asyncio
import random
import re
from collections import Counter

from tests.cluster.cluster import Cluster, NotReady
from tests.cluster.faults import FAULTS, Fault
from tests.cluster.history import History, Window
from tests.cluster.member import Member, now
from tests.cluster.stage import Stage, names

SETTLE_S = 1.0
CALM_S = (1.5, 4.0)
HEALTHY_S = 40.0


class Nemesis:
    """Does harm to one cluster, epoch after epoch."""

    def __init__(self, cluster: Cluster, seed: str, *, only: str = "") -> None:
        """`only`: a regular expression that the names of the faults match."""
        self.faults: Counter[str] = Counter()
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._possible = [
            fault for fault in FAULTS if fault.possible(cluster) and re.search(only, fault.name)
        ]
        self._bag: list[Fault] = []
        assert self._possible, only

    async def run(self, history: History, until: float) -> None:
        """Do harm until the time is over; all is well afterwards, or the history says so."""
        while not history.troubles:
            await asyncio.sleep(self._chance.uniform(*CALM_S))
            if now() > until:
                return
            await self._strike(self._next(), history)

    def _next(self) -> Fault:
        if not self._bag:
            self._bag = list(self._possible)
            self._chance.shuffle(self._bag)
        return self._bag.pop()

    async def _strike(self, fault: Fault, history: History) -> None:
        self.faults[fault.name] += 1
        window = Window(fault.name, now())
        # Until it is over anything may fail; then it says what may have.
        history.windows.append(window)
        stage = Stage(self._cluster, random.Random(self._chance.random()))
        before = names(self._cluster.members)
        try:
            scope = await fault.act(stage)
            window.silent, window.stalled = scope.silent, scope.stalled
            self._look_for_the_dead(stage, history, fault)
            await self._heal()
        except (NotReady, AssertionError) as failure:
            history.troubles.append(f"{fault.name}: {failure}")
            window.silent = before | names(self._cluster.members)
        finally:
            history.outages += stage.outages
        window.end = now()

    def _look_for_the_dead(self, stage: Stage, history: History, fault: Fault) -> None:
        for member in self._cluster.members:
            if not member.running and not member.ended and member.name not in stage.may_end:
                history.troubles.append(
                    f"{fault.name}: {member} has ended with {member.exit_code}:\n{member.log()}"
                )

    async def _heal(self) -> None:
        cluster = self._cluster
        cluster.network.heal()
        for disk in cluster.disks.values():
            disk.free()
            disk.unlimit()
        members: list[Member] = list(cluster.members)
        self._chance.shuffle(members)
        for member in members:
            member.resume()
            if not member.running:
                member.kill()
                cluster.spawn(member)
        await cluster.until_healthy(deadline_s=HEALTHY_S)
        await asyncio.sleep(SETTLE_S)
