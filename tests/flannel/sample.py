"""Leases and configs for the pure tests."""

from ipaddress import IPv4Address, IPv4Network

from flannel import config
from flannel.lease import TTL_S, Attributes, Lease

US = IPv4Address("172.17.8.101")
OTHER = IPv4Address("172.17.8.102")
MAC = "62:76:77:99:64:d5"
OTHER_MAC = "2e:a7:2e:3e:74:5d"


def net(text: str) -> IPv4Network:
    """A network."""
    return IPv4Network(text)


def network(text: str = "10.5.0.0/16", **more: str) -> config.NetworkConfig:
    """A parsed config."""
    fields = "".join(f',"{name}":"{value}"' for name, value in more.items())
    return config.parse(f'{{"Network":"{text}"{fields}}}')


def lease(
    subnet: str,
    public_ip: IPv4Address = OTHER,
    *,
    mac: str = "",
    kind: str = "",
    ttl_s: int = TTL_S,
    index: int = 1,
) -> Lease:
    """A lease; with a MAC it is vxlan's."""
    data = f'{{"VtepMAC":"{mac}"}}' if mac else ""
    attributes = Attributes(public_ip, kind or ("vxlan" if mac else ""), data)
    return Lease(net(subnet), attributes, ttl_s, index)
