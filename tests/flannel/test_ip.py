"""Goal: free subnets are found right and fast. Method: against a plain walk, on random networks."""

import random
import time
from ipaddress import IPv4Address, IPv4Network

from flannel import ip


def plainly(
    first: IPv4Address, last: IPv4Address, length: int, taken: list[IPv4Network], limit: int
) -> list[IPv4Network]:
    """The definition."""
    found = [
        subnet
        for subnet in ip.subnets(first, last, length)
        if not any(subnet.overlaps(other) for other in taken)
    ]
    return found[:limit]


def test_free_subnets_are_those_that_overlap_no_lease() -> None:
    """Leases of every length, inside, around and beside the range."""
    chance = random.Random(5)
    for _ in range(300):
        length = chance.choice([24, 26, 28])
        network = IPv4Network("10.5.0.0/20")
        walk = list(ip.subnets(network.network_address, network.broadcast_address, length))
        first, last = sorted(chance.sample(walk, 2))
        taken = [
            IPv4Network((int(network.network_address) - 256 + chance.randrange(5000), size), False)
            for size in chance.choices([21, 22, 24, 25, 26, 28, 30, 32], k=chance.randrange(40))
        ]
        limit = chance.choice([1, 5, 100])
        ends = first.network_address, last.network_address
        assert ip.free_subnets(*ends, length, taken, limit) == plainly(*ends, length, taken, limit)


def test_a_big_taken_run_costs_one_step() -> None:
    """A /8 of /30s with the first half taken by one lease."""
    begun = time.monotonic()
    ends = IPv4Address("10.0.0.4"), IPv4Address("10.255.255.252")
    found = ip.free_subnets(*ends, 30, [IPv4Network("10.0.0.0/9")], 100)
    assert found[0] == IPv4Network("10.128.0.0/30")
    assert len(found) == 100
    assert time.monotonic() - begun < 1


def test_alignment_and_bridge_address() -> None:
    """Boundaries of subnets; the bridge has the first host's address."""
    assert ip.is_aligned(IPv4Address("10.5.3.0"), 24)
    assert not ip.is_aligned(IPv4Address("10.5.3.7"), 24)
    assert ip.host_address(IPv4Network("172.24.42.0/24")) == IPv4Address("172.24.42.1")
