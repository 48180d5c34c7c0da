"""Watchers that go on across members, crashes and installed snapshots.

Laws that are watched:

* "a watcher sees every event once, in order": what it is told is what the watcher of a state
  machine is told that never fails, never restarts and is sent no snapshots; for what its member has
  applied before, it is what a scan of the history finds.
* "a watcher misses nothing": whatever its member has applied, it has been told, or told that it is
  lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore import EtcdError, Event

if TYPE_CHECKING:
    from tests.simulation.member import Life, Member
    from tests.simulation.world import World


class WatchClient:
    """A client that watches a path, at one member after another."""

    def __init__(self, world: World, path: bytes, *, recursive: bool, stream: bool = True) -> None:
        """`stream`: one long reply; otherwise it asks anew after each event."""
        self.path = path
        self.told = 0
        self._world = world
        self._recursive = recursive
        self._stream = stream
        self._life: Life | None = None
        # Whether that life has taken it on.
        self._taken_on = False
        # The next index it waits for; 0: what comes.
        self._since = 0
        # What it has to be told of the past, and what is told as it happens, from `_next` on.
        self._past: list[Event] = []
        self._live = world.canon.listen(path, recursive=recursive)
        self._next = 0

    @property
    def broken(self) -> bool:
        """Whether the life in which its member serves it is over."""
        return self._life is None or not self._life.process.alive

    def attach(self, member: Member) -> None:
        """Go on at a member that serves."""
        self._life = member.live
        self._taken_on = False
        self._life.process.at(self._world.loop.now_ns, self._begin, self._life)

    def _begin(self, life: Life) -> None:
        store, canon = life.machine.store, self._world.canon
        since = self._since or store.index + 1
        self._past, self._taken_on = [], True
        try:
            self._past = canon.past(
                self.path, recursive=self._recursive, since=since, index=store.index
            )
            live_from = max(since, store.index + 1)
            while self._next and self._live[self._next - 1].index >= live_from:
                self._next -= 1
            while self._next < len(self._live) and self._live[self._next].index < live_from:
                self._next += 1
            self._since = since
            store.watch(
                self.path,
                self._deliver,
                since=since,
                recursive=self._recursive,
                stream=self._stream,
                lost=self._lost,
            )
        except EtcdError:
            # 401: the client reads everything anew and goes on from there.
            self._world.counts["watches: history cleared"] += 1
            self._since = 0
            self._begin(life)
            return
        if self._taken_on and self._past:
            self._accuse_missed(self._past[0])

    def _due(self) -> Event | None:
        """What it has to be told next."""
        if self._past:
            return self._past[0]
        return self._live[self._next] if self._next < len(self._live) else None

    def _deliver(self, event: Event) -> None:
        expected = self._due()
        if event != expected:
            self._world.accuse(
                "a watcher sees every event once, in order",
                f"{self._name()} is told {event} where {expected} is due",
            )
        if self._past:
            self._past.pop(0)
        else:
            self._next += 1
        self._since = event.index + 1
        self.told += 1
        if not self._stream and self._life is not None:
            self.attach(self._life.member)

    def _lost(self) -> None:
        """The member says that events are gone: the client begins anew."""
        self._world.counts["watches: lost"] += 1
        self._since = 0
        if self._life is not None:
            self.attach(self._life.member)

    def check(self) -> None:
        """It must have been told everything that its member has applied."""
        if self._life is None or self.broken or not self._taken_on:
            return
        due = self._due()
        if due is not None and due.index <= self._life.machine.store.index:
            self._accuse_missed(due)

    def _accuse_missed(self, event: Event) -> None:
        self._world.accuse("a watcher misses nothing", f"{self._name()} was not told {event}")

    def _name(self) -> str:
        assert self._life is not None
        where = f"member {self._life.member.id} (at index {self._life.machine.store.index})"
        return f"the watcher of {self.path!r} at {where}"
