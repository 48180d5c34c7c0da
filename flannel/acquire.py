"""Getting a subnet: which step to take next, given what is leased.

| first that applies                                  | step                                  |
|-----------------------------------------------------|---------------------------------------|
| a lease with our public IP, allowed by the config   | reuse it (a reservation stays one)    |
| a lease with our public IP, not allowed             | remove it, then look again            |
| the previous subnet is leased, and allowed          | take it over, whoever had it          |
| the previous subnet is free, and allowed            | create it                             |
| something is free that is not on a wire of this     | create one of the first hundred       |
| host, or at least without its address, and without  |                                       |
| the store's                                         |                                       |
| nothing is free                                     | exhausted                             |

Taking over a previous subnet without asking who has it is flanneld's way: a host whose address
changed keeps its containers' network. A subnet file copied to another host steals that lease, so
this is said aloud. A lease of another host that does not fit the config is left alone, where
flanneld deletes it.

Laws: pure; chance is handed in; a subnet whose value nobody can read counts as taken.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from flannel import ip
from flannel.config import NetworkConfig
from flannel.lease import Lease

TRIES_MAX = 10
"""Steps before giving up; another try is due only when somebody else was faster."""
BAG_SIZE = 100
"""Free subnets to choose from."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """Write our attributes over this lease, if it is still as we saw it."""

    lease: Lease
    why: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete this lease of ours."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Create:
    """Create this lease, if nobody has by then."""

    subnet: IPv4Network
    why: str


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Every subnet is taken."""

    why: str


Step = Reuse | Remove | Create | Exhausted
Choose = Callable[[Sequence[IPv4Network]], IPv4Network]


def next_step(
    config: NetworkConfig,
    leases: Collection[Lease],
    unreadable: Collection[IPv4Network],
    public_ip: IPv4Address,
    previous: IPv4Network | None,
    choose: Choose,
    avoided: Collection[IPv4Interface] = (),
) -> Step:
    """The table above; `avoided` are this host's addresses but flannel's, and the store's."""
    ours = next((lease for lease in leases if lease.attributes.public_ip == public_ip), None)
    if ours:
        if config.allows(ours.subnet):
            return Reuse(ours, f"Found lease ({ours.subnet}) for current IP ({public_ip}), reusing")
        return Remove(ours)
    leased = [*(lease.subnet for lease in leases), *unreadable]
    if previous and config.allows(previous):
        held = next((lease for lease in leases if lease.subnet == previous), None)
        if held:
            owner = held.attributes.public_ip
            return Reuse(
                held,
                f"Found lease ({previous}) of {owner} matching previously leased subnet, taking "
                f"it over: {owner} must not use it any more (was the subnet file copied?)",
            )
        if not any(previous.overlaps(other) for other in leased):
            return Create(previous, f"Found previously leased subnet ({previous}), reusing")
    own = [one for one in avoided if one.network.overlaps(config.network)]
    # A wire may be as wide as the Network. Then the routes into it, which are longer, go first.
    free = _free(config, [*leased, *(one.network for one in own)]) or _free(
        config, [*leased, *(IPv4Network(one.ip) for one in own)]
    )
    but = f" (not with this host's own, or the store's, {', '.join(map(str, own))})" if own else ""
    if not free:
        return Exhausted(
            f"out of subnets: all {config.subnet_length}-bit subnets from {config.subnet_min} "
            f"to {config.subnet_max} are leased{but}"
        )
    return Create(
        choose(free), f"Picking subnet in range {config.subnet_min} ... {config.subnet_max}{but}"
    )


def _free(config: NetworkConfig, taken: Collection[IPv4Network]) -> list[IPv4Network]:
    return ip.free_subnets(
        config.subnet_min, config.subnet_max, config.subnet_length, taken, BAG_SIZE
    )
