"""Goal: a network config means what it means to flanneld, and what is wrong with it is said.

Method: every config recorded with the real daemon is parsed; ranges and complaints are compared.
"""

from ipaddress import IPv4Address, IPv4Network
from unittest.mock import Mock

import pytest

from flannel import config, placed_json
from flannel.backends import table
from flannel.backends.backend import BackendError
from flannel.interfaces import External
from flannel.kernel import Kernel, Link
from tests.flannel import recorded
from tests.flannel.sample import US

ROWS = recorded.load()


@pytest.mark.parametrize("row", ROWS, ids=[row.config or "empty" for row in ROWS])
def test_recorded_config(row: recorded.Recorded) -> None:
    """33 of 33: the same range, or the same complaint; three are refused earlier, on purpose."""
    stricter = recorded.STRICTER.get(row.config)
    if stricter or row.error.startswith(recorded.PREFIX):
        with pytest.raises(config.ConfigError) as caught:
            config.parse(row.config)
        wanted = stricter or row.error.removeprefix(recorded.PREFIX)
        assert str(caught.value).startswith(wanted)
        return
    parsed = config.parse(row.config)
    if row.error:
        with pytest.raises(config.ConfigError) as caught:
            table.settings_for(parsed)
        # What is allowed is said behind it.
        assert str(caught.value).partition(" (")[0] == row.error.partition(": ")[2]
        return
    assert row.range is not None
    assert (str(parsed.subnet_min), str(parsed.subnet_max)) == row.range
    assert row.subnet_env is not None
    assert f"FLANNEL_NETWORK={parsed.network}" == row.subnet_env[0]
    assert row.lease is not None
    assert parsed.allows(IPv4Network(row.lease.replace("-", "/")))
    table.settings_for(parsed)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            '{\n  "Network": "172.24.0.0/16",\n  "Backend": {\n    "Type": "vxlan",\n  }\n}',
            "invalid character '}' looking for beginning of object key string (line 5, column 3)",
        ),
        ('{"Network":"10.1.0.0/16"', "unexpected end of JSON input (line 1, column 25)"),
        ("{'a':1}", "invalid character '\\'' looking for beginning of object key string (line 1,"),
        ('{"a" 1}', "invalid character '1' after object key (line 1, column 6)"),
        ('{"a":1 "b"', "invalid character '\"' after object key:value pair (line 1, column 8)"),
        ("[1 2]", "invalid character '2' after array element (line 1, column 4)"),
        ("{} x", "invalid character 'x' after top-level value (line 1, column 4)"),
        ("nul ", "invalid character ' ' in literal null (expecting 'l') (line 1, column 4)"),
        ('{"a":-}', "invalid character '}' in numeric literal (line 1, column 7)"),
        ('{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        ('{"a":1e}', "invalid character '}' in exponent of numeric literal"),
        ('"a\nb"', "invalid character '\\n' in string literal (line 1, column 3)"),
        ('"\\q"', "invalid character 'q' in string escape code (line 1, column 3)"),
        ('"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        ("[" * 2000, "invalid character '[' exceeded max depth (line 1, column 101)"),
    ],
)
def test_invalid_json_says_where(text: str, complaint: str) -> None:
    """The words are Go's, the place is added; the talk's slide (a trailing comma) comes first."""
    with pytest.raises(config.ConfigError) as caught:
        config.parse(text)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    "text", ['{"a":[1,-2.5e3,true,false,null,"\\u00e9\\n"],"b":{}}', " [ ] ", '"x"', "-0"]
)
def test_valid_json_is_read(text: str) -> None:
    """What is JSON is taken; written again it is the same to a second reader."""
    again = placed_json.text_of(placed_json.parse(text))
    assert placed_json.parse(again) == placed_json.parse(text)


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ('"SubnetLen":"24"', "(SubnetLen must be a number from the Network's length + 2 to 30, w"),
        ('"SubnetLen":-1', "(SubnetLen must be a number from the Network's length + 2 to 30, w"),
        ('"SubnetLen":1e40', "(SubnetLen must be a number from the Network's length + 2 to 30, w"),
        ('"SubnetMin":"10.5.3.7"', ": 10.5.3.7 (the nearest with /24: 10.5.3.0 and 10.5.4.0)"),
        ('"SubnetMax":"10.5.255.7"', ": 10.5.255.7 (the nearest with /24: 10.5.255.0)"),
        ('"Backend":"vxlan"', '(Backend must be an object such as {"Type":"vxlan"})'),
        ('"Backend":["vxlan"]', '(Backend must be an object such as {"Type":"vxlan"})'),
        ('"Backend":{"Type":1}', '(Backend.Type must be a name such as "vxlan")'),
    ],
)
def test_a_complaint_says_what_is_allowed(fields: str, allowed: str) -> None:
    """Behind Go's words."""
    with pytest.raises(config.ConfigError) as caught:
        config.parse(f'{{"Network":"10.5.0.0/16",{fields}}}')
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"Network":"10.5.0.0"}', "invalid CIDR address: 10.5.0.0"),
        ('{"Network":"10.5.0.0/33"}', "invalid CIDR address: 10.5.0.0/33"),
        ('{"Network":"10.5.0.0/255.255.0.0"}', "invalid CIDR address: 10.5.0.0/255.255.0.0"),
        ('{"Network":5}', "invalid CIDR address: 5"),
        ('{"Network":"224.0.0.0/8"}', "Network 224.0.0.0/8 has no addresses that containers can"),
        ('{"Network":"0.0.0.0/0"}', "Network 0.0.0.0/0 is every address there is"),
        ('{"Network":"10.5.0.0/16","SubnetLen":31}', "SubnetLen must be less than /31"),
        ('{"Network":"10.5.0.0/16","SubnetLen":24.5}', "json: cannot unmarshal number 24.5 into"),
        ('{"Network":"10.5.0.0/16","SubnetLen":"24"}', "json: cannot unmarshal string into Go str"),
        ('{"Network":"10.5.0.0/16","SubnetMin":"10.5.3.7"}', "SubnetMin is not on a SubnetLen bou"),
        ('{"Network":"127.0.0.0/8"}', "Network 127.0.0.0/8 has no addresses that containers can"),
        ('{"Network":"0.5.0.0/16"}', "Network 0.5.0.0/16 has no addresses that containers can"),
        ('{"Network":"126.0.0.0/7"}', "Network 126.0.0.0/7 has no addresses that containers can"),
        (
            '{"Network":"10.5.0.0/16","SubnetMax":"junk"}',
            "Invalid IP address format: SubnetMax must be an IPv4 address, not 'junk'",
        ),
        (
            '{"Network":"10.5.0.0/16","SubnetMin":"10.6.0.0"}',
            "SubnetMin is not in the range of the Network: 10.6.0.0 is not in 10.5.0.0/16",
        ),
        (
            '{"Network":"10.5.0.0/16","SubnetLen":17}',
            "Network must be able to accommodate at least four subnets: SubnetLen of 10.5.0.0/16 m",
        ),
        ("null", "Network is missing"),
    ],
)
def test_bad_config_is_refused(text: str, complaint: str) -> None:
    """Beyond what was recorded: the rest of the contract's complaints."""
    with pytest.raises(config.ConfigError) as caught:
        config.parse(text)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"Type":"vxlan","VNI":16777216}', "VNI must be 0..9999999, not 16777216"),
        ('{"Type":"vxlan","Port":70000}', "Port must be 0..65535, not 70000"),
        (
            '{"Type":"vxlan","GBP":1}',
            "json: cannot unmarshal number into Go struct field .GBP of type bool (GBP must be tr",
        ),
        (
            '{"Type":"vxlan","VNI":"1"}',
            "json: cannot unmarshal string into Go struct field .VNI of type int (VNI must be 0..9",
        ),
        (
            '{"Type":"udp","Port":"x"}',
            "json: cannot unmarshal string into Go struct field .Port of type int (Port must be 1.",
        ),
        (
            "{}",
            "unknown backend type:  (Backend.Type must be one of vxlan, host-gw, udp, alloc, not ",
        ),
        (
            "null",
            'unknown backend type:  (Backend.Type must be one of vxlan, host-gw, udp, alloc, not "',
        ),
        (
            '{"Type":"ipip"}',
            "unknown backend type: ipip (Backend.Type must be one of vxlan, host-gw, ",
        ),
    ],
)
def test_bad_backend_is_refused(text: str, complaint: str) -> None:
    """Options out of range and an empty Backend, which does not mean udp."""
    parsed = config.parse(f'{{"Network":"10.5.0.0/16","Backend":{text}}}')
    with pytest.raises(config.ConfigError) as caught:
        table.settings_for(parsed)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(("kind", "least"), [("vxlan", 118), ("udp", 96)])
def test_an_interface_without_room(kind: str, least: int) -> None:
    """Its MTU must leave IPv4's 68 bytes."""
    parsed = config.parse(f'{{"Network":"10.5.0.0/16","Backend":{{"Type":"{kind}"}}}}')

    def make(mtu: int) -> int:
        external = External(Link(3, "eth1", mtu, "", ""), US, US)
        return table.settings_for(parsed)(table.Place(Mock(Kernel), external, None)).mtu

    assert make(least) == 68
    with pytest.raises(BackendError, match=f"the MTU of eth1 must be at least {least} bytes, "):
        make(least - 1)


def test_names_are_matched_without_regard_to_case_and_the_last_one_wins() -> None:
    """As Go does."""
    text = '{"NETWORK":"10.1.0.0/16","network":"10.2.0.0/16","subnetLEN":26,"other":{"x":[1]}}'
    parsed = config.parse(text)
    assert parsed.network == IPv4Network("10.2.0.0/16")
    assert parsed.subnet_length == 26
    assert parsed.subnet_min == IPv4Address("10.2.0.64")
