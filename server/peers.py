"""The other members as the process has them: what the node talks through, what the peer port is.

A node is given its transport before it is known who it is, since that is on its disk. So this is a
transport that becomes a `raft.peers.Mesh` once it is told.

Laws: `become` comes before the node is started. Until then the peer port takes connections and
closes them at once, so that a member that asks around does not wait for an answer.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence

from raft import Identity, Peer, Timing
from raft.messages import Message
from raft.peers import Counters, Mesh
from raft.transport import Listener


class Peers:
    """A `raft.transport.PeerTransport`."""

    def __init__(
        self,
        timing: Timing,
        *,
        is_removed: Callable[[int], bool],
        birth_of: Callable[[int], int],
        fallback: Callable[[], asyncio.Protocol],
        version: str,
    ) -> None:
        """`fallback` makes the protocol of connections that are no member's."""
        self._timing = timing
        self._is_removed = is_removed
        self._birth_of = birth_of
        self._fallback = fallback
        self._version = version
        self._mesh: Mesh | None = None

    def become(self, identity: Identity) -> None:
        """Be this member from now on."""
        self._mesh = Mesh(
            identity,
            incarnation=secrets.randbits(63) or 1,
            timing=self._timing,
            is_removed=self._is_removed,
            birth_of=self._birth_of,
            fallback=self._fallback,
            version=self._version,
        )

    def protocol(self) -> asyncio.Protocol:
        """The protocol of a new connection on the peer port."""
        return self._mesh.protocol() if self._mesh is not None else _NotYet()

    @property
    def counters(self) -> dict[int, Counters]:
        """What went to and came from each other member."""
        return self._known.counters

    @property
    def _known(self) -> Mesh:
        assert self._mesh is not None, "the node was started before it was known who it is"
        return self._mesh

    # -- the transport ----------------------------------------------------------------------

    def start(self, listener: Listener) -> None:
        """Begin to connect."""
        self._known.start(listener)

    def set_members(self, peers: Sequence[Peer]) -> None:
        """Keep connections with these."""
        self._known.set_members(peers)

    def send(self, member: int, message: Message) -> bool:
        """Send, or answer False."""
        return self._known.send(member, message)

    def connected_since(self, member: int) -> float | None:
        """The loop's time at which the live connection came to be."""
        return self._known.connected_since(member)

    async def stop(self) -> None:
        """Close all connections."""
        await self._known.stop()


class _NotYet(asyncio.Protocol):
    """A connection that comes before there is anything to say."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
