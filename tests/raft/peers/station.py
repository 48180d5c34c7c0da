"""A member's connections in this process: a mesh, its port on loopback, and what it heard."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from raft.batch import Peer
from raft.core import Timing
from raft.messages import Commit, Message
from raft.peers import Mesh
from raft.peers.handshake import Hello, request
from raft.records import Identity

CLUSTER = 0xC57F099532FC184A
DEADLINE_S = 20.0
# Short, so that time-outs that have a floor are at it.
TIMING = Timing(heartbeat_ms=20, election_ms=100)
_POLL_S = 0.001


def note(number: int) -> Commit:
    """A message that can be told from others."""
    return Commit(term=1, commit=number)


class Ear:
    """A listener that writes everything down, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.messages: dict[int, list[Message]] = {}
        # By member: which births it told when it last connected.
        self.births: dict[int, dict[int, int]] = {}
        self.on_received: Callable[[int, Message], object] = lambda _member, _message: None
        self.on_connected: Callable[[int], object] = lambda _member: None

    def received(self, member: int, message: Message) -> None:
        """Keep a message."""
        self.messages.setdefault(member, []).append(message)
        self.on_received(member, message)

    def connected(self, member: int, *, births: Mapping[int, int]) -> None:
        """Note it."""
        self.heard.append(("connected", member))
        self.births[member] = dict(births)
        self.on_connected(member)

    def disconnected(self, member: int) -> None:
        """Note it."""
        self.heard.append(("disconnected", member))

    def removed(self) -> None:
        """Note it."""
        self.heard.append(("removed", 0))

    def numbers(self, member: int) -> list[int]:
        """The numbers of the notes that came from a member."""
        return [m.commit for m in self.messages.get(member, []) if isinstance(m, Commit)]

    def count(self, what: str, member: int) -> int:
        """How often something was heard of a member."""
        return self.heard.count((what, member))


class Station:
    """One member: `mesh`, `ear`, and the URL of its port."""

    def __init__(
        self,
        member: int,
        *,
        cluster: int = CLUSTER,
        timing: Timing = TIMING,
        fallback: Callable[[], asyncio.Protocol] | None = None,
        port: int = 0,
        seed: int | None = None,
    ) -> None:
        self.member = member
        self.removed: set[int] = set()
        # What it has on record of all members' births.
        self.births: dict[int, int] = {}
        self.birth = 0xB000 + member
        self.ear = Ear()
        chance = random.Random(seed)
        self.incarnation = chance.getrandbits(63) | 1
        self.mesh = Mesh(
            Identity(cluster, member, self.birth),
            incarnation=self.incarnation,
            timing=timing,
            is_removed=self.removed.__contains__,
            birth_of=lambda number: self.births.get(number, 0),
            fallback=fallback,
            version="3.4.23",
            chance=chance,
        )
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self.socket.getsockname()[1]
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The peer URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def peer(self) -> Peer:
        """The member as others are told of it."""
        return Peer(self.member, (self.url,))

    async def open(self) -> None:
        """Serve, and start the mesh."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.mesh.protocol, sock=self.socket)
        self.mesh.start(self.ear)

    async def close(self) -> None:
        """Stop both."""
        if self._server is not None:
            self._server.close()
        self.socket.close()
        async with asyncio.timeout(DEADLINE_S):
            await self.mesh.stop()

    def knows(self, *others: "Station") -> None:
        """Tell the mesh of other members."""
        self.mesh.set_members([other.peer for other in others])

    def is_connected(self, *others: "Station") -> bool:
        """Whether there is a connection with each of them."""
        return all(self.mesh.connected_since(other.member) is not None for other in others)

    def hello(self, sender: int, **changes: object) -> bytes:
        """A request that this member takes up, from a sender it does not know; or changed."""
        fields: dict[str, object] = {
            "cluster_id": CLUSTER,
            "sender": sender,
            "wanted": self.member,
            "incarnation": 77,
            "dial": 1,
            "seen": None,
            "births": {},
            "version": "3.4.23",
        }
        return request(Hello(**(fields | changes)), f"127.0.0.1:{self.port}")  # type: ignore[arg-type]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect as anybody."""
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def opened(*stations: Station) -> AsyncIterator[None]:
    """Open stations, and close them whatever happens; nothing may be left of them."""
    try:
        for station in stations:
            await station.open()
        yield
    finally:
        for station in stations:
            await station.close()


def acquainted(stations: Sequence[Station]) -> None:
    """Tell every station of all the others, in one turn."""
    for station in stations:
        station.knows(*(other for other in stations if other is not station))


def all_connected(stations: Iterable[Station]) -> bool:
    """Whether each has a connection with each other one."""
    stations = list(stations)
    return all(a.is_connected(b) for a in stations for b in stations if a is not b)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE_S} s: {what}") from None


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Everything that comes until the other side closes."""
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
        return b""


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection of ours and wait until it is gone."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Lines:
    """Collects log lines in place of a logger's method."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, text: str, *arguments: object, **_more: object) -> None:
        """Keep a line."""
        self.lines.append(text % arguments)
