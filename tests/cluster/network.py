"""Where members live, and how the ways between them are cut.

Laws: a member keeps its place for life, a new one gets a new place; cutting a way drops silently
what goes along it, as a broken cable would, and says nothing to either end; `heal` undoes
everything. Clients reach every member whatever is cut between members, but for `unplug`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tests.oracle.process import free_port


@dataclass(frozen=True, slots=True)
class Place:
    """One member's addresses, and the command that runs a program there."""

    name: str
    client_host: str
    client_port: int
    listen_client_urls: str
    client_url: str
    listen_peer_url: str
    peer_url: str
    prefix: tuple[str, ...] = ()


class Network(Protocol):
    """Places for members and the ways between them."""

    can_cut: bool
    """Whether ways can be cut."""
    can_delay: bool
    """Whether ways can be made slow, and connections reset."""
    can_unplug: bool
    """Whether a member can be cut off from its clients as well."""

    async def place(self, name: str) -> Place:
        """A new place."""
        ...

    def attach(self, name: str, pid: int) -> None:
        """Say which process runs at a place."""
        ...

    def cut(self, origin: str, target: str) -> None:
        """Drop what goes from one member to another; the other direction is not touched."""
        ...

    def delay(self, origin: str, target: str, seconds: float) -> None:
        """Make everything on a way so much later."""
        ...

    def reset(self, names: Iterable[str]) -> None:
        """Reset all connections of these members' peer ports."""
        ...

    def unplug(self, name: str) -> None:
        """Cut a member off from everybody."""
        ...

    def heal(self) -> None:
        """Undo everything."""
        ...

    async def close(self) -> None:
        """Give all places up."""
        ...


class Direct:
    """Members on loopback with nothing in between: for measuring, nothing can be cut."""

    can_cut = False
    can_delay = False
    can_unplug = False

    async def place(self, name: str) -> Place:
        client, peer = free_port(), free_port()
        url = f"http://127.0.0.1:{peer}"
        return loopback_place(name, client, url, url)

    def attach(self, name: str, pid: int) -> None:
        pass

    def cut(self, origin: str, target: str) -> None:
        raise NotImplementedError("nothing is in between")

    def delay(self, origin: str, target: str, seconds: float) -> None:
        raise NotImplementedError("nothing is in between")

    def reset(self, names: Iterable[str]) -> None:
        raise NotImplementedError("nothing is in between")

    def unplug(self, name: str) -> None:
        raise NotImplementedError("nothing is in between")

    def heal(self) -> None:
        pass

    async def close(self) -> None:
        pass


def loopback_place(name: str, client_port: int, listen_peer_url: str, peer_url: str) -> Place:
    """A place on 127.0.0.1; the advertised peer URL may be a proxy's."""
    url = f"http://127.0.0.1:{client_port}"
    return Place(name, "127.0.0.1", client_port, url, url, listen_peer_url, peer_url)
