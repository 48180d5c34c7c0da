"""Nodes led by hand: real raft.Node objects, for the rules of the driver.

Each member has its own simulated disk, its own clock that stands still unless it is moved, and a
hand transport. Messages flow by themselves on a link unless the test holds it; then they wait until
they are delivered one by one. Every message is encoded and decoded on its way.

Law that is watched, whatever a test is about: what was answered with success is applied at the same
place by everyone (`Assembly.check`, at the end of each test).
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import msgspec

from raft import Bootstrap, Identity, Node, NodeConfig, messages
from tests.raft.fence.parliament import CLUSTER_ID, ELECTION_MS, NS_PER_MS, Even, peer
from tests.raft.member import DEADLINE_S, SNAP, WAL, HandClock, HookedDisk, within

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from raft import Change, Peer
    from raft.messages import Message
    from raft.transport import Listener

MessageT = TypeVar("MessageT")

# A command that no state machine should ever have been given.
POISON = b"poison"
SEGMENT_BYTES = 64 << 10
PART_BYTES = 64
TICK_S = 0.002
# Rounds of the event loop in which everything happens that can happen without time or threads.
ROUNDS = 30
# An election is tried so often, for so long each time.
ATTEMPTS_MAX = 20
ATTEMPT_S = 0.5


class MortalDisk(HookedDisk):
    """A disk that remembers whether it has lost its power."""

    dead = False

    def operate(self) -> None:
        """Count an operation; without power it fails."""
        try:
            super().operate()
        except OSError:
            self.dead = True
            raise

    def calm(self) -> None:
        """Have power again."""
        super().calm()
        self.dead = False


class Ledger:
    """A state machine that remembers what it was given: the raft.StateMachine."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.stamps: list[int] = []
        self.tick: bytes | None = None
        self.chunk_bytes = 100

    def apply(self, stamp_ns: int, wall_ns: int, commands: Sequence[bytes]) -> list[int]:
        """Take commands; the reply to each is its place."""
        if POISON in commands:
            raise ValueError("poison")
        self.stamps.append(stamp_ns)
        self.commands += commands
        return list(range(len(self.commands) - len(commands), len(self.commands)))

    def tick_command(self) -> bytes | None:
        return self.tick

    def is_behind(self) -> bool:
        return False

    def freeze(self) -> Iterator[bytes]:
        """Cut the state into chunks, the last of them empty."""
        data = msgspec.msgpack.encode(self.commands)
        chunks = [data[at : at + self.chunk_bytes] for at in range(0, len(data), self.chunk_bytes)]
        return iter([*chunks, b""])

    def thaw(self, chunks: Iterable[bytes]) -> list[bytes]:
        return msgspec.msgpack.decode(b"".join(chunks), type=list[bytes])

    def adopt(self, state: list[bytes]) -> None:
        self.commands = state

    def is_removed(self, member: int) -> bool:
        """Whether the removal of a member was recorded here."""
        return removal(member) in self.commands

    def birth_of(self, member: int) -> int:
        """By which birth a member was first recorded here, 0 for none."""
        beginning = publication(member, 0).removesuffix(b"0")
        found = (each for each in self.commands if each.startswith(beginning))
        return int(next(found, b" 0").rpartition(b" ")[2])


def publication(member: int, birth: int) -> bytes:
    """The command that records by which birth a member is known."""
    return b"published %d %d" % (member, birth)


def removal(member: int) -> bytes:
    """The command that records that a member was removed."""
    return b"removed %d" % member


class Gate:
    """Holds up what a disk is asked for, in the thread that asks, until it is let through."""

    def __init__(self, delegate: Delegate, operation: str = "sync", directory: str = WAL) -> None:
        self._wanted = operation, directory
        self._passes = threading.Semaphore(0)
        self._open = False
        # How many have come.
        self.came = 0
        delegate.disk.before = self._before
        delegate.gates.append(self)

    def _before(self, operation: str, path: str) -> None:
        if self._open or operation != self._wanted[0] or not path.startswith(self._wanted[1]):
            return
        assert threading.current_thread() is not threading.main_thread(), "this would hang"
        self.came += 1
        assert self._passes.acquire(timeout=DEADLINE_S), "nobody opened the gate"

    def let_one_through(self) -> None:
        """Let one pass."""
        self._passes.release()

    def open(self) -> None:
        """Let all pass from now on."""
        self._open = True
        self._passes.release(1000)


