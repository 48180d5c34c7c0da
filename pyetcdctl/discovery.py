"""Client URLs from DNS SRV records (contract/etcdctl.md, section 2).

Laws: `_etcd-client-ssl._tcp.DOMAIN` gives https, `_etcd-client._tcp.DOMAIN` http; one of the two is
enough. The look-up has an end.
"""

from __future__ import annotations

from typing import Final

from pyetcdctl import authority
from pyetcdctl.errors import BadEndpoint

_LOOKUP_S: Final = 10.0


def client_urls(domain: str, name: str = "") -> list[str]:
    """The URLs a domain publishes; `name` is a suffix of the services. Raises BadEndpoint."""
    suffix = f"-{name}" if name else ""
    urls: list[str] = []
    errors: list[str] = []
    for service, scheme in (("etcd-client-ssl", "https"), ("etcd-client", "http")):
        try:
            found = _services(f"_{service}{suffix}._tcp.{domain}", domain)
        except _NotFound as error:
            errors.append(f"lookup {error}")
            continue
        urls += [f"{scheme}://{place}" for place in found]
    if len(errors) == 2:
        raise BadEndpoint(f"dns lookup errors: {errors[0]} and {errors[1]}")
    return urls


class _NotFound(Exception):
    """What could not be looked up, and why."""


def _services(question: str, domain: str) -> list[str]:
    """Host and port of each server, the preferred ones first."""
    if not authority.is_name(question):
        raise _NotFound(f"{question}: no such host")
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(question, "SRV", lifetime=_LOOKUP_S, search=True)
    except dns.exception.Timeout:
        raise _NotFound(f"{question} on {_server()}: i/o timeout") from None
    except dns.resolver.NoNameservers:
        raise _NotFound(f"{question} on {_server()}: server misbehaving") from None
    except dns.exception.DNSException:
        raise _NotFound(f"{question} on {_server()}: no such host") from None
    records = sorted(answer, key=lambda record: (record.priority, -record.weight))
    if not all(authority.is_name(str(record.target)) for record in records):
        raise _NotFound(f"{domain}: DNS response contained records which contain invalid names")
    return [f"{record.target}:{record.port}" for record in records]


def _server() -> str:
    from pyetcdctl.dialling import name_server

    return name_server()
