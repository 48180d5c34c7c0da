"""The client for programs that wait: one request after the other, and every wait has an end.

    with Client(["http://127.0.0.1:2379"]) as client:
        client.set("/greeting", "hello")
        print(client.get("/greeting").node.value)
        for change in client.watch("/config", recursive=True):
            ...

Laws: a request goes round the endpoints until one answers, but one that must not happen twice
(creating, removing, writing under a condition) only while nobody can have heard it: see failover.
The whole of a request takes `total_timeout_s` at most; a long poll waits for ever.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from golang.structs import TEXT, Struct
from pyetcdctl import answers, arguments, dialling, requests, tls_errors
from pyetcdctl.answers import Member, Result
from pyetcdctl.endpoints import DEFAULT, Endpoint, Ring
from pyetcdctl.errors import (
    BadAnswer,
    ClientError,
    DeadlineExceeded,
    EndpointFailed,
    HeaderTimeout,
    NoEndpoints,
    Refused,
    TLSFailed,
)
from pyetcdctl.failover import Round
from pyetcdctl.requests import Request
from pyetcdctl.surface import LOCK_TTL_S, Surface
from pyetcdctl.tls import TLS
from pyetcdctl.transport import Answer, Patience, Transport
from pyetcdctl.watching import Change, Watch

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from pyetcdctl.leases import Lease, LeaseLost
    from pyetcdctl.locking import Lock
    from pyetcdctl.turn import LockLost


TIMEOUT_S: Final = 2.0
TOTAL_TIMEOUT_S: Final = 5.0
_HEALTH_S: Final = 5.0


class Client(Surface[Result, Member, list[Member], None]):
    """One cluster, seen from a program without an event loop."""

    def __init__(
        self,
        endpoints: Sequence[str] = DEFAULT,
        *,
        credentials: tuple[str, str] | None = None,
        credentials_of_urls: bool = True,
        tls: TLS | None = None,
        timeout_s: float | None = TIMEOUT_S,
        total_timeout_s: float | None = TOTAL_TIMEOUT_S,
        on_request: Callable[[str, str, str | None], None] | None = None,
        luck: random.Random | None = None,
    ) -> None:
        """`credentials`: user and password; without, those of an endpoint's URL are used, if
        `credentials_of_urls` (which etcdctl does not do: there they are only text, and are shown).
        `timeout_s`: for the head of one answer; `total_timeout_s`: for all endpoints together, and
        for the connecting of a long poll (30 s at most); None: without end. `on_request` is told
        method, URL and body of every request. Raises BadEndpoint, BadTLS and BadCredentials.
        """
        tls = TLS() if tls is None else tls
        arguments.instance("tls", tls, TLS)
        tls.check()
        self._read = Endpoint.discreet if credentials_of_urls else Endpoint.parse
        self._ring = Ring(endpoints, luck, self._read)
        self.limit(timeout_s=timeout_s, total_timeout_s=total_timeout_s)
        self._transport = Transport(
            credentials=credentials,
            credentials_of_urls=credentials_of_urls,
            tls=tls,
            on_request=on_request,
        )
        self._open = Transport(tls=tls)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, for good: watches and other waiting of it and of its twins, in
        whichever thread, end with ClientClosed, and so does what is asked from now on.
        """
        self._transport.close()
        self._open.close()

    def twin(self, on_close: Callable[[], None] | None = None) -> Client:
        """Another client of the same cluster, for another thread; to be closed by who asked for it.

        It has connections of its own and begins at the endpoint that answered last. It is closed
        with this one, too; `on_close` is called then, in the thread that closes.
        """
        import copy

        other = copy.copy(self)
        other._ring = copy.copy(self._ring)
        other._transport = self._transport.fresh(on_close)
        other._open = self._open.fresh()
        return other

    def lock(
        self,
        key: str,
        *,
        ttl: int = LOCK_TTL_S,
        value: str | None = None,
        wait_s: float | None = None,
        on_lost: Callable[[LockLost], None] | None = None,
        on_outage: Callable[[ClientError], None] | None = None,
    ) -> Lock:
        """A lock on a directory's queue, to be used in a `with` block; options as Lock's."""
        from pyetcdctl.locking import Lock

        return Lock(
            self, key, ttl=ttl, value=value, wait_s=wait_s, on_lost=on_lost, on_outage=on_outage
        )

    def keep(
        self,
        key: str,
        ttl: int,
        *,
        on_lost: Callable[[LeaseLost], None] | None = None,
        alive_s: float | None = None,
    ) -> Lease:
        """Keep a key alive in a `with` block; options as Lease's."""
        from pyetcdctl.leases import Lease

        return Lease(self, key, ttl, on_lost=on_lost, alive_s=alive_s)

    @property
    def endpoints(self) -> list[str]:
        """The base URLs in the order they are tried, without passwords."""
        return self._ring.texts

    def sync(self) -> None:
        """Use the client URLs that the members publish; raises NoEndpoints if they have none."""
        urls = [url for member in self.members() for url in member.client_urls]
        if not urls:
            raise NoEndpoints
        self._ring.replace(urls)

    # -- what waits for ever ------------------------------------------------------------------

    def watch(
        self,
        key: str,
        *,
        recursive: bool = False,
        after_index: int | None = None,
        known: Result | None = None,
        on_outage: Callable[[ClientError | None], None] | None = None,
    ) -> Iterator[Change]:
        """Every change behind `after_index`, or behind what a `get` of the key answered (`known`),
        or from the first step of the loop on, without gaps, for ever.

        Nothing is asked before that step: what happens between this call and it is told only to who
        says where to begin.

        Endpoints that fail are tried again; what cannot be caught up with any more comes as one
        Change that says how things are (see watching). `on_outage` is told of each outage once, and
        by None that it is over.
        """
        watch = Watch(
            key, recursive=recursive, after_index=after_index, known=known, on_outage=on_outage
        )
        while True:
            request = watch.request()
            try:
                outcome: Result | ClientError = self.keys(request)
            except ClientError as error:
                outcome = error
            change = watch.took(request, outcome)
            if change is not None:
                yield change
            elif watch.is_silent:
                try:
                    self.leader()
                except ClientError as error:
                    watch.failed(error)
                else:
                    watch.answered()
            elif watch.pause_s:
                time.sleep(watch.pause_s)

    def health(self, url: str) -> bytes:
        """What one member, at one of its client URLs, says of its health.

        No credentials are sent. Waits 5 s in all: etcdctl would wait for ever, and a member that
        hangs is what one asks for. Raises EndpointFailed.
        """
        endpoint = self._read(url)
        patience = Patience(None, time.monotonic() + _HEALTH_S)
        try:
            return self._open.exchange(endpoint, Request("GET", requests.HEALTH), patience).body
        except DeadlineExceeded:
            raise HeaderTimeout(endpoint.text) from None
        except TLSFailed as error:
            if str(error) != tls_errors.NOT_TLS:
                raise
            # etcdctl asks for this alone by a client of Go's that looks who is there instead.
            raise TLSFailed("http: server gave HTTP response to HTTPS client") from None

    # -- any request --------------------------------------------------------------------------

    def keys(self, request: Request) -> Result:
        """Make a request about keys; raises EtcdError."""
        return keys_result(self.answer(request))

    def plain(self, request: Request, read: Callable[[bytes], Any]) -> Any:
        """Make a request about members, users or roles; raises Refused with the server's words."""
        return plain_result(request, self.answer(request), read)

    def answer(self, request: Request) -> Answer:
        """Make a request at the endpoints, one after the other."""
        total_s = request.total_s(self._total_timeout_s)
        deadline = None if total_s is None else time.monotonic() + total_s
        patience = Patience(self._timeout_s, deadline, dialling.limit_s(self._total_timeout_s))
        tour = Round(self._ring, request)
        for endpoint in tour:
            try:
                _ = patience.left_s
                answer = self._transport.exchange(endpoint, request, patience)
            except EndpointFailed as error:
                tour.failed(error)
            else:
                if tour.answered(endpoint, answer):
                    return answer
        raise tour.end()


def keys_result(answer: Answer) -> Result:
    """Read an answer about keys."""
    if answer.status in (200, 201):
        result = answers.result(answer.body, answer.index)
        if answer.odd_index:
            raise BadAnswer(answer.odd_index)
        return result
    raise answers.error(answer.body)


def plain_result(request: Request, answer: Answer, read: Callable[[bytes], Any]) -> Any:
    """Read an answer about members, users or roles."""
    if answer.status in request.succeeds:
        return read(answer.body)
    message = f"unexpected status code {answer.status}"
    if request.explained is None or answer.status in request.explained:
        kind = "authError" if request.path.startswith(requests.AUTH) else "membersError"
        try:
            shape = Struct(f"client.{kind}", {"message": TEXT})
            message = answers.unmarshalled(answer.body, shape)["message"]
        except BadAnswer as bad:
            message = str(bad)
    raise Refused(message, answer.status)
