"""The talk's session on the talk's three hosts:
`python -m tests.cluster.talk [--kind etcd] [--client pyetcdctl]`.

Hosts 172.17.8.101 to .103 are network namespaces; the server is given nothing but the ETCD_*
variables of the talk's /etc/etcd/etcd.conf, and what is typed is the talk's, through the real
etcdctl with the v2 API, or through ours. Everything typed and printed is shown.
"""
# ruff: noqa: T201 - a command that prints

import argparse
import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.lab import room
from deploy.lab.hosts import FIRST, NETWORK
from tests.cluster.cluster import READY_S
from tests.cluster.hosts import Hosts
from tests.cluster.member import Member, now
from tests.cluster.programs import Program, program

NAMES = ("atomic-01", "atomic-02", "atomic-03")
DATA_DIR = "/var/lib/etcd/default.etcd"
COMMAND_S = 30.0
WATCH_S = 1.0
POLL_S = 0.05
CLIENTS = {"etcdctl": ["etcdctl"], "pyetcdctl": [sys.executable, "-m", "pyetcdctl"]}
FLANNEL = '{"Network": "172.24.0.0/16", "SubnetLen": 24, "Backend": {"Type": "vxlan"}}'


def settings(number: int) -> dict[str, str]:
    """The talk's etcd.conf on host N, as settings."""
    address = f"{NETWORK}.{FIRST + number - 1}"
    everybody = (
        f"{name}=http://{NETWORK}.{FIRST + place}:2380" for place, name in enumerate(NAMES)
    )
    return {
        "name": NAMES[number - 1],
        "data-dir": DATA_DIR,
        "listen-peer-urls": f"http://{address}:2380",
        "listen-client-urls": f"http://127.0.0.1:2379,http://{address}:2379",
        "initial-advertise-peer-urls": f"http://{address}:2380",
        "initial-cluster-state": "new",
        "initial-cluster-token": "etcd-cluster",
        "advertise-client-urls": f"http://{address}:2379",
        "initial-cluster": ",".join(everybody),
    }


class Session:
    """Three hosts, and what is typed on them."""

    def __init__(self, program: Program, client: str, space: Path) -> None:
        self._program = program
        self._client = CLIENTS[client]
        self._space = space
        self._hosts = Hosts()
        self.members: list[Member] = []

    async def boot(self) -> None:
        """Start the hosts' servers; the first one waits for the second."""
        for number, name in enumerate(NAMES, start=1):
            place = await self._hosts.place(name)
            directory = self._space / name
            directory.mkdir()
            # Each host has its own /var/lib/etcd.
            self._hosts.bind(name, directory, str(Path(DATA_DIR).parent))
            member = Member(
                self._program, place, settings(number), directory=directory, by_environment=True
            )
            self.members.append(member)
            member.spawn()
            print(f"[{name}]# systemctl start etcd", flush=True)
            if number == 1:
                await asyncio.sleep(WATCH_S)
                print(f"[{name}] ready alone: {await member.is_ready()}")
        ends = now() + READY_S
        while not all([await member.is_ready() for member in self.members]):
            if now() > ends:
                raise TimeoutError("\n".join(member.log() for member in self.members))
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """End everything."""
        for member in self.members:
            member.kill()
        await self._hosts.close()

    def type(self, number: int, line: str) -> str:
        """Type a command on host N; what it prints."""
        process = self._spawn(number, line)
        out, _ = process.communicate(timeout=COMMAND_S)
        print(out, end="", flush=True)
        assert process.returncode == 0, (line, process.returncode, out)
        return out

    def begin(self, number: int, line: str) -> "subprocess.Popen[str]":
        """Type a command that blocks."""
        return self._spawn(number, line)

    def _spawn(self, number: int, line: str) -> "subprocess.Popen[str]":
        name = NAMES[number - 1]
        print(f"[{name}]# {line}", flush=True)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ETCD")}
        return subprocess.Popen(
            [*self._hosts.host(name).prefix, *self._client, *shlex.split(line)[1:]],
            env=clean | {"ETCDCTL_API": "2"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


async def tell(session: Session) -> None:
    """The session."""
    await session.boot()
    session.type(1, "etcdctl member list")
    session.type(2, "etcdctl cluster-health")
    session.type(1, """etcdctl set /test/value '{"test": "value0"}'""")
    session.type(3, "etcdctl get /test/value")
    watch = session.begin(3, "etcdctl watch /test/value")
    await _until_watched(session)
    session.type(2, """etcdctl set /test/value '{"test": "value1"}'""")
    out, _ = watch.communicate(timeout=COMMAND_S)
    print(f"[{NAMES[2]}] the watch prints: {out}", end="")
    session.type(1, f"etcdctl set /atomic.io/network/config '{FLANNEL}'")
    session.type(2, "etcdctl get /atomic.io/network/config")
    session.type(3, "etcdctl ls --recursive /")
    session.type(1, "etcdctl --debug member list")


async def _until_watched(session: Session) -> None:
    """Until a server has a watcher: etcdctl asks any of those it has been told of."""
    ends = now() + COMMAND_S
    while not any([await _is_watched(member) for member in session.members]):
        assert now() < ends, "nobody watches"
        await asyncio.sleep(POLL_S)


async def _is_watched(member: Member) -> bool:
    _, found = await member.get("/v2/stats/store")
    return isinstance(found, dict) and bool(found["watchers"])


async def _run(kind: str, client: str, space: Path) -> None:
    session = Session(program(kind), client, space)
    try:
        await tell(session)
    finally:
        await session.close()


def main() -> None:
    """Show the session."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.talk", description=__doc__)
    parser.add_argument("--kind", default="pyetcd", help="etcd or pyetcd")
    parser.add_argument("--client", default="etcdctl", choices=CLIENTS)
    options = parser.parse_args()
    room.enter("tests.cluster.talk", sys.argv[1:])
    # In this room only; the real one is not touched, and need not be there.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"], check=True)
    Path(DATA_DIR).parent.mkdir()
    space = Path(tempfile.mkdtemp(prefix="talk-"))
    try:
        asyncio.run(_run(options.kind, options.client, space))
    finally:
        shutil.rmtree(space, ignore_errors=True)


if __name__ == "__main__":
    main()
