"""Three members on this machine in one terminal, to try things out: `make cluster`.

Laws: members are ordinary processes with ordinary flags, printed before they are started, so that
each can be run by hand as well. Their lines go to the terminal behind their names, the end of one
that is too long left out; above them, who leads is said whenever it changes. Ctrl-C stops all; a
member that ends by itself is said so, and the others go on: that is what there is to see. The exit
code is 1 if none of them is left. Data stays in the directory between runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

_MEMBERS_MAX: Final = 9
_CLIENT_PORT: Final = 2379
_PEER_PORT: Final = 2380
_PORT_STEP: Final = 100
_LOOK_S: Final = 0.25
_STOP_S: Final = 10.0
_LINE_BYTES_MAX: Final = 16 << 10
_READ_BYTES: Final = 64 << 10
_COLOURS: Final = (36, 33, 35, 32, 34, 31, 96, 93, 95)


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, its URLs, and its colour in the terminal."""

    name: str
    client_url: str
    peer_url: str
    colour: int

    @classmethod
    def number(cls, position: int) -> Member:
        """The member at a position, from 0."""
        step = position * _PORT_STEP
        return cls(
            name=f"infra{position}",
            client_url=f"http://127.0.0.1:{_CLIENT_PORT + step}",
            peer_url=f"http://127.0.0.1:{_PEER_PORT + step}",
            colour=_COLOURS[position],
        )

    def arguments(self, cluster: str, directory: Path, extra: list[str]) -> list[str]:
        """The flags it is started with."""
        return [
            f"--name={self.name}",
            f"--data-dir={directory / self.name}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.client_url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={cluster}",
            *extra,
        ]


class Terminal:
    """Lines of several writers, each behind its name."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def say(self, text: str, name: str = "", colour: int = 1) -> None:
        """Print a line."""
        prefix = f"{name:>{self._width}} | "
        if self._coloured:
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
            text = text if name else f"\x1b[1m{text}\x1b[0m"
        with contextlib.suppress(OSError):  # it was closed; the members are stopped all the same
            sys.stdout.write(f"{prefix}{text}\n")
            sys.stdout.flush()


async def _run(members: list[Member], directory: Path, extra: list[str]) -> bool:
    """Run them until Ctrl-C; False if they have all ended by themselves before that."""
    if taken := await _taken(members):
        sys.exit(f"somebody listens there already: {', '.join(taken)}")
    terminal = Terminal(max(len(member.name) for member in members))
    cluster = ",".join(f"{member.name}={member.peer_url}" for member in members)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    running: dict[str, asyncio.subprocess.Process] = {}
    async with asyncio.TaskGroup() as tasks:
        try:
            for member in members:
                arguments = member.arguments(cluster, directory, extra)
                terminal.say("pyetcd " + shlex.join(arguments), member.name, member.colour)
                # A session of its own: Ctrl-C is ours to pass on, once.
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "server", *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )  # fmt: skip
                running[member.name] = process
                tasks.create_task(_follow(member, process, terminal))
            looking = tasks.create_task(_watch_leader(members, terminal))
            urls = ",".join(member.client_url for member in members)
            terminal.say(f"try: ETCDCTL_API=2 etcdctl --endpoints {urls} member list")
            terminal.say(
                f"to see a failover: kill -9 the leader's pid ({_pids(running)}); Ctrl-C stops"
            )
            await _any_of(stopped.wait(), _all_ended(running))
            looking.cancel()
        finally:
            await _stop(running)
    return stopped.is_set()


async def _taken(members: list[Member]) -> list[str]:
    """The URLs of members at which somebody listens already."""
    found: list[str] = []
    for url in [url for member in members for url in (member.client_url, member.peer_url)]:
        at = urlsplit(url)
        with contextlib.suppress(OSError):
            _reader, writer = await asyncio.open_connection(at.hostname, at.port)
            writer.close()
            found.append(url)
    return found


def _pids(running: dict[str, asyncio.subprocess.Process]) -> str:
    return ", ".join(f"{name} {process.pid}" for name, process in running.items())


async def _all_ended(running: dict[str, asyncio.subprocess.Process]) -> None:
    for process in running.values():
        await process.wait()


async def _any_of(*jobs: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _stop(running: dict[str, asyncio.subprocess.Process]) -> None:
    for process in running.values():
        if process.returncode is None:
            process.terminate()
    waiting = [asyncio.create_task(process.wait()) for process in running.values()]
    _done, late = await asyncio.wait(waiting, timeout=_STOP_S)
    if late:
        for process in running.values():
            if process.returncode is None:
                process.kill()


async def _follow(member: Member, process: asyncio.subprocess.Process, terminal: Terminal) -> None:
    """Pass a member's lines on until it ends."""
    assert process.stdout is not None
    async for line in _lines(process.stdout):
        terminal.say(line, member.name, member.colour)
    code = await process.wait()
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
    terminal.say(f"{member.name} has ended {how}")


async def _lines(output: asyncio.StreamReader) -> AsyncIterator[str]:
    """What is written there, line by line, however long a line is."""
    kept, more = bytearray(), 0
    while data := await output.read(_READ_BYTES):
        for number, part in enumerate(data.split(b"\n")):
            if number:
                yield _shown(kept, more)
                kept, more = bytearray(), 0
            room = _LINE_BYTES_MAX - len(kept)
            kept += part[:room]
            more += len(part[room:])
    if kept:
        yield _shown(kept, more)


def _shown(kept: bytearray, more: int) -> str:
    text = kept.decode(errors="replace")
    return f"{text} ...({more} more bytes)" if more else text


async def _watch_leader(members: list[Member], terminal: Terminal) -> None:
    """Say who leads, whenever that changes."""
    said = ""
    timeout = aiohttp.ClientTimeout(total=1.0)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            found = await _leader(session, members)
            if found != said:
                said = found
                terminal.say(f"=== {found}")
            await asyncio.sleep(_LOOK_S)


async def _leader(session: aiohttp.ClientSession, members: list[Member]) -> str:
    for member in members:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with session.get(f"{member.client_url}/v2/members/leader") as answer:
                if answer.status == 200:
                    found = await answer.json(content_type=None)
                    return f"{found['name']} ({found['id']}) leads"
    return "nobody leads"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        prog="make cluster", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--members", type=int, default=3, choices=range(1, _MEMBERS_MAX + 1))
    parser.add_argument("--directory", type=Path, default=Path("local-cluster.etcd"))
    parser.add_argument("extra", nargs="*", help="further flags for each member, behind --")
    chosen = parser.parse_args()
    members = [Member.number(position) for position in range(chosen.members)]
    sys.exit(0 if asyncio.run(_run(members, chosen.directory, chosen.extra)) else 1)


if __name__ == "__main__":
    main()
