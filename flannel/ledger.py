"""All leases as last heard of, and what changed: the memory behind the watch.

Laws: pure; a snapshot is compared in every attribute, so a host that came back with another MAC
while nobody listened is noticed; an addition of a lease that is known already is still told (its
kernel state is put right again); what was never added is never removed. A lease whose value became
unreadable is kept as it was: the data path stays. So is, for a time, what a store that was set back
does not have, until somebody leases its subnet there.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from flannel.lease import Lease


@dataclass(frozen=True, slots=True)
class Added:
    """A lease is there, or is another now."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Removed:
    """A lease is gone."""

    lease: Lease


Change = Added | Removed


class Ledger:
    """The leases of other hosts."""

    def __init__(self) -> None:
        self._known: dict[IPv4Network, Lease] = {}
        self._kept_until_s: dict[IPv4Network, float] = {}
        """Leases that are kept though no listing has them."""

    def leases(self) -> list[Lease]:
        """All that are known."""
        return list(self._known.values())

    def put(self, lease: Lease) -> Added:
        """A lease was written."""
        self._note(lease)
        return Added(lease)

    def drop(self, subnet: IPv4Network) -> list[Removed]:
        """A lease was deleted or has expired."""
        lease = self._known.pop(subnet, None)
        self._kept_until_s.pop(subnet, None)
        return [Removed(lease)] if lease else []

    def keep_missing(self, leases: Iterable[Lease], until_s: float) -> int:
        """Keep until then what a store that was set back does not list; how many that are."""
        missing = self._known.keys() - {lease.subnet for lease in leases}
        for subnet in missing:
            self._kept_until_s.setdefault(subnet, until_s)
        return len(missing)

    def replace(
        self, leases: Iterable[Lease], unreadable: Collection[IPv4Network], now_s: float = 0.0
    ) -> list[Change]:
        """All leases at once, as listed: removals first, since a subnet may have moved."""
        now = {lease.subnet: lease for lease in leases}
        changes: list[Change] = []
        for subnet in [*self._known]:
            if not (subnet in now or subnet in unreadable or self._is_kept(subnet, now, now_s)):
                changes += self.drop(subnet)
        for lease in now.values():
            before = self._known.get(lease.subnet)
            if before is None or before.attributes != lease.attributes:
                changes.append(self.put(lease))
            else:
                self._note(lease)
        return changes

    def _note(self, lease: Lease) -> None:
        self._known[lease.subnet] = lease
        self._kept_until_s.pop(lease.subnet, None)

    def _is_kept(self, subnet: IPv4Network, now: Collection[IPv4Network], now_s: float) -> bool:
        """Whether its time is not over, and nobody has leased a part of it."""
        if now_s >= self._kept_until_s.get(subnet, now_s):
            return False
        # Subnets of one length, as all usually are, overlap only if they are the same.
        return not any(
            other.prefixlen != subnet.prefixlen and other.overlaps(subnet) for other in now
        )
