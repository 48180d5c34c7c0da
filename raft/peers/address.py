"""Where a member can be reached: a peer URL as something to connect to.

Laws: `http` and `unix` are dialed in the clear, `https` and `unixs` only with a TLS context; a unix
socket's file name is what stands behind `unix://`, as etcd has it.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_SCHEMES: Final = frozenset({"http", "https", "unix", "unixs"})


class BadAddress(ValueError):
    """The URL cannot be dialed."""


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP host and port, or a unix socket's file name."""

    host: str
    port: int
    path: str
    """Not empty: a unix socket."""
    is_tls: bool
    authority: str
    """What the Host header says."""


def parse(url: str) -> Address:
    """Return where a URL leads; raises BadAddress."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise BadAddress(f"{url!r} is not an http, https, unix or unixs URL")
    is_tls = scheme in ("https", "unixs")
    if scheme in ("unix", "unixs"):
        if not rest or "\0" in rest:
            raise BadAddress(f"{url!r} names no socket")
        return Address("localhost", 0, rest, is_tls, "localhost")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadAddress(f"{url!r}: {error}") from error
    if not host or not port:
        raise BadAddress(f"{url!r} has no host and port")
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not authority.isascii() or not authority.isprintable() or " " in authority:
        raise BadAddress(f"{url!r} has no host that can be looked up")
    return Address(host.replace("%25", "%"), port, "", is_tls, authority)


async def connect(
    address: Address, factory: Callable[[], asyncio.Protocol], context: ssl.SSLContext | None
) -> None:
    """Connect a protocol; raises OSError, or BadAddress for TLS without a context."""
    if address.is_tls and context is None:
        raise BadAddress("TLS between members is not built in yet")
    used = context if address.is_tls else None
    name = address.host if address.is_tls else None
    loop = asyncio.get_running_loop()
    if address.path:
        await loop.create_unix_connection(factory, address.path, ssl=used, server_hostname=name)
        return
    failure = OSError(f"{address.host} has no address")
    for host in await _look_up(address):
        try:
            await loop.create_connection(
                factory, host, address.port, ssl=used, server_hostname=name
            )
        except OSError as error:
            failure = error
        else:
            return
    raise failure


async def _look_up(address: Address) -> list[str]:
    """Return the numeric addresses of a host.

    `create_connection` could do it, but uvloop's complains when it is cancelled meanwhile.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise BadAddress(f"{address.host!r} is no host name") from error
    return [_numeric(*where) for _, _, _, _, where in found]


def _numeric(host: str, _port: int, _flow: int = 0, scope: int = 0) -> str:
    return f"{host}%{scope}" if scope and "%" not in host else host
