"""Goal: the right interface is chosen. Method: a host on paper, one case per row of the table."""

from ipaddress import IPv4Address

import pytest

from flannel.device import Vxlan, difference
from flannel.interfaces import (
    EVERYWHERE,
    External,
    Host,
    InterfaceError,
    choose,
    own_addresses,
)
from flannel.kernel import Link
from flannel.tables import Address, Route
from tests.flannel.sample import US, net

LINKS = [
    Link(1, "lo", 65536, "", ""),
    Link(2, "eth0", 1500, "", ""),
    Link(3, "eth1", 9000, "", ""),
    Link(4, "eth2", 1500, "", ""),
    Link(5, "eth3", 0, "", ""),
]
ADDRESSES = [
    Address(1, IPv4Address("127.0.0.1"), 8, is_global=False, is_link_local=False),
    Address(2, IPv4Address("10.0.2.15"), 24, is_global=True, is_link_local=False),
    Address(3, IPv4Address("169.254.3.4"), 16, is_global=True, is_link_local=True),
    Address(3, IPv4Address("172.17.8.101"), 24, is_global=True, is_link_local=False),
    Address(3, IPv4Address("172.17.8.201"), 24, is_global=True, is_link_local=False),
    Address(5, IPv4Address("10.9.9.9"), 24, is_global=True, is_link_local=False),
]
ROUTES = [
    Route(net("10.0.2.0/24"), None, 2),
    Route(EVERYWHERE, IPv4Address("10.0.2.2"), 2),
]
HOST = Host(LINKS, ADDRESSES, ROUTES)


@pytest.mark.parametrize(
    ("names", "patterns", "name", "address"),
    [
        ([], [], "eth0", "10.0.2.15"),
        (["eth1"], [], "eth1", "172.17.8.101"),
        (["172.17.8.201"], [], "eth1", "172.17.8.201"),
        (["nosuch", "eth2", "eth1"], [], "eth1", "172.17.8.101"),
        ([], ["^172\\.17"], "eth1", "172.17.8.101"),
        ([], ["eth[1-9]"], "eth1", "172.17.8.101"),
        ([], [r"^eth[[:digit:]]\z"], "eth0", "10.0.2.15"),
        (["nosuch"], ["nosuch", "eth0"], "eth0", "10.0.2.15"),
        ([""], [], "eth0", "10.0.2.15"),
        (["nosuch", "", "eth1"], [], "eth0", "10.0.2.15"),
        (["eth1", ""], [], "eth1", "172.17.8.101"),
        ([], [""], "eth0", "10.0.2.15"),
        (["eth2"], ["nosuch", "", "eth1"], "eth0", "10.0.2.15"),
    ],
)
def test_the_choice(names: list[str], patterns: list[str], name: str, address: str) -> None:
    """The table."""
    chosen = choose(HOST, names, patterns)
    assert (chosen.link.name, str(chosen.address)) == (name, address)
    assert chosen.public_ip == chosen.address


def test_a_link_local_address_will_do() -> None:
    """If there is no other."""
    host = Host(LINKS, ADDRESSES[:3], ROUTES)
    assert str(choose(host, ["eth1"], []).address) == "169.254.3.4"


def test_the_public_ip_may_be_another() -> None:
    """Behind NAT."""
    chosen = choose(HOST, ["eth1"], [], "192.0.2.7")
    assert (str(chosen.address), str(chosen.public_ip)) == ("172.17.8.101", "192.0.2.7")


