"""N members as one thing: started, watched until they agree, grown and shrunk.

Laws: every wait has a deadline and ends in `NotReady` with the members' logs; names are never used
twice; a member's place is its for life. All public methods run on one event loop.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

from tests.cluster.client import Broken, Late, NotSent
from tests.cluster.disks import Disk
from tests.cluster.member import Member, now
from tests.cluster.network import Network
from tests.cluster.programs import Program

READY_S = 40.0
CHANGE_S = 60.0
POLL_S = 0.05
REQUEST_S = 10.0
TOKEN = "etcd-cluster"


class NotReady(AssertionError):
    """What was waited for did not come about; the message carries the logs."""


class Cluster:
    """Members of one cluster."""

    def __init__(
        self,
        program: Program,
        network: Network,
        *,
        space: Path,
        size: int,
        settings: dict[str, str] | None = None,
        with_disks: bool = False,
        by_environment: bool = False,
    ) -> None:
        self.program = program
        self.network = network
        self.members: list[Member] = []
        self.disks: dict[str, Disk] = {}
        self._space = space
        self._size = size
        self._settings = settings or {}
        self._with_disks = with_disks
        self._by_environment = by_environment
        self._names = 0

    async def start(self) -> None:
        """Start all members, and wait until each serves."""
        for _ in range(self._size):
            self.members.append(await self._new_member())
        everybody = ",".join(f"{m.name}={m.place.peer_url}" for m in self.members)
        for member in self.members:
            member.settings |= {
                "initial-cluster": everybody,
                "initial-cluster-state": "new",
                "initial-cluster-token": TOKEN,
            }
            self.spawn(member)
        await self.until_healthy()

    async def close(self) -> None:
        """End everything."""
        for member in self.members:
            member.kill()
        for disk in self.disks.values():
            disk.close()
        await self.network.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Cluster"]:
        """The cluster, started and in the end gone."""
        try:
            await self.start()
            yield self
        finally:
            await self.close()

    def spawn(self, member: Member) -> None:
        """Start a member's process, without waiting."""
        member.spawn()
        self.network.attach(member.name, member.pid)

    @property
    def alive(self) -> list[Member]:
        """The members whose processes run and are not paused."""
        return [member for member in self.members if member.running and not member.paused]

    async def leader(self) -> Member:
        """The leader all running members agree on, as soon as they do."""
        found: list[Member] = []

        async def agreed() -> bool:
            names = {await member.leader() for member in self.alive}
            found[:] = [member for member in self.alive if {member.name} == names]
            return bool(found)

        await self.until(agreed, "one leader that all members name")
        return found[0]

    async def until_healthy(self, *, deadline_s: float = READY_S) -> None:
        """Until every member serves linearizable reads and all name one leader."""

        async def healthy() -> bool:
            ready = await asyncio.gather(*(member.is_ready() for member in self.members))
            names = {await member.leader() for member in self.members} if all(ready) else set()
            return len(names) == 1 and None not in names

        await self.until(healthy, "all members serve and name one leader", deadline_s=deadline_s)

    async def until(
        self,
        condition: Callable[[], Coroutine[None, None, bool]],
        what: str,
        *,
        deadline_s: float = READY_S,
    ) -> None:
        """Wait for a condition, asked for again and again; NotReady if it does not come."""
        ends = now() + deadline_s
        while not await condition():
            if now() > ends:
                logs = "\n".join(f"--- {m.name} {self._state(m)}\n{m.log()}" for m in self.members)
                raise NotReady(f"not within {deadline_s} s: {what}\n{logs}")
            await asyncio.sleep(POLL_S)

    def _state(self, member: Member) -> str:
        return "runs" if member.running else f"does not run, exit code {member.exit_code}"

    # -- membership -------------------------------------------------------------------------

    async def ids(self) -> dict[str, str]:
        """The id of each peer URL's member, as any member tells."""
        for member in self.alive:
            status, found = await member.get("/v2/members")
            if status == 200 and isinstance(found, dict):
                return {url: m["id"] for m in found["members"] for url in m["peerURLs"]}
        raise NotReady("nobody lists the members")

    async def add(self) -> Member:
        """Add a fresh member through the API, start it and wait until it serves."""
        member = await self._new_member()
        body = f'{{"peerURLs":["{member.place.peer_url}"]}}'.encode()
        await self._change("POST", "/v2/members", body, done=(201,))
        self.members = [*self.members, member]
        member.settings |= self.joining()
        self.spawn(member)
        await self.until(member.is_ready, f"{member} serves after it was added")
        return member

    def joining(self) -> dict[str, str]:
        """The settings of one that joins the members as they are now, itself among them."""
        return {
            "initial-cluster": ",".join(f"{m.name}={m.place.peer_url}" for m in self.members),
            "initial-cluster-state": "existing",
        }

    async def remove(self, member: Member) -> None:
        """Remove a member through the API of another; if it runs, its process must end well."""
        ran = member.running
        number = (await self.ids())[member.place.peer_url]
        self.members = [other for other in self.members if other is not member]
        member.ended = True
        try:
            await self._change("DELETE", f"/v2/members/{number}", b"", done=(204, 404, 410))

            async def ended() -> bool:
                return not member.running

            await self.until(ended, f"the process of {member} ends after its removal")
            if ran and member.exit_code != 0:
                raise NotReady(f"{member} ended with {member.exit_code}:\n{member.log()}")
        finally:
            member.kill()
            if member.name in self.disks:
                self.disks.pop(member.name).close()

    async def _change(
        self, method: str, target: str, body: bytes, *, done: tuple[int, ...]
    ) -> None:
        """A change of the membership: refused for 5 s after every start, so asked for again."""
        last = ""

        async def accepted() -> bool:
            nonlocal last
            for member in self.alive:
                client = member.client()
                try:
                    answer = await client.send(
                        method, target, body, "application/json", timeout_s=REQUEST_S
                    )
                except (NotSent, Broken, Late) as error:
                    last = repr(error)
                    continue
                finally:
                    client.close()
                last = f"{member}: {answer.status} {answer.body!r}"
                # A change that got no answer may have been made: then it is refused as made.
                if answer.status in done or (answer.status == 409 and method == "POST"):
                    return True
            return False

        try:
            await self.until(accepted, f"{method} {target}", deadline_s=CHANGE_S)
        except NotReady as failure:
            raise NotReady(f"{failure}\nlast answer: {last}") from None

    async def _new_member(self) -> Member:
        self._names += 1
        name = f"m{self._names}"
        place = await self.network.place(name)
        directory = self._space / name
        if self._with_disks:
            self.disks[name] = await asyncio.to_thread(Disk, directory)
        else:
            directory.mkdir()
        settings = {
            "name": name,
            "data-dir": str(directory / "data"),
            "listen-client-urls": place.listen_client_urls,
            "advertise-client-urls": place.client_url,
            "listen-peer-urls": place.listen_peer_url,
            "initial-advertise-peer-urls": place.peer_url,
        }
        return Member(
            self.program,
            place,
            settings | self._settings,
            directory=directory,
            by_environment=self._by_environment,
        )
