"""What a fault may use, and what it excuses."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass

from tests.cluster.cluster import Cluster
from tests.cluster.member import Member


@dataclass(frozen=True, slots=True)
class Scope:
    """What a fault excuses; as in `history.Window`."""

    silent: frozenset[str] = frozenset()
    stalled: frozenset[str] | None = None


class Stage:
    """What a fault may use."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.cluster = cluster
        self.chance = chance
        self.outages: list[tuple[float, float]] = []
        self.may_end: set[str] = set()
        """Members whose process may end by itself."""

    async def hold(self, least_s: float, most_s: float) -> None:
        """Let it last a while."""
        await asyncio.sleep(self.chance.uniform(least_s, most_s))

    async def leader(self) -> Member:
        """The leader."""
        return await self.cluster.leader()

    async def follower(self) -> Member:
        """Any member but the leader."""
        leader = await self.cluster.leader()
        return self.chance.choice(self.others(leader))

    def others(self, *members: Member) -> list[Member]:
        """All members but these."""
        return [member for member in self.cluster.members if member not in members]

    def some(self, count: int) -> list[Member]:
        """So many members."""
        return self.chance.sample(self.cluster.members, count)

    @property
    def majority(self) -> int:
        """How many members decide."""
        return len(self.cluster.members) // 2 + 1

    def only(self, member: Member, *, silent: bool) -> Scope:
        """A follower's own clients may notice, and everybody's if the program is not steady."""
        names = frozenset({member.name})
        return Scope(
            silent=names if silent else frozenset(),
            stalled=names if self.cluster.program.steady else None,
        )

    def cut(self, ones: Iterable[Member], others: Iterable[Member], *, back: bool = True) -> None:
        """Cut all ways from the ones to the others, and back."""
        for one in ones:
            for other in others:
                self.cluster.network.cut(one.name, other.name)
                if back:
                    self.cluster.network.cut(other.name, one.name)


def names(members: Iterable[Member]) -> frozenset[str]:
    """Their names."""
    return frozenset(member.name for member in members)
