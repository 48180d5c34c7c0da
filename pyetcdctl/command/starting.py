"""How a member that takes another one's place is started: the command line, what to know of it.

Laws: etcd advertises names and listens on addresses: where the host is a name it listens on all of
them, on that port. A host that is given a new peer URL has its client URLs there, too, if the old
ones were where the old peer URLs were. Pure.
"""

from __future__ import annotations

import ipaddress
import shlex
from typing import TYPE_CHECKING

from pyetcdctl.endpoints import Endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyetcdctl.answers import Member

_ALL = "0.0.0.0"


def told(gone: Member, added: Member, members: list[Member]) -> str:
    """What to do to start the member that was added in the place of the one that is gone."""
    peers, clients = list(added.peer_urls), client_urls(gone, added.peer_urls)
    cluster = ",".join(
        f"{gone.name if member.id == added.id else member.name}={url}"
        for member in members
        for url in member.peer_urls
    )
    options = {
        "name": gone.name,
        "data-dir": f"{gone.name}.etcd",
        "listen-peer-urls": ",".join(listened(peers)),
        "initial-advertise-peer-urls": ",".join(peers),
        "listen-client-urls": ",".join(listened(clients)),
        "advertise-client-urls": ",".join(clients),
        "initial-cluster": cluster,
        "initial-cluster-state": "existing",
    }
    line = "etcd " + " ".join(
        f"--{name}={shlex.quote(value)}" for name, value in options.items() if value
    )
    notes = ["Start it, with an empty data directory:"]
    if any(_is_name(Endpoint.parse(url)) for url in (*peers, *clients)):
        notes.append("(It listens on all addresses where a name is advertised.)")
    if any(url.startswith("https:") for url in (*peers, *clients)):
        notes.append(
            "(With its --cert-file, --key-file, --trusted-ca-file and --peer-... options, too.)"
        )
    is_elsewhere = _hosts(peers) != _hosts(gone.peer_urls)
    if is_elsewhere and not _hosts(clients) <= _hosts(peers):
        notes.append("(Not all of its client URLs are at its new host: change the others.)")
    return "\n" + "\n".join(notes) + f"\n\n{line}\n"


def client_urls(gone: Member, peer_urls: Sequence[str]) -> list[str]:
    """The client URLs of a member that has these peer URLs now."""
    old, new = _hosts(gone.peer_urls), sorted(_hosts(peer_urls))
    moved = []
    for url in gone.client_urls:
        client = Endpoint.parse(url)
        is_moved = len(new) == 1 and client.host in old and client.host not in new
        moved.append(f"{client.scheme}://{_at(new[0], client)}" if is_moved else url)
    return moved


def listened(urls: Sequence[str]) -> list[str]:
    """What to listen on for these to be reached."""
    parsed = [Endpoint.parse(url) for url in urls]
    open_ports = {url.port for url in parsed if _is_name(url)}
    found = {
        f"{url.scheme}://{_at(_ALL, url)}" if url.port in open_ports else url.text for url in parsed
    }
    return sorted(found)


def _is_name(url: Endpoint) -> bool:
    if url.scheme.startswith("unix") or url.host == "localhost":
        return False
    try:
        ipaddress.ip_address(url.host)
    except ValueError:
        return True
    return False


def _at(host: str, url: Endpoint) -> str:
    return url._replace(host=host).address


def _hosts(urls: Sequence[str]) -> set[str]:
    return {Endpoint.parse(url).host for url in urls}
