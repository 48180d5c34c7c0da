"""Whether two lists of URLs lead to the same places, and how they differ if not.

Laws: rules and words are those of etcd's netutil.URLStringsEqual: the same number of URLs, and each
pair equal after its hosts were resolved. `localhost` is not resolved, so it differs from 127.0.0.1.
Equal texts need no name server. Pure: host names are resolved by a function handed in.
"""

import ipaddress
from collections.abc import Callable, Sequence

from golang.quoting import go_quote, go_quote_list
from server.options.urls import Url

Resolve = Callable[[str], str | None]
"""Host name to IP address."""


def texts(urls: Sequence[Url]) -> list[str]:
    """The texts of URLs, sorted."""
    return sorted(url.text for url in urls)


def difference(left: Sequence[Url], right: Sequence[Url], resolve: Resolve) -> str | None:
    """How two lists of URLs differ, in etcd's words; None if they do not."""
    if texts(left) == texts(right):
        return None
    if len(left) != len(right):
        return f"len({go_quote_list(texts(left))}) != len({go_quote_list(texts(right))})"
    resolved: list[list[str]] = []
    for side in (left, right):
        found = []
        for url in side:
            text = _resolved(url, resolve)
            if text is None:
                return f"failed to resolve host {url.host}"
            found.append(text)
        resolved.append(sorted(found))
    for one, other in zip(*resolved, strict=True):
        if one != other:
            return f"resolved urls: {go_quote(one)} != {go_quote(other)}"
    return None


def _resolved(url: Url, resolve: Resolve) -> str | None:
    if url.is_unix or url.host in ("", "localhost") or _is_ip(url.host):
        return url.text
    address = resolve(url.host)
    return None if address is None else url.moved_to(address, url.port).text


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
