"""Watchers: clients that want every event, and come back after whatever happened to them.

Laws: a watcher comes back with the index after the last event it saw; only a 401 (the history has
been cleared) lets it skip, and then it does as documented: it reads the state, and goes on after
that state's index. `Seen` holds what it may rightly claim to have seen.

Those who watch everything may be too slow for the server on a busy machine, which then ends their
stream; that is counted. Those who watch a part are not, and their streams stay open.

Two manners of watching: `polls` asks for one event after the other; `streams` opens a stream, and
fetches what lies between its last event and the stream's beginning with polls, because a real
etcd's stream from the past delivers one event only. `streams_from_the_past` relies on ours.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import orjson

from tests.cluster.canon import Canon
from tests.cluster.client import Answer, Broken, Client, Late, NotSent, keys
from tests.cluster.cluster import Cluster
from tests.cluster.history import ROOT, Event, Kind, Op, Outcome, Seen, Segment, event_from
from tests.cluster.member import Member, now
from tests.cluster.recorder import perform, read, read_listing

HEAD_S = 9.5
IDLE_S = 6.0
"""There is always something new within this; if not, the watcher asks again."""
VISIT_S = (4.0, 25.0)
"""How long it stays before it comes back elsewhere, or on a new connection."""
RETRY_S = 0.1
CLEARED = 401


class Watcher:
    """One client that watches all below a prefix."""

    def __init__(
        self,
        cluster: Cluster,
        seen: Seen,
        chance: random.Random,
        *,
        manner: str,
        at: int | None,
        canon: Canon,
        store: Callable[[Op], None],
    ) -> None:
        """`at`: the number of the member it prefers; None: it wanders."""
        self.seen = seen
        self._cluster = cluster
        self._chance = chance
        self._manner = manner
        self._at = at
        self._canon = canon
        self._store = store
        self._last = canon.base_index
        self._segment = self._begin(canon.base_index)

    @property
    def last(self) -> int:
        """The index up to which it knows everything."""
        return self._last

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            member = self._member()
            client = member.client()
            self.seen.connections += 1
            try:
                async with asyncio.timeout(self._chance.uniform(*VISIT_S)):
                    await self._visit(member, client)
            except TimeoutError:
                continue  # the visit is over
            except (NotSent, Broken, Late) as failure:
                if isinstance(failure, Late):
                    self.seen.silent_ends += 1
            finally:
                client.close()
            await asyncio.sleep(RETRY_S)

    def _member(self) -> Member:
        members = self._cluster.members
        if self._at is None:
            return self._chance.choice(members)
        return members[self._at % len(members)]

    async def _visit(self, member: Member, client: Client) -> None:
        if self._manner == "polls":
            while await self._poll(member, client):
                pass
            return
        past = self._manner == "streams_from_the_past"
        parameters: dict[str, str | int] = {"wait": "true", "recursive": "true", "stream": "true"}
        if past:
            parameters["waitIndex"] = self._last + 1
        target = keys(self.seen.prefix, **parameters)
        op = Op(Kind.WATCH, member.name, self.seen.prefix, now(), action="stream")
        try:
            stream = await client.follow(target, head_s=HEAD_S)
        except (NotSent, Broken, Late) as failure:
            self._failed(op, failure)
            raise
        if not self._answered(op, client, stream.head):
            await self._cleared(member, client, op)
            return
        begins, resyncs = 0 if past else stream.head.index, self.seen.resyncs
        if self._last < begins:
            helper = member.client()
            try:
                while self._last < begins and await self._poll(member, helper, begins):
                    pass
            finally:
                helper.close()
        skip = self._last
        try:
            async with aclosing(self._events(stream.chunks(idle_s=IDLE_S))) as events:
                async for event in events:
                    if past or event.index > skip:
                        self._take(member, event)
            await self._ended(member, resyncs)
        except Broken as failure:
            self._broken(member, failure)
            raise

    async def _ended(self, member: Member, resyncs: int) -> None:
        """A server may end the stream of a reader that is too slow, or if it has lost the events
        itself: then it has said so since the stream began, or does when asked for them."""
        self.seen.silent_ends += 1
        if self.seen.prefix == ROOT:
            return
        ended, last = now(), self._last
        client = member.client()
        try:
            if self.seen.resyncs == resyncs:
                await self._poll(member, client)
        except (NotSent, Broken, Late):
            self._broken(member, Broken("the stream was ended"), ended)
            raise
        finally:
            client.close()
        if self.seen.resyncs == resyncs:
            words = f"the stream was ended, yet after {last} the next event is {self._last}"
            self._broken(member, Broken(words), ended)

    def _broken(self, member: Member, failure: Broken, at: float | None = None) -> None:
        """Note that a watch broke just now: until then it was served."""
        op = Op(Kind.WATCH, member.name, self.seen.prefix, at or now(), action=self._manner)
        self._failed(op, failure)

    async def _poll(self, member: Member, client: Client, through: int = 0) -> bool:
        """Ask for the next event. With `through`: one after it only tells that none was missed."""
        target = keys(self.seen.prefix, wait="true", recursive="true", waitIndex=self._last + 1)
        op = Op(Kind.WATCH, member.name, self.seen.prefix, now(), action="poll")
        try:
            stream = await client.follow(target, head_s=HEAD_S)
        except (NotSent, Broken, Late) as failure:
            self._failed(op, failure)
            raise
        if not self._answered(op, client, stream.head):
            await self._cleared(member, client, op)
            return op.error == CLEARED
        try:
            async for event in self._events(stream.chunks(idle_s=IDLE_S)):
                if through and event.index > through:
                    self._reach(through)
                else:
                    self._take(member, event)
        except Broken as failure:
            self._broken(member, failure)
            raise
        return True

    async def _events(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Event, None]:
        async for chunk in chunks:
            for line in chunk.splitlines():
                yield event_from(orjson.loads(line))

    def _take(self, member: Member, event: Event) -> None:
        known = self._canon.tell(f"{self.seen.name} on {member}", event, now())
        self._segment.indexes.append(known.index)
        self._reach(max(event.index, self._last))

    def _reach(self, index: int) -> None:
        self._last = self._segment.through = index

    def _begin(self, index: int) -> Segment:
        segment = Segment(index, index)
        self.seen.segments.append(segment)
        return segment

    async def _cleared(self, member: Member, client: Client, op: Op) -> None:
        """The events asked for are no longer kept: read the state, go on after it."""
        if op.error != CLEARED:
            await asyncio.sleep(RETRY_S)
            return
        listing = Op(Kind.LIST, member.name, self.seen.prefix, now())
        target = keys(self.seen.prefix, recursive="true")
        answer = await perform(client, listing, "GET", target, store=self._store)
        if answer is None:
            return
        read_listing(listing, answer)
        if listing.index > self._last:
            self.seen.resyncs += 1
            self._last = listing.index
            self._segment = self._begin(listing.index)

    def _answered(self, op: Op, client: Client, head: Answer) -> bool:
        """Note what the head of an answer says; whether events follow."""
        op.end = now()
        op.connection = client.connection
        if head.status == 200:
            op.outcome, op.index = Outcome.OK, head.index
        else:
            read(op, head)
        self._store(op)
        return head.status == 200

    def _failed(self, op: Op, failure: Exception) -> None:
        op.end = now()
        op.note = repr(failure)
        if isinstance(failure, NotSent):
            op.outcome = Outcome.NOT_SENT
        op.late = isinstance(failure, Late)
        self._store(op)
