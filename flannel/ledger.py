"""All leases as last heard of, and what changed: the memory behind the watch.

Laws: pure; a snapshot is compared in every attribute, so a host that came back with another MAC
while nobody listened is noticed; an addition of a lease that is known already is still told (its
kernel state is put right again); what was never added is never removed. A lease whose value became
unreadable is kept as it was: the data path stays.
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

    def leases(self) -> list[Lease]:
        """All that are known."""
        return list(self._known.values())

    def put(self, lease: Lease) -> Added:
        """A lease was written."""
        self._known[lease.subnet] = lease
        return Added(lease)

    def drop(self, subnet: IPv4Network) -> list[Removed]:
        """A lease was deleted or has expired."""
        lease = self._known.pop(subnet, None)
        return [Removed(lease)] if lease else []

    def replace(self, leases: Iterable[Lease], unreadable: Collection[IPv4Network]) -> list[Change]:
        """All leases at once, as listed: removals first, since a subnet may have moved."""
        now = {lease.subnet: lease for lease in leases}
        changes: list[Change] = []
        for subnet in [*self._known]:
            if subnet not in now and subnet not in unreadable:
                changes += self.drop(subnet)
        for lease in now.values():
            before = self._known.get(lease.subnet)
            if before is None or before.attributes != lease.attributes:
                changes.append(self.put(lease))
            else:
                self._known[lease.subnet] = lease
        return changes
