"""Goal: every lease that can be served is, whatever the others are like.

Method: a data path on paper that remembers what it was asked and refuses when told to.
"""

import asyncio
import errno
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

import pytest

from flannel.interfaces import External
from flannel.kernel import KernelError, Link
from flannel.lease import Lease, LeaseError
from flannel.peers import Peers
from flannel.registry import Gone, Listing, Put, Spoilt
from tests.flannel.sample import MAC, OTHER, OTHER_MAC, US, lease, net

NETWORK = net("10.5.0.0/16")
OWN = "10.5.7.0/24"
ETH1 = Link(index=2, name="eth1", mtu=1500, mac="06:00:00:00:00:01", kind="")


@dataclass
class Paper:
    """A vxlan-like data path."""

    kind: str = "vxlan"
    mtu: int = 1450
    refuses: set[str] = field(default_factory=set)
    served: dict[str, str] = field(default_factory=dict)
    begun: list[list[str]] = field(default_factory=list)

    async def prepare(self) -> str:
        return ""

    async def start(self, subnet: IPv4Network) -> None:
        pass

    async def undo(self) -> None:
        pass

    async def begin(self, leases: Collection[Lease]) -> None:
        self.begun.append(sorted(str(one.subnet) for one in leases))
        if "begin" in self.refuses:
            raise KernelError("listing", errno.ENOBUFS)

    async def add(self, lease: Lease) -> None:
        if str(lease.subnet) in self.refuses:
            raise KernelError("setting the route", errno.ENOBUFS)
        if not lease.attributes.backend_data:
            raise LeaseError("BackendData has no VtepMAC")
        self.served[str(lease.subnet)] = lease.attributes.backend_data

    async def remove(self, lease: Lease) -> None:
        self.served.pop(str(lease.subnet), None)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def serves(self, lease: Lease) -> bool:
        return lease.attributes.backend_type == self.kind


def listing(*leases: Lease) -> Listing:
    """All there are."""
    return Listing(leases, frozenset(), 100)


@pytest.fixture
def paper() -> Paper:
    """A data path."""
    return Paper()


@pytest.fixture
def peers(paper: Paper) -> Peers:
    """Its other hosts."""
    return Peers(
        paper, NETWORK, net(OWN), External(ETH1, IPv4Address("10.5.8.4"), US), addresses, store
    )


async def addresses() -> list[IPv4Address]:
    """This host's."""
    return [IPv4Address("127.0.0.1"), IPv4Address("10.5.8.4")]


async def store() -> list[IPv4Address]:
    """The store's."""
    return [IPv4Address("10.5.30.1"), IPv4Address("172.17.8.1")]


async def test_who_is_served(peers: Peers, paper: Paper, caplog: pytest.LogCaptureFixture) -> None:
    """Not we, not another lease of our own address, not another kind, none without a MAC, none that
    is no part of the Network, or has our own address, the store's or its own host's in it."""
    everybody = listing(
        lease("10.5.1.0/24", mac=MAC),
        lease(OWN, US, mac=MAC),
        lease("10.5.2.0/24", US, mac=MAC),
        lease("10.5.3.0/24", kind="host-gw"),
        lease("10.5.4.0/24"),
        lease("10.5.5.0/24", kind="vxlan"),
        lease("10.5.6.0/24", mac=OTHER_MAC),
        lease("172.17.8.0/24", mac=MAC),
        lease("0.0.0.0/0", mac=MAC),
        lease("10.5.0.0/16", mac=MAC),
        lease("10.5.8.0/24", mac=MAC),
        lease("10.5.7.128/25", mac=MAC),
        lease("10.5.4.0/22", mac=MAC),
        lease("10.5.30.0/24", mac=MAC),
        lease("10.5.31.0/24", IPv4Address("10.5.31.9"), mac=MAC),
    )
    for _ in range(2):
        await peers.hear(everybody)
        assert sorted(paper.served) == ["10.5.1.0/24", "10.5.6.0/24"]
    assert paper.begun == [["10.5.1.0/24", "10.5.5.0/24", "10.5.6.0/24"]]
    ignored = [one.getMessage() for one in caplog.records if one.levelname != "INFO"]
    assert len(ignored) == 12
    assert "Ignoring lease of 172.17.8.0/24: it is no part of the Network 10.5.0.0/16" in ignored
    assert "Ignoring lease of 10.5.30.0/24: the store's address 10.5.30.1 is in it" in ignored
    assert "Ignoring lease of 10.5.31.0/24: its own public IP 10.5.31.9 is in it" in ignored
    assert "Ignoring lease of 10.5.8.0/24: this host's own address 10.5.8.4 is in it" in ignored
    assert (
        "Ignoring lease of 10.5.2.0/24: it has this host's own public IP 172.17.8.101 (another "
        "host with it? give each its own -iface or -public-ip, then restart both)"
    ) in ignored
    for inside_or_around in ("10.5.7.128/25", "10.5.4.0/22"):
        why = "it overlaps this host's own subnet 10.5.7.0/24"
        assert f"Ignoring lease of {inside_or_around}: {why}" in ignored


