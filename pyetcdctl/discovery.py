"""Client URLs from DNS SRV records (contract/etcdctl.md, section 2).

Laws: `_etcd-client-ssl._tcp.DOMAIN` gives https, `_etcd-client._tcp.DOMAIN` http; one of the two is
enough. The look-up has an end.
"""

from __future__ import annotations

from typing import Final

from pyetcdctl.errors import BadEndpoint

_LOOKUP_S: Final = 10.0


def client_urls(domain: str, name: str = "") -> list[str]:
    """The URLs a domain publishes; `name` is a suffix of the services. Raises BadEndpoint."""
    import dns.exception
    import dns.resolver

    suffix = f"-{name}" if name else ""
    urls: list[str] = []
    errors: list[str] = []
    for service, scheme in (("etcd-client-ssl", "https"), ("etcd-client", "http")):
        question = f"_{service}{suffix}._tcp.{domain}"
        try:
            answer = dns.resolver.resolve(question, "SRV", lifetime=_LOOKUP_S, search=True)
        except dns.exception.Timeout:
            errors.append(f"lookup {question} on {_server()}: i/o timeout")
            continue
        except dns.exception.DNSException:
            errors.append(f"lookup {question} on {_server()}: no such host")
            continue
        records = sorted(answer, key=lambda record: (record.priority, -record.weight))
        urls += [f"{scheme}://{record.target}:{record.port}" for record in records]
    if len(errors) == 2:
        raise BadEndpoint(f"dns lookup errors: {errors[0]} and {errors[1]}")
    return urls


def _server() -> str:
    from pyetcdctl.dialling import name_server

    return name_server()
