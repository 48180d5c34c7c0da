"""A request that was done, and whose answer was lost, is never told as refused or done twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyetcdctl import AsyncClient, Client, ClientError, OutcomeUnknown
from tests.oracle.process import free_port
from tests.pyetcdctl.losing import losing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITES: dict[str, Callable[[Any, str], Any]] = {
    "PUT": lambda c, key: c.set(key, "v"),
    "PUT, only if new": lambda c, key: c.set(key, "v", prev_exist=False),
    "PUT, a directory": lambda c, key: c.make_dir(key),
    "DELETE": lambda c, key: c.delete(key),
    "POST": lambda c, key: c.create_in_order(key, "v"),
}


CONDITIONAL: dict[str, Callable[[Any, str], Any]] = {
    "value": lambda c, key: c.set(f"{key}/k", "new", prev_value="old"),
    "index": lambda c, key: c.set(f"{key}/k", "new", prev_index=c.index),
    "there": lambda c, key: c.set(f"{key}/k", "new", prev_exist=True),
    "not there": lambda c, key: c.set(f"{key}/new", "new", prev_exist=False),
    "a directory": lambda c, key: c.make_dir(f"{key}/dir"),
    "a directory that is there": lambda c, key: c.make_dir(key, prev_exist=True, ttl=100),
    "removed": lambda c, key: c.delete(f"{key}/k"),
    "removed, value": lambda c, key: c.delete(f"{key}/k", prev_value="old"),
    "removed, index": lambda c, key: c.delete(f"{key}/k", prev_index=c.index),
}


class InOrder(random.Random):
    """Leaves endpoints in the order they are given."""

    def shuffle(self, _list: Any) -> None:
        """Do nothing."""


def told(
    kind: type[Client | AsyncClient],
    ask: Callable[[Any], Any],
    *urls: str,
    is_first: bool = False,
    timeout_s: float = 20.0,
) -> object:
    """What a client says to a request, on a connection that was used before or (`is_first`) not.
    Its patience, `timeout_s` for a head, outlasts what a busy machine makes of a good endpoint.
    """
    options: dict[str, Any] = {"timeout_s": timeout_s, "total_timeout_s": 60.0}

    async def awaited() -> object:
        async with AsyncClient(urls, luck=InOrder(), **options) as client:
            if not is_first:
                await client.members()
            return await ask(client)

    try:
        if kind is AsyncClient:
            return asyncio.run(awaited())
        with Client(urls, luck=InOrder(), **options) as client:
            if not is_first:
                client.members()
            return ask(client)
    except ClientError as error:
        return error


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_it_is_sent_once(
    url: str, place: str, write: str, kind: type[Client | AsyncClient]
) -> None:
    """Goal: what changes something goes out once to a server, although a connection that was kept
    ends without an answer. Method: count what a way that loses answers was asked.
    """
    with losing(url) as way:
        said = told(kind, lambda c: WRITES[write](c, f"{place}/{kind.__name__}/{write}"), way.url)
        assert isinstance(said, ClientError)
        assert len(way.written) == 1, way.written


@pytest.mark.parametrize("write", CONDITIONAL)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_it_is_not_told_as_refused(
    client: Client, url: str, place: str, write: str, kind: type[Client | AsyncClient]
) -> None:
    """Goal: what was done under a condition and not answered is an unknown outcome, and is not
    made again at another endpoint, which would say that the condition does not hold. Method: an
    endpoint that loses answers, and a good one behind it.
    """
    key = f"{place}/{kind.__name__}/{write}"
    index = client.set(f"{key}/k", "old").node.modified_index

    def ask(asking: Any) -> Any:
        asking.index = index
        return CONDITIONAL[write](asking, key)

    with losing(url) as way:
        said = told(kind, ask, way.url, url)
        assert len(way.written) == 1
    assert isinstance(said, OutcomeUnknown), said
    assert str(said).endswith("whether it has been done is not known")
    assert client.wait(key, wait_index=index + 1, recursive=True).node.modified_index > index


@contextlib.contextmanager
def unconnectable() -> Iterator[str]:
    """A URL that answers no attempt to connect, like a machine that is off."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # its queue is full
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_machine_that_is_off_costs_one_time_out(
    url: str, place: str, kind: type[Client | AsyncClient]
) -> None:
    """Goal: the time for an answer's head counts from the connecting on, as with etcdctl, and the
    next endpoint is asked, also for what must not happen twice. Method: an endpoint that answers
    no attempt to connect, and a good one behind it.
    """

    def ask(client: Any) -> Any:
        return client.make_dir(f"{place}/{kind.__name__}")

    with unconnectable() as off:
        begun = time.monotonic()
        said = told(kind, ask, off, url, is_first=True, timeout_s=3.0)
        assert not isinstance(said, ClientError), said
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("write", CONDITIONAL)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_nobody_heard_is_done_elsewhere(
    client: Client, url: str, place: str, write: str, kind: type[Client | AsyncClient]
) -> None:
    """Goal: a dead endpoint costs no request that must not happen twice. Method: nobody at the
    first, a good one behind it.
    """
    key = f"{place}/{kind.__name__}/{write}"
    index = client.set(f"{key}/k", "old").node.modified_index

    def ask(asking: Any) -> Any:
        asking.index = index
        return CONDITIONAL[write](asking, key)

    said = told(kind, ask, f"http://127.0.0.1:{free_port()}", url, is_first=True)
    assert not isinstance(said, ClientError), said
    assert client.wait(key, wait_index=index + 1, recursive=True).node.modified_index > index