async def test_a_public_ip_that_this_host_has_too(
    peers: Peers, paper: Paper, caplog: pytest.LogCaptureFixture
) -> None:
    """As 10.0.2.15 is on all of Vagrant's hosts: packets to that one would come back to us."""
    await peers.hear(listing(lease("10.5.1.0/24", IPv4Address("10.5.8.4"), mac=MAC)))
    assert paper.served == {}
    assert "its public IP 10.5.8.4 is an address of this host too" in caplog.text


async def test_what_the_kernel_refused_is_tried_again_at_the_next_listing(
    peers: Peers, paper: Paper
) -> None:
    """And does not keep the others."""
    paper.refuses = {"begin", "10.5.1.0/24"}
    both = listing(lease("10.5.1.0/24", mac=MAC), lease("10.5.2.0/24", mac=MAC))
    await peers.hear(both)
    assert sorted(paper.served) == ["10.5.2.0/24"]
    paper.refuses = set()
    await peers.hear(both)
    assert sorted(paper.served) == ["10.5.1.0/24", "10.5.2.0/24"]
    await peers.hear(both)
    assert len(paper.begun) == 2


async def test_events(peers: Peers, paper: Paper) -> None:
    """Added, changed, changed to another kind, gone; a spoilt one stays as it was."""
    await peers.hear(listing())
    await peers.hear(Put(lease("10.5.1.0/24", mac=MAC), 101))
    assert paper.served == {"10.5.1.0/24": f'{{"VtepMAC":"{MAC}"}}'}
    await peers.hear(Put(lease("10.5.1.0/24", mac=OTHER_MAC), 102))
    assert paper.served == {"10.5.1.0/24": f'{{"VtepMAC":"{OTHER_MAC}"}}'}
    await peers.hear(Spoilt(net("10.5.1.0/24"), 103))
    assert paper.served
    await peers.hear(Put(lease("10.5.1.0/24", OTHER, kind="host-gw"), 104))
    assert paper.served == {}
    await peers.hear(Put(lease("10.5.2.0/24", mac=MAC), 105))
    await peers.hear(Gone(net("10.5.9.0/24"), 106))
    await peers.hear(Gone(net("10.5.2.0/24"), 107))
    await peers.hear(Gone(net(OWN), 108))
    assert paper.served == {}


async def test_an_address_of_this_host_is_in_the_way_while_it_is_there(paper: Paper) -> None:
    """Of whatever interface: the lease is served when it has gone, and no more when it is back."""
    own = {IPv4Address("10.5.9.1"), IPv4Address("192.0.2.1")}

    async def look() -> set[IPv4Address]:
        return own

    peers = Peers(
        paper, NETWORK, net(OWN), External(ETH1, IPv4Address("172.17.8.101"), US), look, store
    )
    both = listing(lease("10.5.9.0/24", mac=MAC), lease("10.5.8.0/24", mac=MAC))
    await peers.hear(both)
    assert sorted(paper.served) == ["10.5.8.0/24"]
    own.clear()
    await peers.hear(both)
    assert sorted(paper.served) == ["10.5.8.0/24", "10.5.9.0/24"]
    own.add(IPv4Address("10.5.9.255"))
    await peers.hear(both)
    assert sorted(paper.served) == ["10.5.8.0/24"]
    own.add(IPv4Address("10.5.8.1"))
    await peers.hear(Put(lease("10.5.8.0/24", mac=MAC), 101))
    assert paper.served == {}


async def test_a_store_that_was_set_back_drops_nobody(paper: Paper) -> None:
    """What it lacks is served for a day, or until somebody has a part of the subnet."""
    now_s = [0.0]
    external = External(ETH1, IPv4Address("10.5.8.4"), US)
    peers = Peers(paper, NETWORK, net(OWN), external, addresses, store, clock=lambda: now_s[0])
    subnets = ["10.5.1.0/24", "10.5.2.0/24", "10.5.3.0/24", "10.5.4.0/24"]
    await peers.hear(listing(*(lease(one, mac=MAC) for one in subnets)))
    await peers.settle(listing(lease("10.5.1.0/24", mac=OTHER_MAC)))
    assert sorted(paper.served) == subnets
    assert OTHER_MAC in paper.served["10.5.1.0/24"]
    there = [lease("10.5.1.0/24", mac=OTHER_MAC), lease("10.5.2.0/25", mac=MAC)]
    await peers.hear(Put(lease("10.5.3.0/24", mac=MAC), 5))
    await peers.hear(listing(*there, lease("10.5.3.0/24", mac=MAC)))
    assert sorted(paper.served) == ["10.5.1.0/24", "10.5.2.0/25", *subnets[2:]]
    await peers.hear(listing(*there))
    assert sorted(paper.served) == ["10.5.1.0/24", "10.5.2.0/25", "10.5.4.0/24"]
    now_s[0] = 24 * 3600.0
    await peers.hear(listing(*there))
    assert sorted(paper.served) == ["10.5.1.0/24", "10.5.2.0/25"]
