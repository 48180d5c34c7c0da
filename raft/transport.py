"""The seam to the other members.

Law: a transport carries typed messages between members whose identity it has checked; the engine
behind it never sees bytes from a network, and nothing is ever unpickled.
"""

from __future__ import annotations

from typing import Protocol


class PeerTransport(Protocol):
    """Carries the engine's messages to a member; the answer is whether it was worth trying."""

    def send(self, member: str, message: dict[str, object]) -> bool: ...


class Alone:
    """The transport of a cluster of one: there is nobody to talk to."""

    def send(self, member: str, message: dict[str, object]) -> bool:
        return False
