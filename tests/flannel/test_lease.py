"""Goal: leases are written as flanneld writes them and read as any version wrote them.

Method: recorded keys and values, byte for byte; names and values that are nearly leases.
"""

from ipaddress import IPv4Address, IPv4Network

import pytest

from flannel.backends.vxlan import vtep_mac
from flannel.lease import Attributes, LeaseError, name_of, parse_attributes, subnet_of
from tests.flannel import recorded

VXLAN = (
    '{"PublicIP":"172.17.8.101","BackendType":"vxlan",'
    '"BackendData":{"VtepMAC":"62:76:77:99:64:d5"}}'
)


@pytest.mark.parametrize(
    "text",
    [
        VXLAN,
        '{"PublicIP":"172.17.8.101","BackendType":"host-gw"}',
        '{"PublicIP":"172.17.8.101"}',
        *(row.value for row in recorded.load() if row.value),
    ],
)
def test_recorded_values_survive_reading_and_writing(text: str) -> None:
    """What the real daemon wrote comes out byte for byte."""
    assert parse_attributes(text).to_json() == text


def test_later_versions_are_understood() -> None:
    """v0.15 adds PublicIPv6 and the VNI; v0.5 in front of them all may have spaces."""
    text = (
        '{"PublicIP": "172.17.8.101", "PublicIPv6":null,"BackendType":"vxlan",'
        '"BackendData":{"VNI":1,"VtepMAC":"62:76:77:99:64:D5"}}'
    )
    attributes = parse_attributes(text)
    assert attributes.public_ip == IPv4Address("172.17.8.101")
    assert vtep_mac(attributes.backend_data) == "62:76:77:99:64:d5"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "unexpected end of JSON input"),
        ("[]", "a lease is a JSON object, not array"),
        ("{}", "PublicIP is missing"),
        ('{"PublicIP":"fd00::1"}', "PublicIP must be an IPv4 address, not 'fd00::1'"),
        ('{"PublicIP":"127.0.0.1"}', "PublicIP must be the address of a host, not 127.0.0.1"),
        ('{"PublicIP":"0.0.0.0"}', "PublicIP must be the address of a host, not 0.0.0.0"),
        ('{"PublicIP":5}', "PublicIP must be a string, not number"),
        (
            '{"PublicIP":"172.17.8.101","BackendType":5}',
            "BackendType must be a string, not number",
        ),
    ],
)
def test_values_of_others_are_refused(text: str, complaint: str) -> None:
    """With a reason."""
    with pytest.raises(LeaseError) as caught:
        parse_attributes(text)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("data", ["", "null", "{}", "7", '{"VtepMAC":"zz"}', '{"VtepMAC":"1:2:3"}'])
def test_a_lease_without_a_mac_is_refused(data: str) -> None:
    """vxlan cannot do without."""
    with pytest.raises(LeaseError):
        vtep_mac(data)


def test_names() -> None:
    """There and back."""
    for text in ("172.24.32.0/24", "10.5.0.64/26", "10.0.0.0/8", "10.5.0.8/30"):
        subnet = IPv4Network(text)
        assert subnet_of(name_of(subnet)) == subnet


@pytest.mark.parametrize(
    "name",
    ["", "junk", "172.24.32.0", "172.24.32.5-24", "172.24.32.0-33", "172.24.032.0-24",
     "172.24.32.0-024", "x172.24.32.0-24", "172.24.32.0-24x", "1.2.3-24", "300.1.1.0-24",
     "172.24.32.0-32", "10.0.0.0-08", "a/172.24.32.0-24"],
)  # fmt: skip
def test_names_that_are_no_subnets(name: str) -> None:
    """One subnet has one name, everything else is somebody else's key."""
    assert subnet_of(name) is None


def test_equal_attributes_are_equal_whatever_their_spacing() -> None:
    """So that a resync does not take a rewrite for a change."""
    spaced = VXLAN.replace(":", ": ", 1).replace(",", ", ")
    assert parse_attributes(spaced) == parse_attributes(VXLAN)
    assert Attributes(IPv4Address("1.2.3.4")).to_json() == '{"PublicIP":"1.2.3.4"}'
