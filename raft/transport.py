"""The seam to the other members.

Laws:

* A transport carries typed messages between members whose identity it has checked; nobody behind
  it ever sees bytes from a network.
* What is sent to a member arrives in order or not at all. When something may have been lost, the
  listener is told `disconnected`, and `connected` when messages can get through again.
* Its queues are bounded: `send` answers False when a message was not taken.
* The listener is called on the event loop and never from inside `send` or `set_members`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raft.batch import Peer
    from raft.messages import Message


class Listener(Protocol):
    """Who is told what comes from other members: the driver."""

    def received(self, member: int, message: Message) -> None:
        """A message from a member; any id of this cluster that was not removed."""

    def connected(self, member: int, *, births: Mapping[int, int]) -> None:
        """Messages can be exchanged with the member from now on.

        `births`: those that it has on record, by member (see `raft.births`).
        """

    def disconnected(self, member: int) -> None:
        """The connection is gone, and what was on its way with it."""

    def removed(self) -> None:
        """A member says that we have been removed from the cluster for good."""


class PeerTransport(Protocol):
    """Carries messages to the other members."""

    def start(self, listener: Listener) -> None:
        """Begin to connect and to listen; must be called on the event loop."""

    def set_members(self, peers: Sequence[Peer]) -> None:
        """The other members whom to keep a connection with; who is not among them is let go of.

        Members that are not among them (yet) may still connect to us.
        """

    def send(self, member: int, message: Message) -> bool:
        """Send, or answer False: not connected, or too much is waiting already."""

    def connected_since(self, member: int) -> float | None:
        """The loop's time at which the live connection came to be; None without one."""

    async def stop(self) -> None:
        """Close all connections."""


class Alone:
    """The transport of a cluster of one that nobody can reach: there is nobody to talk to."""

    def start(self, listener: Listener) -> None:
        """Do nothing."""

    def set_members(self, peers: Sequence[Peer]) -> None:
        """Do nothing."""

    def send(self, member: int, message: Message) -> bool:
        return False

    def connected_since(self, member: int) -> float | None:
        return None

    async def stop(self) -> None:
        """Do nothing."""
