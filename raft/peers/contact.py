"""All there is between this member and one other.

Law: at most one live link and one attempt at one, and never both.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from raft.peers.collision import Standing

if TYPE_CHECKING:
    from raft.peers.dialer import Dialer
    from raft.peers.handshake import Hello
    from raft.peers.link import Counters, Link

DISPLACED_MAX: Final = 16


@dataclass(slots=True)
class Contact:
    """One other member, as far as connections go."""

    member: int
    dialer: Dialer
    counters: Counters
    is_told: bool = False
    """Whether we were told of it; otherwise it is a stranger, who has come by itself."""
    link: Link | None = None
    seen: tuple[int, int] | None = None
    """The incarnation and number of its last attempt that reached us."""
    displaced: deque[int] = field(default_factory=lambda: deque(maxlen=DISPLACED_MAX))
    """The incarnations whose connection another one's has taken the place of, since there was one
    without a break.
    """

    def standing(self) -> Standing:
        """Return what a request from the member meets."""
        live = self.link.origin if self.link is not None else None
        return Standing(live, self.dialer.asked, self.seen)

    def saw(self, hello: Hello) -> None:
        """Take note of an attempt that has reached us."""
        seen = self.seen
        if seen is None or seen[0] != hello.incarnation or seen[1] < hello.dial:
            self.seen = hello.incarnation, hello.dial
