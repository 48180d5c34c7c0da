"""The network between members: raft.transport.PeerTransport on virtual time.

Laws:

* Every message is encoded and decoded on its way; what arrives is never the object that was sent.
* Over one connection messages arrive in order or not at all (`in_order`); without that they may be
  lost, doubled and swapped in silence, which agreement must survive although the seam promises
  better.
* A connection that breaks takes what is on its way with it, or only a part of it when it was the
  sender that died; each end learns of it when it learns of it.
* A link that is cut carries nothing: what is on it waits, and is lost if the connection breaks
  before the link is mended. New connections need both directions.
* Each direction between two members draws its luck from a generator of its own, so the order in
  which a member happens to send to several others changes nothing.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from raft.messages import decode, encode
from tests.simulation.loop import MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raft import Peer
    from raft.births import Births
    from raft.messages import Message
    from raft.transport import Listener
    from tests.simulation.loop import Process, VirtualLoop

# What one direction of a connection holds before `send` answers False.
IN_FLIGHT_MAX = 256


@dataclass(frozen=True, slots=True)
class Weather:
    """How the network behaves."""

    delay_ns: int = MS // 2
    in_order: bool = True
    loss: float = 0.0
    double: float = 0.0
    swap: float = 0.0
    # How likely a message takes `hiccup_ns` longer.
    hiccup: float = 0.0
    hiccup_ns: int = 100 * MS
    # How long it takes to connect again, at the most, and to learn that a connection is gone.
    reconnect_ns: int = 50 * MS
    notice_ns: int = 20 * MS


@dataclass(slots=True)
class Link:
    """One direction between two members."""

    luck: random.Random
    cut: bool = False
    # Added to the delay of each message.
    slow_ns: int = 0
    # Led by hand: messages wait in `queue` until somebody delivers them.
    by_hand: bool = False
    queue: deque[Parcel] = field(default_factory=deque)


@dataclass(slots=True)
class Parcel:
    """A message on its way over a connection."""

    connection: Connection
    sender: int
    receiver: int
    data: bytes

    @property
    def message(self) -> Message:
        return decode(self.data)


class Connection:
    """What two members send each other until it breaks."""

    def __init__(self, one: int, other: int) -> None:
        self.ends = (one, other)
        # By sender: whether what it sends still gets through, when the last of it arrives, what
        # waits at a cut link, and how much is on its way.
        self.flows = {one: True, other: True}
        self.last_ns = {one: 0, other: 0}
        self.stuck: dict[int, list[Parcel]] = {one: [], other: []}
        self.in_flight = Counter[int]()

    @property
    def broken(self) -> bool:
        return not all(self.flows.values())

    def other(self, member: int) -> int:
        one, other = self.ends
        return other if member == one else one


class Watch(Protocol):
    """Who looks at what is sent and what arrives."""

    def sent(self, sender: int, receiver: int, message: Message) -> None:
        """A member has handed a message to its transport."""

    def arrives(self, sender: int, receiver: int, message: Message, data: bytes) -> None:
        """A message is about to be given to its receiver."""


class Network:
    """All members' transports, and what lies between them."""

    def __init__(self, loop: VirtualLoop, seed: str, watch: Watch) -> None:
        self.loop = loop
        self.weather = Weather()
        self.watch = watch
        self.counts: Counter[str] = Counter()
        self.in_flight_max = IN_FLIGHT_MAX
        self._seed = seed
        self._ends: dict[int, Transport] = {}
        self._links: dict[tuple[int, int], Link] = {}
        self._connections: dict[tuple[int, int], Connection] = {}
        self._dialling: set[tuple[int, int]] = set()

    # -- what may be done to it -------------------------------------------------------------

    def link(self, sender: int, receiver: int) -> Link:
        """Return the direction from one member to another."""
        link = self._links.get((sender, receiver))
        if link is None:
            luck = random.Random(f"{self._seed}/{sender}/{receiver}")
            link = self._links[sender, receiver] = Link(luck)
        return link

    def cut(self, sender: int, receiver: int) -> None:
        """Let nothing through in this direction."""
        self.link(sender, receiver).cut = True

    def mend(self, sender: int, receiver: int) -> None:
        """Let everything through again, what has waited first."""
        link = self.link(sender, receiver)
        link.cut = False
        connection = self._connections.get(_pair(sender, receiver))
        if connection is not None:
            stuck, connection.stuck[sender] = connection.stuck[sender], []
            for parcel in stuck:
                self._post(parcel)
        self.dial(sender, receiver)

    def mend_all(self) -> None:
        """Undo all cuts and slowness, and let go of what was led by hand."""
        for (sender, receiver), link in sorted(self._links.items(), key=lambda item: item[0]):
            link.slow_ns = 0
            if link.by_hand:
                link.by_hand = False
                while link.queue:
                    self._post(link.queue.popleft())
            if link.cut:
                self.mend(sender, receiver)

    def reset(self, one: int, other: int) -> None:
        """Break the connection of two members; what is on its way is lost."""
        connection = self._connections.get(_pair(one, other))
        if connection is not None:
            self._break(connection)

    def deliver(self, parcel: Parcel) -> None:
        """Deliver a parcel of a link led by hand, after what waits for its receiver already."""
        self._post(parcel, now=True)

    def connected(self, one: int, other: int) -> bool:
        """Whether both ends have the same connection."""
        connection = self._connections.get(_pair(one, other))
        return connection is not None and all(
            end in self._ends and self._ends[end].open.get(connection.other(end)) is connection
            for end in connection.ends
        )

    # -- connecting -------------------------------------------------------------------------

    def enter(self, transport: Transport) -> None:
        """A member's process is there."""
        self._ends[transport.me] = transport
        for other in sorted(self._ends):
            if other != transport.me:
                self.dial(transport.me, other)

    def leave(self, me: int, *, orderly: bool) -> None:
        """A member's process is gone; what it had sent may still arrive."""
        self._ends.pop(me, None)
        for pair, connection in sorted(self._connections.items()):
            if me in pair:
                lost = not orderly and self.link(me, connection.other(me)).luck.random() < 0.5
                self._break(connection, arrives_from=None if lost else me)

    def dial(self, one: int, other: int) -> None:
        """Have two members connect soon, if one of them wants to and they are not connected."""
        pair = _pair(one, other)
        if pair in self._connections or pair in self._dialling or not self._wanted(pair):
            return
        self._dialling.add(pair)
        wait_ns = int(self.weather.reconnect_ns * self.link(*pair).luck.random())
        self.loop.schedule(self.loop.now_ns + wait_ns, self._knock, pair)

    def _wanted(self, pair: tuple[int, int]) -> bool:
        return all(end in self._ends for end in pair) and (
            pair[1] in self._ends[pair[0]].members or pair[0] in self._ends[pair[1]].members
        )

    def _knock(self, pair: tuple[int, int]) -> None:
        self._dialling.discard(pair)
        if pair in self._connections or not self._wanted(pair):
            return
        if self.link(*pair).cut or self.link(*reversed(pair)).cut:
            return  # mending dials again
        caller, called = (self._ends[end] for end in pair)
        if called.me not in caller.members or (
            caller.me in called.members and self.link(*pair).luck.random() < 0.5
        ):
            caller, called = called, caller
        connection = self._connections[pair] = Connection(*pair)
        self.counts["connections"] += 1
        called.soon(called.accept, connection, caller, caller.introduction(called.me))

    def accepted(self, connection: Connection, caller: Transport, called: Transport) -> None:
        """The called end has answered the door."""
        delay_ns = self._delay_ns(self.link(called.me, caller.me))
        at_ns = max(self.loop.now_ns + delay_ns, connection.last_ns[called.me] + 1)
        connection.last_ns[called.me] = at_ns
        caller.at(at_ns, caller.opened, connection, called.introduction(caller.me))

    def turned_away(self, connection: Connection, caller: Transport) -> None:
        """The called end does not want the caller any more: it was removed."""
        del self._connections[_pair(*connection.ends)]
        connection.flows = dict.fromkeys(connection.ends, False)
        self.counts["turned away"] += 1
        caller.at(self.loop.now_ns + self.weather.delay_ns, caller.turned_away)

    def hang_up(self, connection: Connection, me: int) -> None:
        """One end has no use for the connection any more; what it has sent arrives."""
        if self._connections.get(_pair(*connection.ends)) is connection:
            self._break(connection, arrives_from=me)

    def _break(self, connection: Connection, *, arrives_from: int | None = None) -> None:
        """End a connection; what that end has sent still arrives, what else is on its way not."""
        self._connections.pop(_pair(*connection.ends), None)
        self.counts["broken connections"] += 1
        now_ns = self.loop.now_ns
        for end in connection.ends:
            other = connection.other(end)
            if other != arrives_from:
                connection.flows[other] = False
            if end in self._ends:
                luck = self.link(other, end).luck
                # Most ends learn of it at once, some only when something times out.
                slowly = self.weather.notice_ns * (20 if luck.random() < 0.1 else 1)
                at_ns = now_ns + int(slowly * luck.random())
                if other == arrives_from:
                    at_ns = max(at_ns, connection.last_ns[other] + 1)
                transport = self._ends[end]
                transport.at(at_ns, transport.lost, connection)
        self.dial(*connection.ends)

    # -- carrying ---------------------------------------------------------------------------

    def carry(self, connection: Connection, sender: int, message: Message) -> bool:
        """Take a message, or not."""
        receiver = connection.other(sender)
        link = self.link(sender, receiver)
        if connection.in_flight[sender] >= self.in_flight_max:
            self.counts["refused messages"] += 1
            return False
        self.counts["messages"] += 1
        parcel = Parcel(connection, sender, receiver, encode(message))
        weather = self.weather
        if not weather.in_order:
            if weather.loss and link.luck.random() < weather.loss:
                self.counts["lost messages"] += 1
                return True
            if weather.double and link.luck.random() < weather.double:
                self.counts["doubled messages"] += 1
                connection.in_flight[sender] += 1
                self._post(replace(parcel))
        connection.in_flight[sender] += 1
        if link.by_hand:
            link.queue.append(parcel)
        else:
            self._post(parcel)
        return True

    def _delay_ns(self, link: Link) -> int:
        weather, luck = self.weather, link.luck
        delay_ns = link.slow_ns + int(weather.delay_ns * (0.2 + luck.random()))
        if weather.hiccup and luck.random() < weather.hiccup:
            delay_ns += int(weather.hiccup_ns * luck.random())
        return delay_ns

    def _post(self, parcel: Parcel, *, now: bool = False) -> None:
        connection, sender = parcel.connection, parcel.sender
        receiver = self._ends.get(parcel.receiver)
        if receiver is None:
            return
        link = self.link(sender, parcel.receiver)
        at_ns = self.loop.now_ns + (0 if now else self._delay_ns(link))
        if self.weather.in_order or link.luck.random() >= self.weather.swap:
            at_ns = max(at_ns, connection.last_ns[sender] + 1)
            connection.last_ns[sender] = at_ns
        receiver.at(at_ns, receiver.take, parcel)


