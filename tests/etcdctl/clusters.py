"""Stages that are more than one lone member: TLS, three members, and members that are added.

Laws: states follow each other in the order of the cases that need them, and none is gone back to:
a stage is played through once. A state is reached when the servers say so.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.clients.waiting import until
from tests.etcdctl.cases import Case
from tests.etcdctl.certificates import HOST
from tests.etcdctl.stages import Lone, Stage
from tests.oracle import Closed, Late
from tests.oracle.process import Identity, free_port
from tests.server.members import Member

_SETTLE_S = 40.0
ONE_DOWN = "one follower killed"
NO_QUORUM = "two of three members killed (no quorum)"
ADDED = "one-member cluster after member add of a second member that never started"
RECONFIGURED = (
    "three-member-remove-ok-debug",
    "three-member-list-after-remove",
    "member-list-unstarted-two-peers",
    "member-add-second-unstarted-refused",
)
"""The cases of a young cluster, of which a member is then replaced."""


class Encrypted(Lone):
    """One member with a certificate; the harness itself uses a second, plain listener."""

    name = "t0"

    def __init__(self, kind: type[Member], common: Mapping[str, str]) -> None:
        super().__init__(kind, common)
        self._url = f"https://{HOST}:{free_port()}"
        self._directory = Path(common["TLSDIR"])

    def make(self) -> Member:
        """A member that advertises its encrypted listener."""
        member = super().make()
        member.identity = Identity(self.name, member.identity.peer_url, self._url)
        return member

    def options(self, member: Member) -> tuple[str, ...]:
        """The listeners and the certificate."""
        plain = f"http://{HOST}:{member.client_port}"
        return (
            f"--listen-client-urls={self._url},{plain}",
            f"--cert-file={self._directory / 'server.crt'}",
            f"--key-file={self._directory / 'server.key'}",
        )


class Mutual(Encrypted):
    """One member that wants a certificate of its clients, too."""

    def options(self, member: Member) -> tuple[str, ...]:
        """With the authority that must have signed it."""
        authority = f"--trusted-ca-file={self._directory / 'ca.crt'}"
        return (*super().options(member), "--client-cert-auth", authority)


class Three(Stage):
    """m0 to m2."""

    def prepare(self, case: Case) -> None:
        """Start it if need be."""
        if not self.members:
            self.begin([self.kind(f"m{number}") for number in range(3)])
            self.await_leader()

    def await_leader(self) -> None:
        """Wait until all that run know a leader and feel healthy."""
        for member in self.running():
            for path in ("/v2/members/leader", "/health"):
                await_status(member, path, 200)


class Failing(Three):
    """Three members, of which m0 and then m2 are killed."""

    def prepare(self, case: Case) -> None:
        """Kill whom the state wants dead."""
        super().prepare(case)
        if case.state in (ONE_DOWN, NO_QUORUM) and self.members[0].running:
            self.members[0].kill()
            self.await_leader()
        if case.state == NO_QUORUM and self.members[2].running:
            self.members[2].kill()
            await_status(self.members[1], "/v2/members/leader", 503)


class Reconfigured(Three):
    """Three members, of which m2 is replaced by one that does not start."""

    def prepare(self, case: Case) -> None:
        """Replace m2 as soon as a case is not about the young cluster any more."""
        super().prepare(case)
        if case.name in RECONFIGURED[2:] and 3 not in self.peer_urls:
            self._replace()

    def _replace(self) -> None:
        first, last = self.members[0], self.members[2]
        path = f"/v2/members/{self.roster().ids[2]}"

        def is_removed() -> bool:
            return first.ask("DELETE", path).status in (204, 410)

        def is_added() -> bool:
            return first.ask("POST", "/v2/members", {"peerURLs": peers}).status == 201

        # Both are refused until those concerned have been connected for 5 s.
        until(is_removed, "m2 is removed", deadline_s=_SETTLE_S)
        last.kill()
        peers = self.reserve_peers(3, 4)
        until(is_added, "an unstarted member is added", deadline_s=_SETTLE_S)


class Fresh(Stage):
    """A one-member cluster of its own for each case."""

    def prepare(self, case: Case) -> None:
        """Start a new cluster; add the second member if the state has it."""
        # The leader resigns an election timeout or two after it has lost its quorum: some cases
        # are about before, some about after.
        is_before = case.name == "after-add-member-list"
        self.begin([self.kind("f0")], f"--election-timeout={10_000 if is_before else 500}")
        peers = self.reserve_peers(1)
        if case.state != ADDED:
            return
        member = self.members[0]
        answer = member.ask("POST", "/v2/members", {"peerURLs": peers})
        assert answer.status == 201, answer
        if not is_before:
            await_status(member, "/v2/members/leader", 503)


def await_status(member: Member, path: str, status: int) -> None:
    """Wait until a member answers with this status."""

    def has_come() -> bool:
        try:
            return member.ask("GET", path).status == status
        except (OSError, Closed, Late):
            return False

    until(has_come, f"{member.identity.name}{path} answers {status}", deadline_s=_SETTLE_S)
