"""/v2/members and /v2/machines: who the cluster is (contract/cluster.md section 2)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from api import peer_urls
from api.answers import json, message, method_not_allowed, text
from api.exchange import Answer, BadBody, Request, Response
from api.peer_urls import BadPeerUrls
from api.reconfiguration import objection_to_add, objection_to_remove
from kvstore import Member, register
from kvstore.commands import AddMember, Command, RemoveMember, UpdateMember, encode
from raft import Change, ChangeRefused, Peer, ProposalFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.backend import Backend

PREFIX: Final = b"/v2/members"
METHODS: Final = ("GET", "POST", "DELETE", "PUT")
MACHINES_METHODS: Final = ("GET", "HEAD")
BODY_BYTES_MAX: Final = 256 << 10
_JSON: Final = "application/json"

# What agreement says when it refuses a change.
_ID_EXISTS: Final = "membership: ID exists"
_URL_EXISTS: Final = "membership: peerURL exists"
_NOT_FOUND: Final = "membership: ID not found"
_REMOVED: Final = "membership: ID removed"

_logger = logging.getLogger("api")


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
        rest = request.path[len(PREFIX) :].removeprefix(b"/").decode(errors="replace")
        if request.method == "GET":
            return self._get(rest)
        if request.method == "POST":
            return await self._post(request)
        if not rest:
            refused = method_not_allowed(())
            return Response(refused.status, refused.headers + self._cluster, refused.body)
        return await (self._put(request, rest) if request.method == "PUT" else self._delete(rest))

    def _get(self, rest: str) -> Answer:
        if rest == "":
            return self._json({"members": [_shown(member) for member in self._register()]})
        if rest == "leader":
            leading = self._backend.node.status.leader
            leader = next((m for m in self._register() if m.id == leading), None)
            if leader is None:
                return self._message(503, "During election")
            return self._json(_shown(leader))
        return self._message(404, "Not found")

    async def _post(self, request: Request) -> Answer:
        urls = await self._urls(request)
        if isinstance(urls, Response):
            return urls
        peer = Peer(self._backend.mint_id(urls), urls)
        if self._backend.strict_reconfig_check:
            objection = objection_to_add(self._register(), self._me, self._reachable_s)
            if objection is not None:
                _logger.warning("%s, rejecting member add %s", objection, ", ".join(urls))
                return self._failed()
        refusal = await self._refusal(
            Change("add", peer),
            AddMember(peer.id, urls),
            {words: self._message(409, words) for words in (_ID_EXISTS, _URL_EXISTS)},
        )
        if refusal is not None:
            return refusal
        return json(_shown(Member(peer.id, "", urls, ())), status=201, headers=self._cluster)

    async def _put(self, request: Request, rest: str) -> Answer:
        member_id = _parse_id(rest)
        if member_id is None:
            return self._no_such(rest)
        urls = await self._urls(request)
        if isinstance(urls, Response):
            return urls
        refusal = await self._refusal(
            Change("update", Peer(member_id, urls)),
            UpdateMember(member_id, urls),
            {
                _NOT_FOUND: self._no_such(f"{member_id:x}"),
                _URL_EXISTS: self._message(409, _URL_EXISTS),
            },
        )
        return refusal or Response(204, self._cluster)

    async def _delete(self, rest: str) -> Answer:
        member_id = _parse_id(rest)
        if member_id is None:
            return self._no_such(rest)
        if self._backend.strict_reconfig_check:
            members = self._register()
            objection = objection_to_remove(members, self._me, self._reachable_s, member_id)
            if objection is not None:
                _logger.warning("%s, rejecting remove member %x", objection, member_id)
                return self._failed()
        # DEVIATES: etcd without strict-reconfig-check removes the last member, and panics.
        refusal = await self._refusal(
            Change("remove", Peer(member_id, ())),
            RemoveMember(member_id),
            {
                _NOT_FOUND: self._no_such(f"{member_id:x}"),
                _REMOVED: self._message(410, f"Member permanently removed: {member_id:x}"),
            },
        )
        return refusal or Response(204, self._cluster)

    async def _refusal(
        self, change: Change, command: Command, answers: Mapping[str, Response]
    ) -> Response | None:
        """Have a change committed; return the answer if that did not happen.

        `answers` are those to what agreement refuses, by its words.
        """
        failure: Exception
        try:
            await self._backend.node.change(change, encode(command))
        except ChangeRefused as refused:
            if (answer := answers.get(str(refused))) is not None:
                return answer
            failure = refused
        except ProposalFailed as failed:
            failure = failed
        else:
            return None
        _logger.error("could not %s member %x: %s", change.kind, change.peer.id, failure)
        return self._failed()

    async def _urls(self, request: Request) -> tuple[str, ...] | Response:
        content_type = request.header("Content-Type") or ""
        media_type, parameters, _ = content_type.partition(";")
        if parameters:
            content_type = media_type.strip().lower()
        if content_type != _JSON:
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

    @property
    def _me(self) -> int:
        return self._backend.node.identity.member_id

    def _reachable_s(self, member_id: int) -> float | None:
        since_s = self._backend.node.connected_since(member_id)
        return None if since_s is None else asyncio.get_running_loop().time() - since_s

    def _register(self) -> list[Member]:
        return register(self._backend.machine.store.tree)

    def _find(self, member_id: int | None) -> Member | None:
        return next((m for m in self._register() if m.id == member_id), None)

    def _no_such(self, shown: str) -> Response:
        return self._message(404, f"No such member: {shown}")

    def _failed(self) -> Response:
        """What etcd answers to whatever else it was; the log knows more."""
        return self._message(500, "Internal Server Error")

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
