"""/v2/members and /v2/machines: who the cluster is (contract/cluster.md section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api import peer_urls
from api.answers import json, message, method_not_allowed, proposal_failed, text
from api.exchange import Answer, BadBody, Request, Response
from api.peer_urls import BadPeerUrls
from kvstore import Member, error_reply, register
from kvstore.commands import UpdateMember, encode
from raft import ProposalFailed

if TYPE_CHECKING:
    from api.backend import Backend

PREFIX: Final = b"/v2/members"
METHODS: Final = ("GET", "POST", "DELETE", "PUT")
MACHINES_METHODS: Final = ("GET", "HEAD")
BODY_BYTES_MAX: Final = 1 << 20
_JSON: Final = "application/json"


class Members:
    """The handlers of /v2/members, /v2/members/... and /v2/machines."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._cluster = b"X-Etcd-Cluster-Id: %b\r\n" % backend.cluster_id.encode()

    async def machines(self, request: Request) -> Answer:
        if request.method not in MACHINES_METHODS:
            return method_not_allowed(MACHINES_METHODS)
        urls = [url for member in self._register() for url in member.client_urls]
        return text(", ".join(sorted(urls)).encode())

    async def handle(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        rest = request.path[len(PREFIX) :].strip(b"/").decode(errors="replace")
        if request.method == "GET":
            return self._get(rest)
        if request.method == "POST":
            return await self._post(request)
        if not rest:
            refused = method_not_allowed(())
            return Response(refused.status, self._cluster + refused.headers, refused.body)
        return await (self._put(request, rest) if request.method == "PUT" else self._delete(rest))

    def _get(self, rest: str) -> Answer:
        if rest == "":
            return self._json({"members": [_shown(member) for member in self._register()]})
        if rest == "leader":
            leader = self._find(self._backend.node.status.leader)
            if leader is None:
                return self._message(503, "During election")
            return self._json(_shown(leader))
        return self._message(404, "Not found")

    async def _post(self, request: Request) -> Answer:
        urls = await self._urls(request)
        if isinstance(urls, Response):
            return urls
        if self._owner(urls) is not None:
            return self._message(409, "membership: peerURL exists")
        return self._message(
            501,
            f"this server cannot add a member yet: {', '.join(urls)} would be the second one, and "
            "replication is not built",
        )

    async def _put(self, request: Request, rest: str) -> Answer:
        if _parse_id(rest) is None:
            return self._no_such(rest)
        member = self._find(_parse_id(rest))
        urls = await self._urls(request)
        if isinstance(urls, Response):
            return urls
        if member is None:
            return self._no_such(rest)
        if self._owner(urls) not in (None, member.id):
            return self._message(409, "membership: peerURL exists")
        try:
            await self._backend.node.propose(encode(UpdateMember(member.id, urls)))
        except ProposalFailed as failure:
            reply = error_reply(proposal_failed(failure))
            return Response(reply.status, self._cluster + b"X-Etcd-Index: 0\r\n", reply.body)
        return Response(204, self._cluster)

    async def _delete(self, rest: str) -> Answer:
        if self._find(_parse_id(rest)) is None:
            return self._no_such(rest)
        # The last member cannot go: with strict-reconfig-check etcd refuses with these words, and
        # without it panics.
        return self._message(500, "Internal Server Error")

    async def _urls(self, request: Request) -> tuple[str, ...] | Response:
        content_type = request.header("Content-Type") or ""
        media_type, parameters, _ = content_type.partition(";")
        if (media_type.strip().lower() if parameters else content_type) != _JSON:
            return self._message(415, f"Bad Content-Type {content_type}, accept {_JSON}")
        try:
            body = await request.body.read(BODY_BYTES_MAX)
        except BadBody as bad:
            return self._message(400, str(bad))
        if body is None:
            return self._message(400, f"the body is longer than {BODY_BYTES_MAX} bytes")
        try:
            return self._backend.check_urls(peer_urls.parse(body))
        except (BadPeerUrls, ValueError) as bad:
            return self._message(400, str(bad))

    def _register(self) -> list[Member]:
        return register(self._backend.machine.store.tree)

    def _find(self, member_id: int | None) -> Member | None:
        return next((m for m in self._register() if m.id == member_id), None)

    def _owner(self, urls: tuple[str, ...]) -> int | None:
        """The member that has one of these peer URLs already."""
        return next((m.id for m in self._register() if set(m.peer_urls) & set(urls)), None)

    def _no_such(self, rest: str) -> Response:
        member_id = _parse_id(rest)
        shown = rest if member_id is None else f"{member_id:x}"
        return self._message(404, f"No such member: {shown}")

    def _json(self, value: object) -> Response:
        return json(value, headers=self._cluster)

    def _message(self, status: int, words: str) -> Response:
        return message(status, words, self._cluster)


def _shown(member: Member) -> dict[str, object]:
    return {
        "id": f"{member.id:x}",
        "name": member.name,
        "peerURLs": member.peer_urls,
        "clientURLs": member.client_urls,
    }


def _parse_id(rest: str) -> int | None:
    """A member id in hex, upper case and leading zeros allowed; None if it is none."""
    if not rest or not all(c in "0123456789abcdefABCDEF" for c in rest):
        return None
    member_id = int(rest, 16)
    return member_id if member_id < 1 << 64 else None
