"""alloc: a subnet is leased, and how packets get there is somebody else's business."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network

from flannel.lease import Lease


@dataclass(slots=True)
class Alloc:
    """Touches nothing in the kernel."""

    mtu: int
    kind: str = ""

    async def prepare(self) -> str:
        """Nothing is needed."""
        return ""

    async def start(self, subnet: IPv4Network) -> None:
        """Nothing begins."""

    async def undo(self) -> None:
        """Nothing was made."""

    async def begin(self, leases: Collection[Lease]) -> None:
        """Nothing was left."""

    async def add(self, lease: Lease) -> None:
        """Other hosts do not matter."""

    async def remove(self, lease: Lease) -> None:
        """Other hosts do not matter."""

    async def run(self) -> None:
        """Nothing is to be done."""
        await asyncio.Event().wait()

    def serves(self, lease: Lease) -> bool:
        """Nobody is reached."""
        return False