@pytest.mark.parametrize(
    ("names", "patterns", "public_ip", "complaint"),
    [
        (["eth2"], [], "", "interface eth2 has no IPv4 address"),
        (["lo"], [], "", "interface lo has only 127.0.0.1, which no other host can reach"),
        (["eth9"], [], "", "no interface is named eth9"),
        (["10.1.1.1"], [], "", "no interface has the address 10.1.1.1"),
        ([], ["wlan"], "", "no interface matches 'wlan'"),
        ([], ["("], "", "-iface-regex '(' cannot be used as a regular expression: missing )"),
        ([], [r"eth\pN"], "", r"-iface-regex 'eth\pN' cannot be used as a regular expression: bad"),
        ([], [r"^wlan\d"], "", r"no interface matches '^wlan\d'"),
        (["eth1"], [], "nonsense", "invalid public IP address: nonsense"),
        (["eth1"], [], "0.0.0.0", "invalid public IP address: 0.0.0.0 is no address that other"),
        (
            ["eth1"],
            [],
            "127.0.0.1",
            "invalid public IP address: 127.0.0.1 is no address that other",
        ),
        (["127.0.0.1"], [], "", "the address 127.0.0.1 is one that no other host can reach"),
        (["127.0.0.1"], [], "192.0.2.7", "the address 127.0.0.1 is one that no other host can"),
        (["eth1"], [], "224.0.0.1", "invalid public IP address: 224.0.0.1 is no address"),
        (["eth3"], [], "", "failed to determine MTU for eth3 interface"),
    ],
)
def test_no_choice(names: list[str], patterns: list[str], public_ip: str, complaint: str) -> None:
    """Each with its reason."""
    with pytest.raises(InterfaceError) as caught:
        choose(HOST, names, patterns, public_ip)
    assert complaint in str(caught.value)


def test_no_default_route() -> None:
    """-iface is suggested; an interface without an address is named."""
    with pytest.raises(
        InterfaceError, match=r"unable to find default route \(name one with -iface"
    ):
        choose(Host(LINKS, ADDRESSES, ROUTES[:1]), [], [])
    with pytest.raises(InterfaceError, match=r"eth0 has no IPv4 address \(the default"):
        choose(Host(LINKS, ADDRESSES[2:], ROUTES), [], [])
    nowhere = Host(LINKS, ADDRESSES, ROUTES[:1])
    assert choose(nowhere, ["", "eth1"], []).link.name == "eth1"
    for names, patterns in (["nosuch", ""], []), (["nosuch"], [""]):
        with pytest.raises(InterfaceError, match=r"is named nosuch; unable to find default route"):
            choose(nowhere, names, patterns)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, ""),
        ({"vni": 2}, "vni: 1 vs 2"),
        ({"parent": 4}, "vtep (external) interface: 3 vs 4"),
        ({"local": IPv4Address("10.0.2.15")}, "vtep (external) IP: 172.17.8.101 vs 10.0.2.15"),
        ({"group": "239.1.1.1"}, "group address: none vs 239.1.1.1"),
        ({"l2miss": True}, "l2miss: False vs True"),
        ({"gbp": True}, "gbp: False vs True"),
        ({"port": 4789}, "port: 8472 vs 4789"),
        ({"learning": True}, "learning: False vs True"),
    ],
)
def test_which_vxlan_devices_are_kept(found: dict[str, object], reason: str) -> None:
    """One that differs in nothing that counts."""
    wanted = {"vni": 1, "parent": 3, "local": IPv4Address("172.17.8.101"), "port": 8472}
    assert difference(Vxlan(**wanted), Vxlan(**(wanted | found))) == reason  # type: ignore[arg-type]


async def test_which_own_addresses_no_lease_may_cover() -> None:
    """Those of the outer interface and of others; not of containers' bridges and flannel's own."""

    class Paper:
        async def links(self) -> list[Link]:
            bridges = [Link(6, "docker0", 1450, "", "bridge"), Link(7, "br0", 1500, "", "bridge")]
            return [*LINKS[1:3], *bridges, Link(8, "flannel.1", 1450, "", "vxlan")]

        async def addresses(self) -> list[Address]:
            more = [(6, "172.24.42.1"), (7, "10.9.9.9"), (8, "172.24.42.0")]
            return ADDRESSES[1:3] + [
                Address(index, IPv4Address(text), 24, is_global=True, is_link_local=False)
                for index, text in more
            ]

    br0 = External(Link(7, "br0", 1500, "", "bridge"), IPv4Address("10.9.9.9"), US)
    own = await own_addresses(Paper(), br0)  # type: ignore[arg-type]
    assert [str(one) for one in own] == ["10.0.2.15/24", "169.254.3.4/16", "10.9.9.9/24"]
