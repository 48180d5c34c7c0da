"""What a foreign lease says of its device."""

import time

import pytest

from flannel.backends.vxlan import vtep_mac
from flannel.lease import LeaseError


@pytest.mark.parametrize("data", ['{"VNI":Infinity,"VtepMAC":"62:76:77:99:64:d5"}', "{", "1", ""])
def test_backend_data_nobody_can_read(data: str) -> None:
    """Goal: one bad lease ends no daemon: it is a LeaseError, which is ignored and said. Method: no
    JSON (a number beyond all bounds comes as such), and no object."""
    with pytest.raises(LeaseError):
        vtep_mac(data)


@pytest.mark.parametrize(
    "mac",
    ["62:76:77:99:64:d5", "62-76-77-99-64-D5", "6276.7799.64d5"],
)
def test_macs_go_reads(mac: str) -> None:
    """Goal: what other flannels write is read. Method: net.ParseMAC's three ways."""
    assert vtep_mac(f'{{"VtepMAC":"{mac}"}}') == "62:76:77:99:64:d5"


@pytest.mark.parametrize(
    "mac",
    [
        "62:76: 0x77:99:64:d5", "62: 76:77:99:64:d5", "62:76:77:99:64:9_9", "62:76:77:99:64:+5",
        "62:76:77:99:64:5", "62:76:77:99:64:\u0665\u0665", "62:76-77:99:64:d5", "6276:7799.64d5",
        "62:76:77:99:64:d5:00:00", "62:76:77:99:64:d5 ", "62:76:77:99:64:d5\\n", "627677 4d5", "",
    ],
)  # fmt: skip
def test_macs_go_does_not_read(mac: str) -> None:
    """Goal: nothing is taken for a MAC that only Python takes for numbers. Method: signs, prefixes,
    underscores, spaces, digits of other scripts, mixed separators, other lengths."""
    with pytest.raises(LeaseError, match="VtepMAC must be six bytes"):
        vtep_mac(f'{{"VtepMAC":"{mac}"}}')


def test_data_of_endless_length() -> None:
    """Goal: nobody's value holds up the packets. Method: one that would take seconds to read."""
    begun = time.monotonic()
    with pytest.raises(LeaseError, match="longer than 65536 characters"):
        vtep_mac("[" + "1," * 1_000_000 + "1]")
    assert time.monotonic() - begun < 1.0
