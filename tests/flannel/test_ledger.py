"""Goal: additions and removals follow from events and listings, all of them and only them.

Method: a random history is replayed through events and listings; whoever applies the changes must
end with the same leases.
"""

import random
from typing import TYPE_CHECKING

from flannel.ledger import Added, Change, Ledger, Removed
from tests.flannel.sample import MAC, OTHER_MAC, lease, net

if TYPE_CHECKING:
    from flannel.lease import Lease


def test_a_renewal_is_an_addition_again() -> None:
    """So that a route somebody removed comes back."""
    ledger = Ledger()
    one = lease("10.5.1.0/24")
    assert ledger.put(one) == Added(one)
    assert ledger.put(one) == Added(one)
    assert ledger.drop(one.subnet) == [Removed(one)]
    assert ledger.drop(one.subnet) == []


def test_a_listing_is_compared_in_all_attributes() -> None:
    """Same subnet and address, another MAC; another expiry is nothing."""
    ledger = Ledger()
    before = lease("10.5.1.0/24", mac=MAC)
    ledger.put(before)
    after = lease("10.5.1.0/24", mac=OTHER_MAC, index=9)
    assert ledger.replace([after], []) == [Added(after)]
    assert ledger.replace([lease("10.5.1.0/24", mac=OTHER_MAC, ttl_s=5, index=10)], []) == []


def test_what_became_unreadable_is_kept() -> None:
    """The host is still there."""
    ledger = Ledger()
    one = lease("10.5.1.0/24")
    ledger.put(one)
    assert ledger.replace([], [one.subnet]) == []
    assert ledger.leases() == [one]
    assert ledger.replace([], []) == [Removed(one)]


def test_events_and_listings_come_to_the_same() -> None:
    """A thousand steps, some of them missed and made up for by a listing."""
    chance = random.Random(25)
    ledger = Ledger()
    stored: dict[str, Lease] = {}
    applied: dict[str, Lease] = {}

    def apply(changes: list[Change]) -> None:
        for change in changes:
            key = str(change.lease.subnet)
            if isinstance(change, Removed):
                assert applied.pop(key).attributes == change.lease.attributes
            else:
                applied[key] = change.lease

    for step in range(1000):
        key = f"10.5.{chance.randrange(12)}.0/24"
        missed = chance.random() < 0.3
        if chance.random() < 0.4:
            stored.pop(key, None)
            changes: list[Change] = [] if missed else [*ledger.drop(net(key))]
        else:
            stored[key] = lease(key, mac=chance.choice([MAC, OTHER_MAC]), index=step)
            changes = [] if missed else [ledger.put(stored[key])]
        apply(changes)
        if missed:
            apply(ledger.replace(list(stored.values()), []))
        assert {k: v.attributes for k, v in applied.items()} == {
            k: v.attributes for k, v in stored.items()
        }
