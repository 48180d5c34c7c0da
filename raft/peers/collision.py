"""Which of two connections between the same two members stays.

Both members dial, so two attempts can cross. Each side decides alone, from what it sees:

* A request is *late* if its sender made a later one that is known already: it gave this one up.
* A member dials only while it has no connection. So a request from a peer means that the peer has
  lost the connection we believe live, or has never heard of it: then it is our own attempt, and it
  crossed with this one. The request tells which, by the last attempt of ours the peer had seen.
* Of two attempts that cross, the one by the member with the lower id stays. The other member gives
  its own up when it sees the request; the lower one refuses, but only while its own request is out:
  a connection that is still being established is given up for one that is there.
* A peer of another incarnation is another process: what we had with the one before is over.

Law: pure, and with these rules both sides keep the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raft.peers.handshake import Hello


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a live connection comes from: the peer's incarnation, whose attempt it was, which."""

    incarnation: int
    is_ours: bool
    dial: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What this member has with the sender of a request.

    `live`: the connection, if there is one. `asked`: the number of our own attempt, if its request
    is out. `seen`: the incarnation and number of the peer's last attempt that reached us.
    """

    live: Origin | None
    asked: int | None
    seen: tuple[int, int] | None


def stays(hello: Hello, standing: Standing, *, member: int, incarnation: int) -> bool:
    """Tell whether this member (its id and incarnation are given) takes the connection up."""
    live, seen = standing.live, standing.seen
    if seen is not None and hello.incarnation == seen[0] and hello.dial <= seen[1]:
        return False
    if live is not None:
        if live.incarnation != hello.incarnation or not live.is_ours:
            return True
        return _knows(hello, incarnation, live.dial)
    if standing.asked is not None and member < hello.sender:
        return _knows(hello, incarnation, standing.asked)
    return True


def _knows(hello: Hello, incarnation: int, dial: int) -> bool:
    """Whether our attempt had reached the peer when it made its own."""
    seen = hello.seen
    return seen is not None and seen[0] == incarnation and seen[1] >= dial
