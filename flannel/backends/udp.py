"""udp: this process carries the packets, each as the content of one datagram.

Packets for the network come out of a TUN device; the host that leases their subnet gets them at
our own port; what comes in goes into the TUN device. One way is as good as the other side's: a
datagram's sender is not checked, as flanneld does not.

Laws: a packet is dropped, never delayed: if the socket or the device is full it is gone, as on a
wire. Each wake-up takes a bounded number of packets, so the lease is renewed under load too. The
device ends with the process; if somebody deletes it, the process ends, and what else is changed of
it by hand is put back within five seconds.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from flannel import packet
from flannel.backends.backend import BackendError, inner_mtu
from flannel.backends.leftovers import Territory, can_free_port, clear, free_port, port_holders
from flannel.backends.upkeep import Upkeep, gone, keep, put_right_over
from flannel.interfaces import External
from flannel.kernel import Kernel, Link
from flannel.lease import Lease
from flannel.tables import Route
from flannel.tun import Tun, TunError

DEFAULT_PORT = 8285
OVERHEAD_BYTES = 28
"""Outer IP and UDP headers."""
DEVICES = "flannel%d"
BATCH = 64
"""Packets per wake-up."""
PACKET_BYTES_MAX = 65535
SOCKET_BUFFER_BYTES = 4 << 20

_log = logging.getLogger(__name__)


class Table:
    """Which host has which subnet; the longest prefix wins."""

    def __init__(self) -> None:
        self._hosts: dict[int, dict[int, str]] = {}
        """By prefix length, longest first: network address -> the host's address."""

    def put(self, subnet: IPv4Network, host: IPv4Address) -> None:
        """Add a subnet."""
        of_length = self._hosts.setdefault(subnet.prefixlen, {})
        of_length[int(subnet.network_address)] = str(host)
        self._hosts = dict(sorted(self._hosts.items(), reverse=True))

    def drop(self, subnet: IPv4Network) -> None:
        """Remove a subnet."""
        self._hosts.get(subnet.prefixlen, {}).pop(int(subnet.network_address), None)

    def host_of(self, address: int) -> str | None:
        """The host that has an address."""
        for length, hosts in self._hosts.items():
            host = hosts.get(address >> (32 - length) << (32 - length))
            if host is not None:
                return host
        return None


