"""What a foreign lease says of its device."""

import pytest

from flannel.backends.vxlan import vtep_mac
from flannel.lease import LeaseError


@pytest.mark.parametrize("data", ['{"VNI":Infinity,"VtepMAC":"62:76:77:99:64:d5"}', "{", "1", ""])
def test_backend_data_nobody_can_read(data: str) -> None:
    """Goal: one bad lease ends no daemon: it is a LeaseError, which is ignored and said. Method: no
    JSON (a number beyond all bounds comes as such), and no object."""
    with pytest.raises(LeaseError):
        vtep_mac(data)
