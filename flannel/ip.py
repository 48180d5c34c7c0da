"""Arithmetic of IPv4 networks: which subnets a network is cut into, and which are free.

Laws: pure; subnets are `IPv4Network`s without host bits; a walk is bounded by the number asked for,
whatever the size of the network.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

ADDRESS_BITS = 32
MTU_MIN = 68
"""What every way must carry (RFC 791), bytes."""


def is_host(address: IPv4Address) -> bool:
    """Whether it can be the address of a host that others reach."""
    return not (
        address.is_multicast
        or address.is_loopback
        or address.is_unspecified
        or int(address) == (1 << ADDRESS_BITS) - 1
    )


def subnet_size(length: int) -> int:
    """How many addresses a subnet with that prefix length has."""
    return 1 << (ADDRESS_BITS - length)


def is_aligned(address: IPv4Address, length: int) -> bool:
    """Whether a subnet with that prefix length can begin at the address."""
    return int(address) % subnet_size(length) == 0


def aligned_around(address: IPv4Address, length: int) -> list[IPv4Address]:
    """The beginnings of the subnet with that prefix length an address is in, and of the next."""
    size = subnet_size(length)
    start = int(address) - int(address) % size
    return [IPv4Address(one) for one in (start, start + size) if one < 1 << ADDRESS_BITS]


def subnets(first: IPv4Address, last: IPv4Address, length: int) -> Iterator[IPv4Network]:
    """The subnets from the one that begins at `first` to the one that begins at `last`."""
    for start in range(int(first), int(last) + 1, subnet_size(length)):
        yield IPv4Network((start, length))


def free_subnets(
    first: IPv4Address,
    last: IPv4Address,
    length: int,
    taken: Collection[IPv4Network],
    limit: int,
) -> list[IPv4Network]:
    """The first `limit` subnets of the range that overlap none of `taken`, in order.

    Leases of another length count with every subnet they touch. Whole runs of taken addresses are
    jumped over, so that one lease of half the network costs one step.
    """
    found: list[IPv4Network] = []
    size = subnet_size(length)
    occupied = _merged(taken)
    start, stop, at = int(first), int(last), 0
    while start <= stop and len(found) < limit:
        while at < len(occupied) and occupied[at][1] < start:
            at += 1
        if at < len(occupied) and occupied[at][0] < start + size:
            start += -(-(occupied[at][1] + 1 - start) // size) * size
        else:
            found.append(IPv4Network((start, length)))
            start += size
    return found


def first_within(subnet: IPv4Network, ordered: Sequence[IPv4Address]) -> IPv4Address | None:
    """The lowest of the addresses, which are in order, that is in the subnet."""
    at = bisect_left(ordered, subnet.network_address)
    return ordered[at] if at < len(ordered) and ordered[at] in subnet else None


def host_address(subnet: IPv4Network) -> IPv4Address:
    """The first host of a subnet: the address of the containers' bridge."""
    return subnet.network_address + 1


def _merged(taken: Collection[IPv4Network]) -> list[tuple[int, int]]:
    """First and last address of each taken run, in order, none overlapping."""
    runs: list[tuple[int, int]] = []
    for network in sorted(taken):
        first, last = int(network.network_address), int(network.broadcast_address)
        if runs and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(runs[-1][1], last))
        else:
            runs.append((first, last))
    return runs
