"""Concurrent writers and readers on all members.

Laws: every written value is unique; writers keep a steady total rate, and catch up a little after
a time of trouble; a client stays with its member until a request fails there or it moves by chance.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.cluster.client import Client, keys
from tests.cluster.cluster import Cluster
from tests.cluster.history import ROOT, Kind, Node, Op, Outcome
from tests.cluster.member import Member, now
from tests.cluster.recorder import perform, read_listing, read_node, read_write

DIRECTORIES = 8
KEYS_PER_DIRECTORY = 12
QUEUE = f"{ROOT}/queue"
BRIEF = f"{ROOT}/brief"
TTL_S = (2, 3, 5, 8)
MOVE_CHANCE = 1 / 300
BEHIND_MAX_S = 8.0
RETRY_S = 0.05
WRITES_PER_S = 500.0
ACTIONS = {"set": 8, "post": 2, "ttl": 1, "cas": 5, "delete": 2, "cad": 1}


@dataclass(frozen=True, slots=True)
class Rates:
    """How much is asked of the cluster, per s in all."""

    writes: float = WRITES_PER_S
    quorum_reads: float = 80.0
    reads: float = 150.0
    listings: float = 1.0
    writers: int = 24
    readers: int = 8


class Desk:
    """One client: the member it is at, and its connection."""

    def __init__(self, cluster: Cluster, chance: random.Random, at: int) -> None:
        self._cluster = cluster
        self._chance = chance
        self._at = at
        self._member: Member | None = None
        self._client: Client | None = None

    def now_at(self) -> tuple[Member, Client]:
        """Where the next request goes."""
        members = self._cluster.members
        if self._member is None or self._member not in members:
            self.move()
        elif self._chance.random() < MOVE_CHANCE:
            self._at += 1
            self.move()
        assert self._member is not None
        assert self._client is not None
        return self._member, self._client

    def move(self) -> None:
        """Go to the member whose turn it is."""
        self.close()
        members = self._cluster.members
        self._member = members[self._at % len(members)]
        self._client = self._member.client()

    def leave(self) -> None:
        """Go to another member: the request failed here."""
        self._at += 1
        self.move()

    def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            self._client.close()


class Workload:
    """All writers and readers; `store` takes every op."""

    def __init__(
        self, cluster: Cluster, rates: Rates, seed: str, store: Callable[[Op], None]
    ) -> None:
        self._cluster = cluster
        self._rates = rates
        self._seed = seed
        self._store = store
        self._numbers = itertools.count(1)
        self._latest: dict[str, Node | None] = {}
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        rates = self._rates
        self._stopping = False
        loops = [(self._write, rates.writers, rates.writes)]
        loops += [
            (self._read_quorum, rates.readers, rates.quorum_reads),
            (self._read, rates.readers, rates.reads),
            (self._list, 1, rates.listings),
        ]
        for action, clients, rate in loops:
            for number in range(clients):
                chance = random.Random(f"{self._seed}/{action.__name__}/{number}")
                desk = Desk(self._cluster, chance, number)
                self._tasks.append(
                    asyncio.create_task(self._repeat(action, desk, chance, clients / rate))
                )

    async def stop(self) -> None:
        """End, with every request answered or given up."""
        self._stopping = True
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def mark(self, member: Member, prefix: str) -> int:
        """Write a key below a prefix that tells its watchers the end; its index, 0 if it failed."""
        client = member.client()
        try:
            key = f"{prefix}/mark"
            op = self._op(Kind.WRITE, member, key, action="set", value=self._value("mark"))
            answer = await perform(
                client, op, "PUT", keys(key), {"value": op.value or ""}, store=self._store
            )
            if answer is not None:
                read_write(op, answer)
            return op.index
        finally:
            client.close()

    async def listing(self, member: Member) -> Op:
        """A recursive listing of all keys by one member."""
        client = member.client()
        try:
            op = self._op(Kind.LIST, member, ROOT)
            answer = await perform(
                client, op, "GET", keys(ROOT, recursive="true"), store=self._store
            )
            if answer is not None:
                read_listing(op, answer)
            return op
        finally:
            client.close()

    async def _repeat(
        self,
        action: Callable[[Desk, random.Random], Awaitable[bool]],
        desk: Desk,
        chance: random.Random,
        interval_s: float,
    ) -> None:
        due = now() + chance.random() * interval_s
        while not self._stopping:
            await asyncio.sleep(max(0.0, due - now()))
            due = max(due + interval_s, now() - BEHIND_MAX_S)
            if not await action(desk, chance):
                desk.leave()
                await asyncio.sleep(RETRY_S)
        desk.close()

    # -- writers ----------------------------------------------------------------------------

    async def _write(self, desk: Desk, chance: random.Random) -> bool:
        member, client = desk.now_at()
        (action,) = chance.choices(tuple(ACTIONS), tuple(ACTIONS.values()))
        op = self._op(Kind.WRITE, member, _any_key(chance), action=action)
        method, target, form = self._request(op, chance)
        answer = await perform(client, op, method, target, form, store=self._store)
        if answer is not None:
            read_write(op, answer)
            if op.event is not None:
                self._latest[op.event.key] = None if op.event.removes else op.event.node
        return op.outcome in (Outcome.OK, Outcome.REFUSED)

    def _request(self, op: Op, chance: random.Random) -> tuple[str, str, dict[str, str] | None]:
        """The request of a write; what it expects and writes goes into the op."""
        known = self._latest.get(op.key)
        expects: dict[str, str | int] = {}
        if op.action in ("cas", "cad") and known is not None:
            if chance.random() < 0.5:
                op.expect_index = expects["prevIndex"] = known.modified
            else:
                op.expect_value = expects["prevValue"] = known.value or ""
        if op.action in ("delete", "cad"):
            return "DELETE", keys(op.key, **expects), None
        op.value = self._value(op.action)
        if op.action == "post":
            op.key = QUEUE
            return "POST", keys(op.key), {"value": op.value}
        if op.action == "ttl":
            op.key = f"{BRIEF}/{op.value}"
            op.ttl_s = chance.choice(TTL_S)
            return "PUT", keys(op.key), {"value": op.value, "ttl": str(op.ttl_s)}
        return "PUT", keys(op.key, **expects), {"value": op.value}

    def _value(self, action: str) -> str:
        return f"{action}-{next(self._numbers)}"

    # -- readers ----------------------------------------------------------------------------

    async def _read_quorum(self, desk: Desk, chance: random.Random) -> bool:
        return await self._get(desk, Kind.QUORUM, _any_key(chance), {"quorum": "true"})

    async def _read(self, desk: Desk, chance: random.Random) -> bool:
        return await self._get(desk, Kind.READ, _any_key(chance), {})

    async def _get(
        self, desk: Desk, kind: Kind, key: str, parameters: dict[str, str | int]
    ) -> bool:
        member, client = desk.now_at()
        op = self._op(kind, member, key)
        answer = await perform(client, op, "GET", keys(key, **parameters), store=self._store)
        if answer is not None:
            read_node(op, answer)
        return op.outcome is Outcome.OK

    async def _list(self, desk: Desk, chance: random.Random) -> bool:
        member, client = desk.now_at()
        directory = chance.choice((ROOT, BRIEF, f"{ROOT}/d{chance.randrange(DIRECTORIES)}"))
        op = self._op(Kind.LIST, member, directory)
        answer = await perform(
            client, op, "GET", keys(directory, recursive="true"), store=self._store
        )
        if answer is not None:
            read_listing(op, answer)
        return op.outcome is Outcome.OK

    def _op(
        self, kind: Kind, member: Member, key: str, *, action: str = "", value: str | None = None
    ) -> Op:
        return Op(kind, member.name, key, now(), action=action, value=value)


def _any_key(chance: random.Random) -> str:
    directory = chance.randrange(DIRECTORIES)
    return f"{ROOT}/d{directory}/k{chance.randrange(KEYS_PER_DIRECTORY)}"
