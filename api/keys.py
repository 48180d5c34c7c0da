"""/v2/keys: reads, writes and watches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from api import forms, params
from api.answers import method_not_allowed, proposal_failed
from api.exchange import Answer, BadBody, Request, Response, Stream
from api.params import Read, Watch, Write
from api.render import JSON
from api.target import key_of
from api.watching import Feed
from kvstore import EtcdError, Reply, error_reply
from kvstore.commands import encode
from kvstore.errors import INVALID_FORM
from raft import ProposalFailed

if TYPE_CHECKING:
    from api.backend import Backend

PREFIX: Final = b"/v2/keys"
METHODS: Final = ("HEAD", "GET", "PUT", "POST", "DELETE")


class Keys:
    """The handler of everything at and below /v2/keys."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._head = JSON + b"X-Etcd-Cluster-Id: %b\r\n" % backend.cluster_id.encode()

    async def handle(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        try:
            asked = await self._parse(request)
        except EtcdError as error:
            return self._response(error_reply(error), close=error.cause == forms.TOO_LARGE)
        except BadBody as bad:
            cause = str(bad).encode()
            return self._response(error_reply(EtcdError(INVALID_FORM, cause)), close=True)
        if isinstance(asked, Watch):
            return self._watch(asked)
        return await self._measured(request.method, asked)

    async def _parse(self, request: Request) -> params.KeyRequest:
        content_type = request.header("Content-Type") or ""
        body = b""
        if forms.reads_body(request.method, content_type):
            read = await request.body.read(forms.BODY_BYTES_MAX)
            if read is None:
                raise EtcdError(INVALID_FORM, forms.TOO_LARGE)
            body = read
        form = forms.parse(request.method, content_type, request.query, body)
        return params.parse(request.method, key_of(request.path, PREFIX), form)

    async def _measured(self, method: str, asked: Read | Write) -> Response:
        meter = self._backend.meter
        label = "QGET" if isinstance(asked, Read) and asked.quorum else method
        meter.received[label] += 1
        started_s = time.perf_counter()
        reply = await (self._read(asked) if isinstance(asked, Read) else self._write(asked))
        if reply.ok:
            meter.succeeded(label, time.perf_counter() - started_s)
        else:
            meter.failed[label, reply.status] += 1
        if isinstance(asked, Write) and asked.no_value and reply.ok:
            body = b'{"action":"%b"}\n' % reply.action
            return self._response(Reply(reply.status, reply.index, body))
        return self._response(reply)

    async def _read(self, asked: Read) -> Reply:
        node = self._backend.node
        if asked.quorum:
            try:
                await node.read_barrier()
            except ProposalFailed as failure:
                return error_reply(proposal_failed(failure))
        return self._backend.machine.store.get(
            asked.key, node.cluster_time_ns, recursive=asked.recursive, in_order=asked.in_order
        )

    async def _write(self, asked: Write) -> Reply:
        try:
            return await self._backend.node.propose(encode(asked.command))
        except ProposalFailed as failure:
            return error_reply(proposal_failed(failure))

    def _watch(self, asked: Watch) -> Answer:
        backend = self._backend
        store = backend.machine.store
        backend.meter.watch_requests += 1
        feed = Feed(backend.feeds, once=not asked.stream)
        index = store.index
        try:
            feed.watcher = store.watch(
                asked.key,
                feed.deliver,
                since=asked.since,
                recursive=asked.recursive,
                stream=asked.stream,
            )
        except EtcdError as error:
            feed.close()
            return self._response(error_reply(error))
        return Stream(self._headers(index), feed, once=not asked.stream)

    def _headers(self, index: int) -> bytes:
        node = self._backend.node
        return b"%bX-Etcd-Index: %d\r\nX-Raft-Index: %d\r\nX-Raft-Term: %d\r\n" % (
            self._head,
            index,
            node.applied_index,
            node.term,
        )

    def _response(self, reply: Reply, *, close: bool = False) -> Response:
        if reply.ok:
            headers = self._headers(reply.index)
        else:
            headers = b"%bX-Etcd-Index: %d\r\n" % (self._head, reply.index)
        return Response(reply.status, headers, reply.body, close)
