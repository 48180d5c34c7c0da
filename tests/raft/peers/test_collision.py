"""Crossing connections: whatever the order of events, both sides keep the same one."""

import random
from dataclasses import dataclass, field

import pytest

from raft.peers.collision import Origin, Standing, stays
from raft.peers.handshake import Hello

LOW, HIGH = 1, 2
MINE = {LOW: 1001, HIGH: 1002}
WALKS = 4000


def hello(sender: int, dial: int, seen: tuple[int, int] | None = None) -> Hello:
    """A request of a member to the other one."""
    other = LOW + HIGH - sender
    return Hello(0xC, sender, other, MINE[sender], dial, seen, births={}, version="")


def takes(me: int, request: Hello, **standing: object) -> bool:
    """Whether a member takes up a request."""
    nothing: dict[str, object] = {"live": None, "asked": None, "seen": None}
    known = Standing(**(nothing | standing))  # type: ignore[arg-type]
    return stays(request, known, member=me, incarnation=MINE[me])


def test_rules() -> None:
    """Goal: each rule by itself. Method: one example for either outcome."""
    assert takes(LOW, hello(HIGH, 1))
    # A late request.
    assert not takes(LOW, hello(HIGH, 4), seen=(MINE[HIGH], 4))
    assert takes(LOW, hello(HIGH, 5), seen=(MINE[HIGH], 4))
    assert takes(LOW, hello(HIGH, 1), seen=(999, 4))
    # A live connection that the peer must have lost, or has never heard of.
    assert takes(LOW, hello(HIGH, 2), live=Origin(MINE[HIGH], is_ours=False, dial=1))
    ours = Origin(MINE[HIGH], is_ours=True, dial=7)
    assert not takes(LOW, hello(HIGH, 2), live=ours)
    assert not takes(LOW, hello(HIGH, 2, seen=(MINE[LOW], 6)), live=ours)
    assert not takes(LOW, hello(HIGH, 2, seen=(999, 8)), live=ours)
    assert takes(LOW, hello(HIGH, 2, seen=(MINE[LOW], 7)), live=ours)
    # Another process with the same id.
    assert takes(LOW, hello(HIGH, 2), live=Origin(999, is_ours=True, dial=7))
    # Attempts that cross.
    assert not takes(LOW, hello(HIGH, 1), asked=3)
    assert takes(LOW, hello(HIGH, 1, seen=(MINE[LOW], 3)), asked=3)
    assert takes(HIGH, hello(LOW, 1), asked=3)


@dataclass
class Connection:
    """A connection of the model: what is on its way to either end."""

    dialer: int
    dial: int
    to: dict[int, list[str]] = field(default_factory=lambda: {LOW: [], HIGH: []})
    request: Hello | None = None

    def other(self, member: int) -> int:
        """The other end."""
        return LOW + HIGH - member


@dataclass
class End:
    """A member of the model: it does what `mesh` and `dialer` do, one event at a time."""

    live: Connection | None = None
    attempt: Connection | None = None
    seen: tuple[int, int] | None = None
    dials: int = 0
    connected: int = 0


class Model:
    """Two members, and the connections between them; one random schedule of events."""

    def __init__(self, chance: random.Random, breaks: int) -> None:
        self.chance = chance
        self.breaks = breaks
        self.ends = {LOW: End(), HIGH: End()}
        self.connections: list[Connection] = []

    def close(self, connection: Connection, by: int) -> None:
        """One end closes; the other will see it behind everything else, unless it closes too."""
        connection.to[connection.other(by)].append("closed")
        connection.to[by].clear()

    def events(self) -> list[tuple[str, int, Connection | None]]:
        """What can happen next."""
        found: list[tuple[str, int, Connection | None]] = []
        for member, end in self.ends.items():
            if end.live is None and end.attempt is None:
                found.append(("dial", member, None))
            if end.attempt is not None and end.attempt.request is None:
                found.append(("ask", member, end.attempt))
            if self.breaks and (held := end.live or end.attempt) is not None:
                found.append(("break", member, held))
            found += [("arrive", member, c) for c in self.connections if c.to[member]]
        return found

    def step(self, what: str, member: int, connection: Connection | None) -> None:
        """Let one event happen."""
        end = self.ends[member]
        if connection is None:
            end.dials += 1
            end.attempt = Connection(member, end.dials)
            self.connections.append(end.attempt)
        elif what == "ask":
            connection.request = hello(member, connection.dial, end.seen)
            connection.to[connection.other(member)].append("request")
        elif what == "break":
            self.breaks -= 1
            self.close(connection, member)
            end.live = end.attempt = None
        else:
            self.arrive(connection.to[member].pop(0), member, connection)

    def arrive(self, what: str, member: int, connection: Connection) -> None:
        """Something arrives at a member on a connection."""
        end = self.ends[member]
        if what == "closed":
            end.live = None if end.live is connection else end.live
            end.attempt = None if end.attempt is connection else end.attempt
        elif what == "request":
            self.judge(member, connection)
        elif end.attempt is not connection:
            pass  # given up
        elif what == "welcome":
            end.live, end.attempt = connection, None
            end.connected += 1
        else:
            end.attempt = None

    def judge(self, member: int, connection: Connection) -> None:
        """A request arrives."""
        end, request = self.ends[member], connection.request
        assert request is not None
        live = None
        if end.live is not None:
            live = Origin(request.incarnation, end.live.dialer == member, end.live.dial)
        asked = end.attempt.dial if end.attempt is not None and end.attempt.request else None
        taken = stays(
            request, Standing(live, asked, end.seen), member=member, incarnation=MINE[member]
        )
        end.seen = max(end.seen or (0, 0), (request.incarnation, request.dial))
        if not taken:
            connection.to[request.sender].append("declined")
            return
        for old in (end.live, end.attempt):
            if old is not None:
                self.close(old, member)
        end.live, end.attempt = connection, None
        end.connected += 1
        connection.to[request.sender].append("welcome")

    def run(self) -> None:
        """Let things happen until nothing is left that can."""
        for _ in range(400):
            events = self.events()
            if not events:
                return
            self.step(*self.chance.choice(events))
        raise AssertionError("they do not come to rest")


@pytest.mark.parametrize("breaks", [0, 1, 3])
def test_both_sides_keep_the_same_connection(breaks: int) -> None:
    """Goal: exactly one connection survives, on both sides the same; and as long as nothing breaks
    no side ever has a second one. Method: random schedules of two members that dial as soon as they
    have nothing, over connections that deliver late; some break."""
    for seed in range(WALKS):
        model = Model(random.Random(seed), breaks)
        model.run()
        low, high = model.ends[LOW], model.ends[HIGH]
        assert low.live is not None, seed
        assert low.live is high.live, seed
        if not breaks:
            assert (low.connected, high.connected) == (1, 1), seed