class HandTransport:
    """A member's end of all links: the raft.transport.PeerTransport."""

    def __init__(self, assembly: Assembly, me: int) -> None:
        self.me = me
        self.members: frozenset[int] = frozenset()
        self.listener: Listener | None = None
        self._assembly = assembly

    def start(self, listener: Listener) -> None:
        self.listener = listener

    def set_members(self, peers: Sequence[Peer]) -> None:
        self.members = frozenset(other.id for other in peers)

    def send(self, member: int, message: Message) -> bool:
        return self._assembly.carry(self.me, member, message)

    def connected_since(self, member: int) -> float | None:
        return None

    async def stop(self) -> None:
        self.listener = None


class Delegate:
    """One member: its disk, which outlives it, and the node on it."""

    def __init__(self, assembly: Assembly, member: int, founders: tuple[int, ...]) -> None:
        self.id = member
        self.founders = founders
        self.disk = MortalDisk()
        self.clock = HandClock()
        self.fatal: list[BaseException] = []
        self.gates: list[Gate] = []
        # How often it has learnt that it was removed.
        self.gone = 0
        # How many logs it has begun.
        self.births = 0
        self._assembly = assembly
        self.up = False

    def boot(self, **config: Any) -> None:
        """Begin a life on what is on the disk."""
        self.machine = Ledger()
        self.transport = HandTransport(self._assembly, self.id)
        has_data = any(name.endswith(".log") for name in self.disk.listdir(WAL))
        bootstrap = None
        if self.founders:
            bootstrap = Bootstrap(tuple(map(peer, self.founders)), [b"founded"])
        if not has_data:
            self.births += 1
        chance: random.Random = Even()
        self.node: Node[int] = Node(
            self.machine,
            NodeConfig(WAL, SNAP, **{"segment_bytes": SEGMENT_BYTES, **config}),
            identity=None if has_data else Identity(CLUSTER_ID, self.id, self.births),
            bootstrap=None if has_data else bootstrap,
            on_fatal=self.fatal.append,
            clock=self.clock,
            disk=self.disk,
            transport=self.transport,
            chance=chance,
            is_removed=self.machine.is_removed,
            birth_of=self.machine.birth_of,
            on_removed=self._go,
        )
        self.node.start()
        self.up = True

    def _go(self) -> None:
        self.gone += 1

    def pass_time(self, time_ms: float) -> None:
        """Move the clock; the next tick sees it."""
        self.clock.now_ns += int(time_ms * NS_PER_MS)

    def propose(self, command: bytes) -> asyncio.Future[int]:
        """Propose; a failure nobody asks for is no complaint."""
        return quiet(self.node.propose(command))

    def change(self, change: Change, command: bytes) -> asyncio.Future[int]:
        """Change the members."""
        return quiet(self.node.change(change, command))

    def read(self) -> asyncio.Future[None]:
        """Ask for a read."""
        return quiet(self.node.read_barrier())

    async def ticked(self) -> None:
        """Wait until time has been noticed."""
        driver = self.node.driver
        for _ in range(2):
            before = driver._ticker
            await until(lambda: driver._ticker is not before, "a tick")  # noqa: B023

    def has(self, command: bytes) -> int:
        """How often a command was applied."""
        return self.machine.commands.count(command)

    async def go_slow(self) -> None:
        """Be on a disk that is so slow that it gets a thread."""
        self.node.driver.writing.average_ns = 1e15
        await within(self.propose(b"slow"))

    @property
    def commit_index(self) -> int:
        return self.node.status.commit_index

    @property
    def is_quiet(self) -> bool:
        """Whether its disk says how far the log is committed; alone it need not."""
        return self.node._engine.desk.is_alone or self.node.journal.commit >= self.commit_index

    @property
    def files(self) -> list[str]:
        """The files of snapshots, finished or not."""
        return self.disk.listdir(SNAP)


