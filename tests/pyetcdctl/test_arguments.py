"""What a program cannot mean is told by the argument's name, by both clients alike."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from pyetcdctl import (
    AsyncClient,
    AsyncLease,
    AsyncLock,
    BadCredentials,
    BadEndpoint,
    BadText,
    Client,
    Lease,
    Lock,
)
from tests.oracle.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

HUGE = 10**5000
TEXTS: dict[str, Callable[[Any], Any]] = {
    "key is None": lambda c: c.get(None),
    "key is b'/a'": lambda c: c.delete(b"/a"),
    "value is None": lambda c: c.set("/a", None),
    "value is 5": lambda c: c.create_in_order("/a", 5),
    "prev_value is 5": lambda c: c.delete("/a", prev_value=5),
    "member_id is 5": lambda c: c.remove_member(5),
    "peer_urls: a list of texts": lambda c: c.add_member("http://127.0.0.1:1"),
    "peer_urls[0] is b'x'": lambda c: c.update_member("1", [b"x"]),
    "half of a surrogate pair": lambda c: c.add_member(["\ud800"]),
    "'/v2/keys/\\ud800' cannot": lambda c: c.get("/\ud800"),
    "'\\ud800' cannot": lambda c: c.set("/a", "\ud800"),
}
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "ttl is 0": lambda c: c.set("/a", "x", ttl=0),
    "ttl is -5": lambda c: c.refresh("/a", -5),
    "ttl is 1.5": lambda c: c.make_dir("/a", ttl=1.5),
    "ttl is a number of 16610 bits": lambda c: c.create_in_order("/a", "x", ttl=HUGE),
    "prev_index is 0": lambda c: c.set("/a", "x", prev_index=0),
    "prev_index is -5": lambda c: c.delete("/a", prev_index=-5),
    "prev_index is 18446744073709551616": lambda c: c.set("/a", "x", prev_index=1 << 64),
    "prev_value is ''": lambda c: c.set("/a", "x", prev_value=""),
    "wait_index is -5": lambda c: c.wait("/a", wait_index=-5),
    "wait_index is a number of": lambda c: c.wait("/a", wait_index=HUGE),
}


OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"endpoints": None}, BadEndpoint, "endpoints: a list of URLs is wanted, and not one NoneType"),
    ({"endpoints": 5}, BadEndpoint, "endpoints: a list of URLs is wanted, and not one int"),
    ({"endpoints": b"http://h"}, BadEndpoint, "a list of URLs is wanted, and not one bytes"),
    ({"endpoints": [None]}, BadEndpoint, "endpoints[0]: a text is wanted, and not one NoneType"),
    ({"endpoints": ["http://h", b"x"]}, BadEndpoint, "endpoints[1]: a text is wanted"),
    ({"credentials": "u:p"}, BadCredentials, "credentials: a pair of texts is wanted"),
    ({"credentials": "up"}, BadCredentials, "credentials: a pair of texts is wanted"),
    ({"credentials": ("u", None)}, BadCredentials, "credentials: a pair of texts is wanted"),
    ({"credentials": ("u", "p", "x")}, BadCredentials, "credentials: a pair of texts is wanted"),
    ({"credentials": (b"u", b"p")}, BadCredentials, "credentials: a pair of texts is wanted"),
    ({"credentials": 5}, BadCredentials, "credentials: a pair of texts is wanted"),
    ({"timeout_s": "x"}, ValueError, "timeout_s is 'x', but has to be a number of seconds"),
    ({"timeout_s": float("nan")}, ValueError, "timeout_s is nan, but"),
    ({"total_timeout_s": True}, ValueError, "total_timeout_s is True, but"),
    ({"total_timeout_s": float("inf")}, ValueError, "total_timeout_s is inf, but"),
    ({"total_timeout_s": HUGE}, ValueError, "total_timeout_s is a number of 16610 bits"),
    ({"tls": "ca.pem"}, TypeError, "tls is 'ca.pem', but has to be a TLS"),
]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(("options", "error", "said"), OPTIONS, ids=[said for *_, said in OPTIONS])
def test_a_client_says_it(
    kind: Callable[..., object], options: dict[str, Any], error: type[Exception], said: str
) -> None:
    """Goal: the same of what a client is made with. Method: what is none, for each option."""
    with pytest.raises(error, match=re.escape(said)):
        kind(**options)


def test_what_a_watch_knows() -> None:
    """Goal: the same of what a watch begins with. Method: a text for what a get answers."""
    with (
        Client(["http://127.0.0.1:1"]) as client,
        pytest.raises(TypeError, match="known is 'x', but has to be a Result"),
    ):
        next(client.watch("/a", known="x"))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Lock, AsyncLock])
def test_how_long_a_lock_is_waited_for(kind: Any) -> None:
    """Goal: the same of a lock's time. Method: a text for it."""
    made = {Lock: Client, AsyncLock: AsyncClient}[kind]
    with pytest.raises(ValueError, match="wait_s is 'x', but"):
        kind(made(["http://127.0.0.1:1"]), "/a", wait_s="x")


@pytest.mark.parametrize("what", TEXTS | NUMBERS)
def test_it_is_told(what: str) -> None:
    """Goal: a sentence with the argument's name, and no condition or time to live that quietly is
    none. Method: ask for it; nobody is there to be asked.
    """
    question = (TEXTS | NUMBERS)[what]
    kind = BadText if what in TEXTS else ValueError
    url = f"http://127.0.0.1:{free_port()}"

    async def ask() -> None:
        async with AsyncClient([url]) as client:
            await question(client)

    said = []
    with Client([url]) as client, pytest.raises(kind) as error:
        question(client)
    said.append(str(error.value))
    with pytest.raises(kind) as error:
        asyncio.run(ask())
    said.append(str(error.value))
    assert what in said[0]
    assert said[0] == said[1]


@pytest.mark.parametrize("index", [-5, HUGE, "5"], ids=("negative", "huge", "a text"))
def test_a_watch_says_it_at_its_first_step(index: Any) -> None:
    """Goal: the same of a watch. Method: indexes that are none."""

    async def first() -> None:
        async with AsyncClient(["http://127.0.0.1:1"]) as client:
            await anext(aiter(client.watch("/a", after_index=index)))

    with pytest.raises(ValueError, match="after_index is "):
        asyncio.run(first())
    with (
        Client(["http://127.0.0.1:1"]) as client,
        pytest.raises(ValueError, match="after_index is"),
    ):
        next(client.watch("/a", after_index=index))


@pytest.mark.parametrize(
    "ttl", [0, -1, 1.5, HUGE, None], ids=("0", "negative", "half", "huge", "none")
)
def test_locks_and_leases_say_it(ttl: Any) -> None:
    """Goal: the same of what is kept alive, when it is made. Method: none that can be."""

    async def made() -> None:
        async with AsyncClient(["http://127.0.0.1:1"]) as client:
            for asynchronous in (AsyncLock, AsyncLease):
                with pytest.raises(ValueError, match="ttl is "):
                    asynchronous(client, "/a", ttl=ttl)

    asyncio.run(made())
    with Client(["http://127.0.0.1:1"]) as client:
        for kind in (Lock, Lease):
            with pytest.raises(ValueError, match="ttl is "):
                kind(client, "/a", ttl=ttl)
