"""What every stage has: the servers of one kind, and the values of the placeholders on it.

Laws: a stage is used by one case at a time. `prepare` brings it to where the case begins; `names`
are the placeholders' values after that; what only shows afterwards (the id of a member that the
case adds) is in the names asked for afterwards. Members are known by the number in the case.
"""

import json
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

from tests.clients.reachable import watchers
from tests.clients.waiting import until
from tests.etcdctl.cases import Case
from tests.etcdctl.orders import Roster
from tests.oracle import Request, fetch
from tests.server.members import Member, start

ENDPOINTS_OF_CASE = "ETCDCTL_ENDPOINTS"


class ClosedPort:
    """A port that refuses connections and that nobody else can get: bound, not listening."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.address}"

    def close(self) -> None:
        """Give it up."""
        self._socket.close()


class Stage:
    """A stage without servers; each kind is a subclass."""

    def __init__(self, kind: type[Member], common: Mapping[str, str]) -> None:
        self.kind = kind
        self.members: list[Member] = []
        self.peer_urls: dict[int, str] = {}
        self._common = common
        self._roster = Roster({})
        self._open = ExitStack()

    # -- for the play -------------------------------------------------------------------------

    def prepare(self, case: Case) -> None:
        """Bring it to where the case begins."""

    def names(self) -> dict[str, str]:
        """The placeholders' values now."""
        found = dict(self._common)
        for number, member in enumerate(self.members):
            url = member.identity.client_url
            found |= {f"EP{number}": url, f"EP{number}ADDR": url.split("://")[1]}
        found |= {f"PEER{number}": url for number, url in self.peer_urls.items()}
        found |= {f"ID{number}": ident for number, ident in self.roster().ids.items()}
        return found

    def environment(self) -> dict[str, str | None]:
        """What a client's environment has on it before the case's own, with placeholders."""
        return {}

    def roster(self) -> Roster:
        """The members' ids and their leader, as a member that runs knows them."""
        for member in self.running():
            listed = member.see("/v2/members")["members"]
            ids = {self._number(one["peerURLs"]): str(one["id"]) for one in listed}
            self._roster = Roster(ids, self._leader(member, ids))
            break
        return self._roster

    def watchers(self) -> int:
        """How many watchers the servers have."""
        return sum(watchers(member) for member in self.running())

    def running(self) -> list[Member]:
        """The members that run."""
        return [member for member in self.members if member.running]

    def kill(self) -> None:
        """End all servers as a crash would."""
        for member in self.members:
            member.kill()

    def close(self) -> None:
        """End everything that belongs to it."""
        self._open.close()
        self.members, self.peer_urls = [], {}

    # -- for the kinds ------------------------------------------------------------------------

    def begin(self, members: Sequence[Member], *options: str) -> None:
        """Start a new cluster of these members, and end the one before."""
        self.close()
        self.members = list(members)
        self.peer_urls = {n: one.identity.peer_url for n, one in enumerate(members)}
        for member in members:
            self._open.callback(member.discard)
            member.among(members, *options)
        start(members)

    def reserve_peers(self, *numbers: int) -> list[str]:
        """Peer URLs, in order, of members that will never start, by their numbers."""
        ports = [ClosedPort() for _ in numbers]
        for port in ports:
            self._open.callback(port.close)
        urls = sorted(port.url for port in ports)
        self.peer_urls |= dict(zip(numbers, urls, strict=True))
        return urls

    def _number(self, peer_urls: Sequence[str]) -> int:
        return next(n for n, url in self.peer_urls.items() if url in peer_urls)

    @staticmethod
    def _leader(member: Member, ids: Mapping[int, str]) -> int | None:
        answer = member.ask("GET", "/v2/members/leader")
        if answer.status != 200:
            return None
        ident = json.loads(answer.body)["id"]
        return next((number for number, one in ids.items() if one == ident), None)


class Mocked(Stage):
    """The mock servers; they have no state and are among the common names."""


class Lone(Stage):
    """One member whose keys are wiped before each case."""

    name = "n0"

    def __init__(self, kind: type[Member], common: Mapping[str, str]) -> None:
        super().__init__(kind, common)
        self._index = 0

    def prepare(self, case: Case) -> None:
        """Start it if need be, wipe all keys, and read the index from which cases count."""
        if not self.members:
            member = self.make()
            self.begin([member], *self.options(member))
        until(lambda: self.watchers() == 0, "the watchers of the case before are gone")
        self.reset()
        self._wipe(case)
        self._index = self.members[0].index

    def names(self) -> dict[str, str]:
        """With the index."""
        return super().names() | {"B": str(self._index)}

    def environment(self) -> dict[str, str | None]:
        """It is where clients go unless the case says otherwise."""
        return {ENDPOINTS_OF_CASE: "{{EP0}}"}

    def make(self) -> Member:
        """A new member."""
        return self.kind(self.name)

    def options(self, member: Member) -> tuple[str, ...]:
        """What else the member is started with."""
        return ()

    def reset(self) -> None:
        """Forget what is not a key."""

    def _wipe(self, case: Case) -> None:
        member = self.members[0]
        listed = member.see("/v2/keys/")["node"].get("nodes", [])
        # Hidden keys are in no listing, but the case names those it cares about.
        hidden = {"/" + word.split("/")[1] for word in case.words if word.startswith("/_")}
        for key in [*(node["key"] for node in listed), *sorted(hidden)]:
            answer = member.ask("DELETE", f"/v2/keys{quote(key)}?recursive=true")
            assert answer.status in (200, 404), answer


class Guarded(Lone):
    """One member with users and roles, which are removed before each case."""

    name = "a0"
    _ROOT = ("Authorization", "Basic cm9vdDpycHc=")
    """root:rpw, which is what all cases give to root."""

    def reset(self) -> None:
        """Authentication off, no users, only the role root."""
        if self._ask("GET", "/v2/auth/enable")["enabled"]:
            self._ask("DELETE", "/v2/auth/enable")
        for user in self._ask("GET", "/v2/auth/users")["users"] or []:
            self._ask("DELETE", f"/v2/auth/users/{quote(user['user'])}")
        for role in self._ask("GET", "/v2/auth/roles")["roles"] or []:
            if role["role"] != "root":
                self._ask("DELETE", f"/v2/auth/roles/{quote(role['role'])}")

    def _ask(self, method: str, path: str) -> Any:
        request = Request(method, path.encode(), (self._ROOT,))
        answer = fetch(self.members[0].client_port, request)
        assert answer.status == 200, f"{method} {path}: {answer}"
        return json.loads(answer.body) if answer.body else None
