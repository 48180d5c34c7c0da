"""The store's endpoints: what may be one, and which addresses they lead to.

Laws: a name is looked up again when the last look-up is a minute old; as long as nobody answers,
the addresses it had count.
"""

import asyncio
import socket
import time
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address

from pyetcdctl import BadEndpoint
from pyetcdctl.endpoints import Endpoint

PORT_MAX = 65535
SCHEMES = ("http", "https")
SOCKET = "unix"
"""The scheme of a socket in the file system, whose URL has no port."""
LOOK_UP_S, LOOK_AGAIN_S = 2.0, 60.0
"""How long a look-up may take, and for how long it counts."""
ALLOWED = (
    "-etcd-endpoints must be URLs with http:// or https://, a host, and a port of 1 to "
    f"{PORT_MAX}, such as http://127.0.0.1:2379"
)


class EndpointError(ValueError):
    """A text that is no store's URL; the message says which, and what is allowed."""


class Endpoints:
    """Where the store is."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises EndpointError."""
        self.texts = texts
        self._addresses: set[IPv4Address] = set()
        self._named: dict[str, set[IPv4Address]] = {}
        self._look_at_s = 0.0
        for text in texts:
            host = _host(text)
            try:
                self._addresses.add(IPv4Address(host))
            except AddressValueError:
                if host and ":" not in host:
                    self._named[host] = set()

    async def addresses(self) -> set[IPv4Address]:
        """The IPv4 addresses they lead to, as far as is known."""
        if time.monotonic() >= self._look_at_s:
            for name in self._named:
                self._named[name] = await _look_up(name) or self._named[name]
            self._look_at_s = time.monotonic() + LOOK_AGAIN_S
        return self._addresses.union(*self._named.values())


def _host(text: str) -> str:
    """Whom a URL leads to; nobody if it is a socket's. Raises EndpointError."""
    try:
        endpoint = Endpoint.parse(text)
    except BadEndpoint as error:
        raise EndpointError(f"{error}: {ALLOWED}") from None
    if endpoint.scheme == SOCKET:
        return ""
    why = ""
    if endpoint.scheme not in SCHEMES:
        why = f"its scheme is {endpoint.scheme}"
    elif not endpoint.host:
        why = "it has no host"
    elif endpoint.port is not None and not 1 <= endpoint.port <= PORT_MAX:
        why = f"its port is {endpoint.port}"
    if why:
        raise EndpointError(f'"{text}" cannot be used, {why}: {ALLOWED}')
    return endpoint.host


async def _look_up(name: str) -> set[IPv4Address]:
    """Its addresses; none if nobody knows them now."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_UP_S):
            found = await loop.getaddrinfo(
                name, None, family=socket.AF_INET, type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError):  # a TimeoutError is an OSError
        return set()
    return {IPv4Address(where[0]) for *_, where in found}
