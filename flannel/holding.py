"""Keeping a subnet: what is known of our own lease, when to renew it, what news of it mean.

| news of our key                            | finding  | and then                               |
|--------------------------------------------|----------|----------------------------------------|
| older than our last write                  | STALE    | nothing                                |
| it is gone                                 | REVOKED  | the daemon ends                        |
| our attributes, we wrote them              | RENEWED  | the time starts anew                   |
| our attributes, somebody else wrote them   | SHARED   | the same, and it is said               |
| our public IP, other backend data          | RIVAL    | another daemon has our public IP: said |
| another public IP                          | TAKEN    | said; never renewed, so never fought   |
| a value nobody can read, on our lease      | GARBLED  | renewed at once: others need it        |
| the same, after RIVAL or TAKEN             | ANOTHERS | said; its owner's to write anew        |

A lease is renewed when `margin_s` or less of its time is left; after a failed try a minute later.
Time is the seconds since boot, sleep included, counted from before the request was sent: no wall
clock takes part, the store's expiration is only looked at as seconds left.

Laws: pure; a holding is a value. A reservation is never due.
"""

import enum
import math
from dataclasses import dataclass, replace

from flannel.lease import Attributes, Lease

RETRY_S = 60.0


class Finding(enum.Enum):
    """What news of our own key mean."""

    STALE = enum.auto()
    REVOKED = enum.auto()
    RENEWED = enum.auto()
    SHARED = enum.auto()
    RIVAL = enum.auto()
    TAKEN = enum.auto()
    GARBLED = enum.auto()
    ANOTHERS = enum.auto()


@dataclass(frozen=True, slots=True)
class News:
    """Our key at an index: gone, unreadable, or with a value."""

    index: int
    gone: bool = False
    attributes: Attributes | None = None
    ttl_s: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """Our own lease, as far as is known."""

    lease: Lease
    since_s: float
    """Seconds since boot when its ttl began to run."""
    not_before_s: float = 0.0
    """Earliest time of the next try."""
    is_ours: bool = True
    """Whether the value in the store is the one we wrote."""
    is_doubtful: bool = False
    """Whether a write of ours may have arrived without our knowing."""
    is_overdue: bool = False
    """Whether it is to be written anew whatever its time."""

    def due_in(self, now_s: float, margin_s: float) -> float:
        """Seconds until it is to be renewed; infinite if never."""
        if not self.is_ours or (self.lease.is_reservation and not self.is_overdue):
            return math.inf
        due_s = 0.0 if self.is_overdue else self.since_s + self.lease.ttl_s - margin_s
        return max(max(due_s, self.not_before_s) - now_s, 0.0)

    def written(self, lease: Lease, sent_s: float) -> "Holding":
        """After a write that was confirmed. A store that gives less time than asked for is not
        written to as fast as it can."""
        return Holding(lease, sent_s, not_before_s=sent_s + RETRY_S)

    def failed(self, now_s: float) -> "Holding":
        """After a write that was not."""
        return replace(self, not_before_s=now_s + RETRY_S, is_doubtful=True)

    def hear(self, news: News, now_s: float) -> tuple["Holding", Finding]:
        """The table above."""
        if news.index <= self.lease.index:
            return self, Finding.STALE
        if news.gone:
            return self, Finding.REVOKED
        if news.attributes is None:
            spoilt = replace(self.lease, index=news.index)
            if not self.is_ours:
                return replace(self, lease=spoilt), Finding.ANOTHERS
            overdue = replace(self, lease=spoilt, not_before_s=0.0, is_overdue=True)
            return overdue, Finding.GARBLED
        known = replace(self.lease, index=news.index, ttl_s=news.ttl_s)
        heard = Holding(known, now_s)
        if news.attributes == self.lease.attributes:
            return heard, Finding.RENEWED if self.is_doubtful else Finding.SHARED
        if news.attributes.public_ip == self.lease.attributes.public_ip:
            return replace(heard, is_ours=False), Finding.RIVAL
        return replace(heard, is_ours=False), Finding.TAKEN
