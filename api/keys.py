"""/v2/keys: reads, writes and watches."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from api import forms, params
from api.answers import method_not_allowed, proposal_failed
from api.exchange import Answer, BadBody, Request, Response, Stream
from api.express import Ticket
from api.params import Read, Watch, Write
from api.render import JSON
from api.target import key_of
from api.watching import Feed
from kvstore import EtcdError, Reply, error_reply
from kvstore.commands import encode
from kvstore.errors import INVALID_FORM
from raft import ProposalFailed
from raft.errors import NO_SPACE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from api.backend import Backend

PREFIX: Final = b"/v2/keys"
METHODS: Final = ("HEAD", "GET", "PUT", "POST", "DELETE")


_logger = logging.getLogger("api")


class Keys:
    """The handler of everything at and below /v2/keys."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._head = JSON + b"X-Etcd-Cluster-Id: %b\r\n" % backend.cluster_id.encode()

    async def handle(self, request: Request) -> Answer:
        if request.method not in METHODS:
            return method_not_allowed(METHODS)
        content_type = request.header("Content-Type") or ""
        body = b""
        if forms.reads_body(request.method, content_type):
            try:
                read = await request.body.read(forms.BODY_BYTES_MAX)
            except BadBody as bad:
                error = EtcdError(INVALID_FORM, str(bad).encode())
                return self._response(error_reply(error), close=True)
            if read is None:
                too_large = EtcdError(INVALID_FORM, forms.TOO_LARGE)
                return self._response(error_reply(too_large), close=True)
            body = read
        ticket = Ticket(request.method, request.path, request.query, content_type)
        try:
            asked = _parse(ticket, body)
        except EtcdError as error:
            return self._response(error_reply(error))
        if isinstance(asked, Watch):
            return self._watch(asked)
        begun = self._begin(request.method, asked)
        try:
            reply = await (self._read(asked) if isinstance(asked, Read) else self._propose(asked))
        except ProposalFailed as failure:
            reply = error_reply(proposal_failed(failure))
        return self._end(begun, asked, reply)

    def ask(self, ticket: Ticket, body: bytes, done: Callable[[Response], None]) -> bool:
        """Answer a request of the express lane; see api.express.Asks."""
        if not forms.reads_body(ticket.method, ticket.content_type):
            body = b""
        try:
            asked = _parse(ticket, body)
        except EtcdError as error:
            done(self._response(error_reply(error)))
            return True
        if isinstance(asked, Write):
            self._ask_log(ticket.method, asked, done)
        elif isinstance(asked, Read) and not asked.quorum:
            begun = self._begin(ticket.method, asked)
            done(self._end(begun, asked, self._get(asked)))
        else:
            return False
        return True

    def _ask_log(self, method: str, asked: Write, done: Callable[[Response], None]) -> None:
        begun = self._begin(method, asked)

        def replied(future: asyncio.Future[Reply]) -> None:
            failure = future.exception()
            if failure is None:
                reply = future.result()
            elif isinstance(failure, ProposalFailed):
                reply = error_reply(proposal_failed(failure))
            else:
                raise failure
            done(self._end(begun, asked, reply))

        self._propose(asked).add_done_callback(replied)

    def _begin(self, method: str, asked: Read | Write) -> tuple[str, float]:
        """Count a request; return what it is counted as and when it began."""
        label = "QGET" if isinstance(asked, Read) and asked.quorum else method
        self._backend.meter.received[label] += 1
        return label, time.perf_counter()

    def _end(self, begun: tuple[str, float], asked: Read | Write, reply: Reply) -> Response:
        label, started_s = begun
        meter = self._backend.meter
        if _logger.isEnabledFor(logging.DEBUG):
            key = asked.key if isinstance(asked, Read) else asked.command.key
            took_ms = 1000 * (time.perf_counter() - started_s)
            _logger.debug("%s %a: %d in %.3f ms", label, key, reply.status, took_ms)
        if not reply.ok:
            meter.failed[label, reply.status] += 1
            return self._response(reply)
        meter.succeeded(label, time.perf_counter() - started_s)
        if isinstance(asked, Write) and asked.no_value:
            body = b'{"action":"%b"}\n' % reply.action
            return self._response(Reply(reply.status, reply.index, body))
        return self._response(reply)

    async def _read(self, asked: Read) -> Reply:
        if asked.quorum:
            node = self._backend.node
            try:
                await node.read_barrier()
            except ProposalFailed as failure:
                if not node.driver.disk_full:
                    raise
                # What is to be read may not have come to this member for want of room.
                reason = NO_SPACE.removeprefix("etcdserver: ")
                raise ProposalFailed(f"{failure}; {reason}") from None
        return self._get(asked)

    def _get(self, asked: Read) -> Reply:
        return self._backend.machine.store.get(
            asked.key,
            self._backend.node.cluster_time_ns,
            recursive=asked.recursive,
            in_order=asked.in_order,
        )

    def _propose(self, asked: Write) -> asyncio.Future[Reply]:
        return self._backend.node.propose(encode(asked.command))

    def _watch(self, asked: Watch) -> Answer:
        backend = self._backend
        store = backend.machine.store
        backend.meter.watch_requests += 1
        feed = Feed(backend.feeds)
        index = store.index
        try:
            feed.watcher = store.watch(
                asked.key,
                feed.deliver,
                since=asked.since,
                recursive=asked.recursive,
                stream=asked.stream,
                lost=feed.end,
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


def _parse(ticket: Ticket, body: bytes) -> params.KeyRequest:
    form = forms.parse(ticket.method, ticket.content_type, ticket.query, body)
    return params.parse(ticket.method, key_of(ticket.path, PREFIX), form)
