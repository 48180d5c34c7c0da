"""Members on loopback, each behind a proxy of ours on its advertised peer URL.

Laws: a way is directed, and belongs to a pair of members whoever of them made the connection: who
is at the other end of a connection is found in /proc, so nothing need be known of what they say. A
cut way holds what it got until it is healed, as the network does with what TCP sends again; a new
connection is taken and held as well. Order and content are never changed.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.cluster.network import Place, loopback_place
from tests.oracle.process import free_port

PIECE_BYTES = 64 << 10
TCP_TABLE_PORT = 1
TCP_TABLE_PEER = 2
TCP_TABLE_INODE = 9


@dataclass(slots=True)
class Way:
    """What befalls the bytes from one member to another."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        self.open.set()


class Links:
    """The network of a cluster on loopback."""

    can_cut = True
    can_delay = True
    can_unplug = False

    def __init__(self) -> None:
        self._ways: dict[tuple[str, str], Way] = {}
        self._pids: dict[str, int] = {}
        self._proxies: dict[str, asyncio.Server] = {}
        self._running: dict[asyncio.Task[None], set[str]] = {}

    async def place(self, name: str) -> Place:
        behind, before = free_port(), free_port()

        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            names = {name}
            task = asyncio.ensure_future(self._join(name, behind, reader, writer, names))
            self._running[task] = names
            task.add_done_callback(self._running.pop)

        self._proxies[name] = await asyncio.start_server(take, "127.0.0.1", before)
        listen, advertised = f"http://127.0.0.1:{behind}", f"http://127.0.0.1:{before}"
        return loopback_place(name, free_port(), listen, advertised)

    def attach(self, name: str, pid: int) -> None:
        self._pids[name] = pid

    def cut(self, origin: str, target: str) -> None:
        self._way(origin, target).open.clear()

    def delay(self, origin: str, target: str, seconds: float) -> None:
        self._way(origin, target).delay_s = seconds

    def reset(self, names: Iterable[str]) -> None:
        wanted = set(names)
        for task, ends in self._running.items():
            if ends & wanted:
                task.cancel()

    def unplug(self, name: str) -> None:
        raise NotImplementedError("clients do not come through the proxies")

    def heal(self) -> None:
        for way in self._ways.values():
            way.delay_s = 0.0
            way.open.set()

    async def close(self) -> None:
        for server in self._proxies.values():
            server.close()
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _way(self, origin: str, target: str) -> Way:
        return self._ways.setdefault((origin, target), Way())

    async def _join(
        self,
        target: str,
        port: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        names: set[str],
    ) -> None:
        try:
            origin = self._origin(writer)
            names.add(origin)
            there, back = self._way(origin, target), self._way(target, origin)
            # A handshake needs both directions.
            await there.open.wait()
            await back.open.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(
                    _pump(reader, far_writer, there), _pump(far_reader, writer, back)
                )
            finally:
                far_writer.transport.abort()
        except (OSError, RuntimeError):
            pass  # one end broke, so the other one is broken too; uvloop says so in its own way
        finally:
            writer.transport.abort()

    def _origin(self, writer: asyncio.StreamWriter) -> str:
        """The member that made a connection; somebody else (a joiner before it is known) is ''."""
        host, port = writer.get_extra_info("peername")[:2]
        proxy = writer.get_extra_info("sockname")[1]
        inode = _inode(host, port, proxy)
        owners = (name for name, pid in self._pids.items() if _has_socket(pid, inode))
        return next(owners, "") if inode else ""


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    """Carry one direction to its end, or until either side breaks."""
    while data := await reader.read(PIECE_BYTES):
        if way.delay_s:
            await asyncio.sleep(way.delay_s)
        await way.open.wait()
        writer.write(data)
        await writer.drain()
    await way.open.wait()
    with contextlib.suppress(OSError):
        writer.write_eof()


def _inode(host: str, port: int, proxy_port: int) -> str:
    """The inode of the socket at the far end, from the kernel's table of TCP connections."""
    assert host == "127.0.0.1"
    ends = (f":{port:04X}", f":{proxy_port:04X}")
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[TCP_TABLE_PORT].endswith(ends[0]) and fields[TCP_TABLE_PEER].endswith(
                ends[1]
            ):
                return fields[TCP_TABLE_INODE]
    return ""


def _has_socket(pid: int, inode: str) -> bool:
    wanted = f"socket:[{inode}]"
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except OSError:
        return False
    for name in names:
        with contextlib.suppress(OSError):
            if os.readlink(f"{directory}/{name}") == wanted:
                return True
    return False