def quiet(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """Let a failure nobody asks for be no complaint."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def why(future: asyncio.Future[Any]) -> str:
    """Why it failed; "" if it did not, or not yet."""
    return str(future.exception() or "") if future.done() else ""


class Assembly:
    """Several nodes and what lies between them."""

    def __init__(self, **config: Any) -> None:
        self.members: dict[int, Delegate] = {}
        self.links: defaultdict[tuple[int, int], deque[bytes]] = defaultdict(deque)
        self.held: set[tuple[int, int]] = set()
        self._connected: set[tuple[int, int]] = set()
        self._config = config

    def __getitem__(self, member: int) -> Delegate:
        return self.members[member]

    def add(self, member: int, founders: tuple[int, ...] = ()) -> Delegate:
        """Let there be another machine, whose member runs."""
        delegate = self.members[member] = Delegate(self, member, founders)
        delegate.boot(**self._config)
        return delegate

    @property
    def up(self) -> list[Delegate]:
        """Who runs."""
        return [delegate for delegate in self.members.values() if delegate.up]

    # -- what lies between them --------------------------------------------------------------

    def carry(self, sender: int, receiver: int, message: Message) -> bool:
        """Take a message if there is a connection."""
        if (sender, receiver) not in self._connected:
            return False
        self.links[sender, receiver].append(messages.encode(message))
        if (sender, receiver) not in self.held:
            asyncio.get_running_loop().call_soon(self._pump, sender, receiver)
        return True

    def _pump(self, sender: int, receiver: int) -> None:
        if (sender, receiver) not in self.held:
            self.deliver(sender, receiver)

    def deliver(self, sender: int, receiver: int, count: int = 1_000_000) -> list[Message]:
        """Deliver the first so many messages of a link; return them."""
        link = self.links[sender, receiver]
        delivered: list[Message] = []
        while link and len(delivered) < count:
            delivered.append(messages.decode(link.popleft()))
            self.tell(sender, receiver, delivered[-1])
        return delivered

    def deliver_all_but(
        self, sender: int, receiver: int, kinds: tuple[type[MessageT], ...]
    ) -> list[MessageT]:
        """Deliver what waits on a link; take off, and return, the messages of these kinds."""
        taken: list[MessageT] = []
        link = self.links[sender, receiver]
        while link:
            message = messages.decode(link.popleft())
            if isinstance(message, kinds):
                taken.append(message)
            else:
                self.tell(sender, receiver, message)
        return taken

    def tell(self, sender: int, receiver: int, message: Message) -> None:
        """Deliver a message that is in no queue."""
        listener = self[receiver].transport.listener
        if listener is not None:
            listener.received(sender, messages.decode(messages.encode(message)))

    def on_the_way(self, sender: int, receiver: int) -> list[Message]:
        """What waits on a link."""
        return [messages.decode(data) for data in self.links[sender, receiver]]

    def kinds(self, sender: int, receiver: int) -> list[str]:
        """Of which kinds that is."""
        return [type(message).__name__ for message in self.on_the_way(sender, receiver)]

    def take(self, sender: int, receiver: int, kind: type[MessageT]) -> list[MessageT]:
        """Take the messages of a kind off a link; return them."""
        taken: list[MessageT] = []
        left: deque[bytes] = deque()
        for data in self.links[sender, receiver]:
            message = messages.decode(data)
            if isinstance(message, kind):
                taken.append(message)
            else:
                left.append(data)
        self.links[sender, receiver] = left
        return taken

    def hold(self, *pairs: tuple[int, int]) -> None:
        """Let messages of these directions wait until they are delivered."""
        self.held |= set(pairs)

    def hold_all(self, member: int) -> None:
        """Let all that a member is sent or sends wait."""
        for other in self.members:
            self.hold((member, other), (other, member))

    def flow(self, *pairs: tuple[int, int]) -> None:
        """Let messages of these directions (all if none is named) flow again, what waits first."""
        for pair in sorted(pairs or self.held):
            self.held.discard(pair)
            self._pump(*pair)

    def connect(self, one: int, other: int) -> None:
        """Let two members have a new connection."""
        if (one, other) in self._connected:
            return
        self._connected |= {(one, other), (other, one)}
        said = {me: self[me].node._births.shown(self.members) for me in (one, other)}
        for me, them in ((one, other), (other, one)):
            listener = self[me].transport.listener
            if listener is not None:
                listener.connected(them, births=said[them])

    def disconnect(self, one: int, other: int) -> None:
        """Break the connection of two members; what is on its way is lost."""
        if (one, other) not in self._connected:
            return
        self._connected -= {(one, other), (other, one)}
        for me, them in ((one, other), (other, one)):
            self.links[me, them].clear()
            listener = self[me].transport.listener
            if listener is not None:
                listener.disconnected(them)

    def partition(self, *groups: Iterable[int]) -> None:
        """Let only members of the same group be connected."""
        parts = [set(group) for group in groups]
        running = [delegate.id for delegate in self.up]
        for one in running:
            for other in running:
                if one < other:
                    together = any({one, other} <= part for part in parts)
                    (self.connect if together else self.disconnect)(one, other)

    def heal(self) -> None:
        """Let everyone who is up be connected with everyone."""
        self.partition([delegate.id for delegate in self.up])

    # -- what happens to members -------------------------------------------------------------

    async def crash(self, member: int, keep: random.Random | None = None) -> None:
        """Lose power: what was not synced is gone (or some of it, as `keep` draws)."""
        self[member].disk.lose_power_after(0)
        await self.end(member)
        self[member].disk.crash(keep)
        self[member].fatal.clear()

    async def end(self, member: int) -> None:
        """Let a member stop, without a chance to say anything to others."""
        delegate = self[member]
        delegate.up = False
        for other in self.members:
            self.disconnect(member, other)
        delegate.transport.listener = None
        for gate in delegate.gates:
            gate.open()
        delegate.disk.before = lambda _operation, _path: None
        await within(delegate.node.stop())

    def restart(self, member: int) -> Delegate:
        """Start a member that has crashed; it is connected with nobody yet."""
        self[member].boot(**self._config)
        return self[member]

    async def elect(self, member: int, *voters: int) -> None:
        """Have a member stand and be elected by these (by all who are up if none are named)."""
        among = set(voters or (delegate.id for delegate in self.up)) - {member}
        for _ in range(ATTEMPTS_MAX):
            for voter in among:
                if self[voter].node.status.leader:
                    self[voter].pass_time(ELECTION_MS + 1)
            self[member].pass_time(2 * ELECTION_MS)
            # An attempt may fail: somebody has heard of the old leader a moment ago.
            with suppress(AssertionError):
                await until(lambda: self.leads(member), f"{member} leads", ATTEMPT_S)
                break
        else:
            raise AssertionError(f"{member} cannot be elected")
        await until(lambda: self.knows(member, *among), f"{member} has heard of its voters")

    def knows(self, leader: int, *members: int) -> bool:
        """Whether a leader knows these to have all of its log."""
        progress, log = self[leader].node.progress, self[leader].node._log
        return all(progress[m][0] == log.last_index for m in members if m in progress)

    def leads(self, member: int) -> bool:
        """Whether a member leads and has committed in its term."""
        delegate = self[member]
        return (
            delegate.up and delegate.node.status.is_leader and delegate.node._engine.is_ready_leader
        )

    async def same(self, *members: int) -> None:
        """Wait until these (all who are up if none are named) have applied the same for good.

        That is, until nothing is left that they would write by themselves.
        """
        delegates = [self[member] for member in members] if members else self.up
        await until(
            lambda: (
                len({tuple(d.machine.commands) for d in delegates}) == 1
                and len({d.node.applied_index for d in delegates}) == 1
                and all(d.is_quiet for d in delegates)
            ),
            "all have applied the same",
        )

    def check(self) -> None:
        """No two members have applied different commands at the same place; nobody has failed."""
        longest: list[bytes] = max((d.machine.commands for d in self.up), key=len, default=[])
        for delegate in self.up:
            commands = delegate.machine.commands
            assert commands == longest[: len(commands)]
            assert not delegate.fatal


async def until(condition: Callable[[], object], what: str, time_s: float = DEADLINE_S) -> None:
    """Wait until the condition holds."""
    try:
        async with asyncio.timeout(time_s):
            while not condition():
                await asyncio.sleep(TICK_S / 2)
    except TimeoutError:
        raise AssertionError(f"not within {time_s} s: {what}") from None


async def settle() -> None:
    """Let everything happen that can happen now, but for what threads and clocks do."""
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


@asynccontextmanager
async def assembled(
    *members: int, joiners: Sequence[int] = (), **config: Any
) -> AsyncIterator[Assembly]:
    """Run members, all connected, and stop what runs in the end."""
    with ExitStack() as stack:
        for name, value in {
            "raft.pin.check": lambda: None,
            "raft.driver._TICK_MAX_S": TICK_S,
            "raft.appender._ROOM_KEPT_BYTES": 2 << 10,
            "raft.installs._RETRY_S": TICK_S,
            "raft.installs.PART_BYTES_MAX": PART_BYTES,
        }.items():
            stack.enter_context(mock.patch(name, value))
        assembly = Assembly(**config)
        for member in members:
            assembly.add(member, members)
        for joiner in joiners:
            assembly.add(joiner)
        assembly.heal()
        await settle()
        try:
            yield assembly
            assembly.check()
        finally:
            for delegate in assembly.up:
                await assembly.end(delegate.id)
