"""Goal: which subnet is asked for. Method: every row of the decision table, with its neighbours."""

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv4Network

from flannel.acquire import BAG_SIZE, Create, Exhausted, Remove, Reuse, Step, next_step
from flannel.lease import Lease
from tests.flannel.sample import OTHER, US, lease, net, network


class Chance:
    """Takes the last, and remembers what there was to choose from."""

    def __init__(self) -> None:
        self.bag: Sequence[IPv4Network] = ()

    def __call__(self, bag: Sequence[IPv4Network]) -> IPv4Network:
        self.bag = bag
        return bag[-1]


def decide(
    leases: list[Lease],
    *,
    previous: str = "",
    unreadable: tuple[str, ...] = (),
    chance: Chance | None = None,
    limits: dict[str, str] | None = None,
) -> Step:
    """The next step in 10.5.0.0/16."""
    spoilt = [net(text) for text in unreadable]
    before = net(previous) if previous else None
    return next_step(network(**limits or {}), leases, spoilt, US, before, chance or Chance())


def test_a_lease_with_our_address_is_used_again() -> None:
    """Whatever else there is; a reservation is one too."""
    ours = lease("10.5.7.0/24", US)
    step = decide([lease("10.5.6.0/24"), ours], previous="10.5.6.0/24")
    assert isinstance(step, Reuse)
    assert step.lease == ours
    assert step.why == "Found lease (10.5.7.0/24) for current IP (172.17.8.101), reusing"
    reserved = lease("10.5.7.0/24", US, ttl_s=0)
    step = decide([reserved])
    assert isinstance(step, Reuse)
    assert step.lease.is_reservation


def test_a_lease_with_our_address_that_does_not_fit_is_removed() -> None:
    """Another length, or outside of Min and Max."""
    for text in ("10.5.8.0/22", "10.6.1.0/24", "10.5.0.0/24"):
        step = decide([lease(text, US)])
        assert isinstance(step, Remove), text
        assert step.lease.subnet == net(text)


def test_the_previous_subnet_is_created_again() -> None:
    """If nobody has it."""
    step = decide([lease("10.5.6.0/24")], previous="10.5.9.0/24")
    assert step == Create(
        net("10.5.9.0/24"), "Found previously leased subnet (10.5.9.0/24), reusing"
    )


def test_the_previous_subnet_is_taken_over_and_it_is_said() -> None:
    """flanneld does not ask who has it; we name who must not use it any more."""
    step = decide([lease("10.5.9.0/24", OTHER)], previous="10.5.9.0/24")
    assert isinstance(step, Reuse)
    assert step.lease.attributes.public_ip == OTHER
    assert "172.17.8.102 must not use it any more" in step.why


def test_a_previous_subnet_that_does_not_fit_is_ignored() -> None:
    """And the lease of whoever has it stays."""
    step = decide([lease("10.7.1.0/24", OTHER)], previous="10.7.1.0/24")
    assert isinstance(step, Create)
    assert step.subnet.subnet_of(net("10.5.0.0/16"))


def test_one_of_the_first_hundred_free_ones_is_chosen() -> None:
    """In an empty /16 the third octet is 1 to 100."""
    chance = Chance()
    step = decide([], chance=chance)
    assert isinstance(step, Create)
    assert [str(subnet) for subnet in chance.bag] == [f"10.5.{n}.0/24" for n in range(1, 101)]
    assert len(chance.bag) == BAG_SIZE


def test_subnets_of_leases_and_of_unreadable_keys_are_taken() -> None:
    """Leases of another length too."""
    chance = Chance()
    decide(
        [lease("10.5.1.128/25"), lease("10.5.4.0/22")],
        unreadable=("10.5.2.0/24",),
        limits={"SubnetMax": "10.5.9.0"},
        chance=chance,
    )
    assert [str(subnet) for subnet in chance.bag] == ["10.5.3.0/24", "10.5.8.0/24", "10.5.9.0/24"]


def test_a_previous_subnet_that_somebody_has_a_part_of_is_not_asked_for() -> None:
    """Nor one that is a part of another's: leases of an earlier SubnetLen."""
    for other in ("10.5.8.0/22", "10.5.9.128/25"):
        step = decide([lease(other, OTHER)], previous="10.5.9.0/24")
        assert isinstance(step, Create)
        assert not step.subnet.overlaps(net(other))


def test_an_unreadable_previous_subnet_is_not_asked_for() -> None:
    """It would be refused ten times."""
    step = decide([], previous="10.5.9.0/24", unreadable=("10.5.9.0/24",))
    assert isinstance(step, Create)
    assert step.subnet != net("10.5.9.0/24")


def test_nothing_is_free() -> None:
    """The last one is taken."""
    limits = {"SubnetMin": "10.5.1.0", "SubnetMax": "10.5.2.0"}
    assert isinstance(decide([lease("10.5.1.0/24")], limits=limits), Create)
    taken = [lease("10.5.1.0/24"), lease("10.5.2.0/24")]
    assert isinstance(decide(taken, limits=limits), Exhausted)


def test_this_hosts_wires_are_avoided() -> None:
    """Packets to them would go to its containers; others' wires are no matter. If nothing else is
    left, only the subnet with its address is passed over. What it had before it has again."""
    chance = Chance()
    own = [IPv4Interface("10.5.2.7/23"), IPv4Interface("172.17.8.101/24")]
    step = next_step(network(), [lease("10.5.1.0/24")], [], US, None, chance, own)
    assert isinstance(step, Create)
    assert chance.bag[0] == net("10.5.4.0/24")
    assert step.why.endswith("10.5.255.0 (not with this host's own, or the store's, 10.5.2.7/23)")
    wide = [IPv4Interface("10.5.2.7/8")]
    assert isinstance(next_step(network(), [], [], US, None, chance, wide), Create)
    assert [str(one) for one in chance.bag[:2]] == ["10.5.1.0/24", "10.5.3.0/24"]
    store = IPv4Interface("10.5.1.9/32")
    assert isinstance(next_step(network(), [], [], US, None, chance, [*wide, store]), Create)
    assert str(chance.bag[0]) == "10.5.3.0/24"
    again = next_step(network(), [], [], US, net("10.5.2.0/24"), chance, own)
    assert isinstance(again, Create)
    assert again.subnet == net("10.5.2.0/24")