@dataclass(slots=True)
class UDP:
    """The device, the socket and the table."""

    kernel: Kernel
    external: External
    territory: Territory
    port: int
    kind: str = ""
    mtu: int = field(init=False)
    _table: Table = field(default_factory=Table)
    _tun: Tun | None = None
    _socket: socket.socket | None = None
    _is_bound: bool = False
    _own: IPv4Address | None = None
    _upkeep: Upkeep | None = None

    def __post_init__(self) -> None:
        self.mtu = inner_mtu(self.external.link, OVERHEAD_BYTES)

    async def prepare(self) -> str:
        """Take the port and make the device: if that cannot be, no lease is wanted."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, buffer, SOCKET_BUFFER_BYTES)
        try:
            self._is_bound = await self._bind(self._socket)
            self._tun = Tun(DEVICES)
        except TunError as error:
            raise BackendError(str(error)) from None
        return ""

    async def _bind(self, wire: socket.socket) -> bool:
        """Take the port; not yet, if only devices that an earlier run left have it."""
        where = (str(self.external.address), self.port)
        try:
            wire.bind(where)
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            if is_taken and await can_free_port(self.kernel, self.port, self.territory):
                return False
            holders = await port_holders(self.kernel, self.port) if is_taken else []
            names = ", ".join(link.name for link in holders)
            raise BackendError(
                f"failed to start listening on UDP socket {where[0]}:{where[1]}: "
                f"{(error.strerror or '').lower()} "
                f"({f'{names} has it' if names else 'is another flanneld running?'})"
            ) from None
        return True

    async def start(self, subnet: IPv4Network) -> None:
        """Give the device its address and the network's route."""
        if self._tun is None or self._socket is None:
            raise BackendError("the TUN device has not been prepared")
        while not self._is_bound:
            await free_port(self.kernel, self.port, self.territory)
            self._is_bound = await self._bind(self._socket)
        self._own = subnet.network_address
        link = await self.kernel.link(self._tun.name)
        if link is None:
            raise BackendError(f"{self._tun.name} was made and is gone again")
        await self.kernel.add_address(link, self._own, self.territory.network.prefixlen)
        await self.kernel.set_mtu(link, self.mtu)
        self._tun.accept_own_address()
        await self.kernel.set_up(link)
        self._upkeep = Upkeep(link, self.mtu, self._own, self.territory.network.prefixlen)
        await self._route(link)

    async def _route(self, link: Link) -> None:
        """Have the network's route through the device: the kernel makes it with the address."""
        network = self.territory.network
        routed = any(
            route.destination == network and route.index == link.index
            for route in await self.kernel.routes()
        )
        if not routed:
            # Never in the place of one that is there: it may be that of the host's own wire.
            await self.kernel.add_route(Route(network, None, link.index))

    async def undo(self) -> None:
        """Give back the port and the device."""
        if self._tun:
            self._tun.close()
        if self._socket:
            self._socket.close()

    async def begin(self, leases: Collection[Lease]) -> None:
        """Nothing of ours outlives the process; longer routes of other backends would go before."""
        await clear(self.kernel, self.external.link.index, self.territory, ())

    async def add(self, lease: Lease) -> None:
        """Send a subnet's packets to its host."""
        self._table.put(lease.subnet, lease.attributes.public_ip)

    async def remove(self, lease: Lease) -> None:
        """Forget a subnet."""
        self._table.drop(lease.subnet)

    async def run(self) -> None:
        """Carry packets; raises BackendError when the device is gone."""
        if self._tun is None or self._socket is None:
            raise BackendError("the TUN device has not been prepared")
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._tun.descriptor, self._send, self._tun, self._socket, ended)
        loop.add_reader(self._socket, self._receive, self._tun, self._socket)
        try:
            put_right = partial(put_right_over, self.kernel, self.external, self._put_right)
            await keep(self._tun.name, put_right, ended)
            raise gone(self._tun.name)
        finally:
            loop.remove_reader(self._tun.descriptor)
            loop.remove_reader(self._socket)

    async def _put_right(self) -> None:
        if self._upkeep:
            await self._upkeep.put_right(self.kernel)
            await self._route(self._upkeep.link)

    def serves(self, lease: Lease) -> bool:
        """Any lease: udp leases do not say that they are."""
        return True

    def _send(self, tun: Tun, wire: socket.socket, ended: asyncio.Future[None]) -> None:
        """From the device to other hosts."""
        for _ in range(BATCH):
            try:
                data = os.read(tun.descriptor, PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                # It was deleted: it would be ready, and have nothing, for ever.
                asyncio.get_running_loop().remove_reader(tun.descriptor)
                if not ended.done():
                    ended.set_result(None)
                return
            if not packet.is_whole(data):
                continue
            host = self._table.host_of(packet.destination(data))
            if host is None:
                if self._own:
                    _write(tun, packet.unreachable(data, self._own))
                continue
            outgoing = packet.forwarded(data)
            if outgoing:
                try:
                    wire.sendto(outgoing, (host, self.port))
                except OSError as error:
                    _log.debug("Dropped a packet to %s: %s", host, error)

    def _receive(self, tun: Tun, wire: socket.socket) -> None:
        """From other hosts to the device."""
        for _ in range(BATCH):
            try:
                data = wire.recv(PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about a packet we sent
            if packet.is_whole(data):
                _write(tun, packet.forwarded(data))


def _write(tun: Tun, data: bytes | None) -> None:
    if data is None:
        return
    try:
        os.write(tun.descriptor, data)
    except OSError as error:
        _log.debug("Dropped a packet: %s", error)