class Transport:
    """A member's end of all its connections: the raft.transport.PeerTransport."""

    def __init__(
        self,
        network: Network,
        me: int,
        process: Process,
        is_removed: Callable[[int], bool],
        births: Callable[[], Births],
    ) -> None:
        """`is_removed`, `births`: what the member's state machine says of others."""
        self.me = me
        self.members: frozenset[int] = frozenset()
        self.open: dict[int, Connection] = {}
        self._since: dict[int, float] = {}
        self._network = network
        self._process = process
        self._is_removed = is_removed
        self._births = births
        self._listener: Listener | None = None

    # -- PeerTransport ----------------------------------------------------------------------

    def start(self, listener: Listener) -> None:
        """Begin."""
        self._listener = listener
        self._network.enter(self)

    def set_members(self, peers: Sequence[Peer]) -> None:
        """Keep connections with these; let go of those that were among them and are not now."""
        before, self.members = self.members, frozenset(peer.id for peer in peers)
        for member in sorted(before - self.members):
            connection = self.open.get(member)
            if connection is not None:
                self._network.hang_up(connection, self.me)
        if self._listener is not None:
            for member in sorted(self.members - before):
                self._network.dial(self.me, member)

    def send(self, member: int, message: Message) -> bool:
        """Send, if there is a connection as far as this end knows."""
        if not self._process.alive:
            return False
        self._network.watch.sent(self.me, member, message)
        connection = self.open.get(member)
        return connection is not None and self._network.carry(connection, self.me, message)

    def connected_since(self, member: int) -> float | None:
        """When the connection came to be, on this end's clock."""
        return self._since.get(member) if member in self.open else None

    async def stop(self) -> None:
        """Close everything."""
        self._listener = None
        self._network.leave(self.me, orderly=True)

    # -- Network ----------------------------------------------------------------------------

    def at(self, at_ns: int, function: Callable[..., None], *args: object) -> None:
        """Have something done by the member's process."""
        self._process.at(at_ns, function, *args)

    def soon(self, function: Callable[..., None], *args: object) -> None:
        """Have something done by the member's process as soon as it can."""
        self.at(self._network.loop.now_ns, function, *args)

    def introduction(self, other: int) -> dict[int, int]:
        """What this end says to another one: which births it knows."""
        return self._births().shown({other, *self.members})

    def accept(
        self, connection: Connection, caller: Transport, introduction: dict[int, int]
    ) -> None:
        """Be called by another member, who says which births it knows."""
        if connection.broken or self._listener is None:
            return
        if self._is_removed(caller.me):
            self._network.turned_away(connection, caller)
            return
        self.opened(connection, introduction)
        self._network.accepted(connection, caller, self)

    def opened(self, connection: Connection, introduction: dict[int, int]) -> None:
        """A connection has come to be."""
        if connection.broken or self._listener is None:
            return
        other = connection.other(self.me)
        if other in self.open:
            self._listener.disconnected(other)
        self.open[other] = connection
        self._since[other] = self._network.loop.time()
        self._listener.connected(other, births=introduction)

    def turned_away(self) -> None:
        """Be told that this member was removed."""
        if self._listener is not None:
            self._listener.removed()

    def lost(self, connection: Connection) -> None:
        """Learn that a connection is gone."""
        other = connection.other(self.me)
        if self.open.get(other) is connection:
            del self.open[other]
            if self._listener is not None:
                self._listener.disconnected(other)

    def take(self, parcel: Parcel) -> None:
        """Receive a message, unless it was lost on its last inch."""
        network, connection = self._network, parcel.connection
        link = network.link(parcel.sender, self.me)
        if link.cut and connection.flows[parcel.sender]:
            connection.stuck[parcel.sender].append(parcel)
            return
        connection.in_flight[parcel.sender] -= 1
        if (
            not connection.flows[parcel.sender]
            or self.open.get(parcel.sender) is not connection
            or self._listener is None
        ):
            return
        self._receive(parcel.sender, parcel.data)

    def receive(self, sender: int, message: Message) -> None:
        """Have a message arrive that came over no connection."""
        self.soon(self._receive, sender, encode(message))

    def _receive(self, sender: int, data: bytes) -> None:
        if self._listener is not None:
            message = decode(data)
            self._network.watch.arrives(sender, self.me, message, data)
            self._listener.received(sender, message)


def _pair(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
