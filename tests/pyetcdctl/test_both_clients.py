"""Client and AsyncClient: the same questions, the same answers, the same errors.

Each exchange is made with both, against a real etcd, against our server and against servers that
are not quite one; what they return or raise, and what the server was asked, has to be equal.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pyetcdctl import (
    AsyncClient,
    AsyncLease,
    AsyncLock,
    BadCredentials,
    Client,
    ClientError,
    Lease,
    Lock,
    Result,
)
from tests.etcdctl.mocks import Mocks
from tests.oracle import Pyetcd
from tests.oracle.process import RealEtcd, Server, free_port
from tests.pyetcdctl.answering import Reply, answering

if TYPE_CHECKING:
    from email.message import Message

Question = Callable[[Any], Any]

QUESTIONS: dict[str, Question] = {
    "a missing key": lambda c: c.get("/nope/a b"),
    "a new key": lambda c: c.set("/k", "v\u00e9 &<>"),
    "a key": lambda c: c.get("/k", quorum=True),
    "an odd key": lambda c: c.set("//x/../y z/%41?\u00fc", "1", ttl=100),
    "the tree": lambda c: c.get("/", recursive=True, sorted=True),
    "only if the value is": lambda c: c.set("/k", "2", prev_value="v\u00e9 &<>"),
    "only if the value is another": lambda c: c.set("/k", "3", prev_value="x"),
    "only if it is new": lambda c: c.set("/k", "3", prev_exist=False),
    "only if it is there": lambda c: c.set("/none", "3", prev_exist=True),
    "a value for a directory": lambda c: c.set("/", "3"),
    "below a key": lambda c: c.set("/k/below", "3"),
    "a directory": lambda c: c.make_dir("/dir", ttl=50),
    "a directory again": lambda c: c.make_dir("/dir"),
    "in order": lambda c: c.create_in_order("/queue", "x"),
    "longer": lambda c: c.refresh("/k", 70),
    "a directory like a key": lambda c: c.delete("/queue"),
    "a directory that is not empty": lambda c: c.delete("/queue", dir=True),
    "a directory with all": lambda c: c.delete("/queue", recursive=True),
    "only another one": lambda c: c.delete("/k", prev_index=1),
    "a key away": lambda c: c.delete("/k"),
    "events of the past": lambda c: c.wait("/k", wait_index=4),
    "members": lambda c: c.members(),
    "the leader": lambda c: c.leader(),
    "no such member": lambda c: c.update_member("abc", ["http://127.0.0.1:1"]),
    "no member to remove": lambda c: c.remove_member("abc"),
    "no URL": lambda c: c.add_member(["nonsense"]),
}


def heard(question: Question, url: str, **options: Any) -> object:
    """What Client makes of a question."""
    with Client([url], **options) as client:
        try:
            return plain(question(client))
        except ClientError as error:
            return type(error), str(error)


def awaited(question: Question, url: str, **options: Any) -> object:
    """What AsyncClient makes of a question."""

    async def ask() -> object:
        async with AsyncClient([url], **options) as client:
            try:
                return plain(await question(client))
            except ClientError as error:
                return type(error), str(error)

    return asyncio.run(ask())


def plain(answer: object) -> object:
    """An answer without its expirations, which differ from one second to the next."""
    if isinstance(answer, Result):
        return (answer.action, *(_ageless(node) for node in (answer.node, answer.prev_node)))
    return answer


def _ageless(node: Any) -> Any:
    if node is None:
        return None
    nodes = None if node.nodes is None else tuple(_ageless(child) for child in node.nodes)
    return node._replace(expiration=bool(node.expiration), ttl=bool(node.ttl), nodes=nodes)


@pytest.fixture(params=[RealEtcd, Pyetcd])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Server]]:
    """Two equal servers."""
    with request.param() as one, request.param() as other:
        yield one, other


def test_they_ask_and_answer_alike(pair: tuple[Server, Server]) -> None:
    """Goal: a program may change from one client to the other. Method: the same questions in the
    same order, each client at a server of its own.
    """
    for what, question in QUESTIONS.items():
        one, other = heard(question, pair[0].url), awaited(question, pair[1].url)
        assert one == other, what


def test_bad_servers_are_told_alike() -> None:
    """Goal: whatever is wrong with a server, both clients say it with the same words, in bounded
    time. Method: the mock servers of the command line's cases, and a port where nobody is.
    """
    dead = f"http://127.0.0.1:{free_port()}"
    with Mocks(dead) as mocks:
        for url in (*mocks.names.values(), dead):
            address = url if "://" in url else f"http://{url}"
            for question in (
                lambda c: c.get("/a"),
                lambda c: c.set("/a", "b"),
                lambda c: c.set("/a", "b", prev_exist=False),
                lambda c: c.members(),
                lambda c: c.leader(),
            ):
                options = {"timeout_s": 1.5, "total_timeout_s": 3.0}
                one = heard(question, address, **options)
                assert one == awaited(question, address, **options), address


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999",
        f"http://127.0.0.1:{'9' * 50}",
        f"http://127.0.0.1:{'9' * 5000}",
        "ftp://127.0.0.1:1",
        "http://",
        "",
        "http://:1",
        "http://::1:1",
        "http://[::1]:1",
        "http://[::1%25lo]:1",
        "http://[::1%25%00]:1",
        "http://[zz]:1",
        "http://%zz",
        "http://%41:1",
        "http://a..b:1",
        f"http://{'a' * 70}:1",
        "http://\udcff:1",
        "http://\uff0e\u3002:1",
        "http://a b:1",
        "http://*:1",
        "http://0:1",
        "http://127.1:1",
        "http://2130706433:1",
        "http://us er@127.0.0.1:1",
        "http://u%zz@127.0.0.1:1",
        "http://u%3Av:p@127.0.0.1:1",
        "http://127.0.0.1:1/a%zz",
        "http://127.0.0.1:1/\u00fc \udcff?x=\u00fc y",
        "http://127.0.0.1:1\n",
    ],
)
def test_bad_endpoints_are_told_alike(url: str) -> None:
    """Goal: an endpoint that can never be right is told in the same words. Method: ask each client
    that was given one."""

    def key(client: Any) -> Any:
        return client.get("/k")

    def said(ask: Callable[..., object]) -> str:
        try:
            return str(ask(key, url))
        except ClientError as error:
            return str(error)

    assert said(heard) == said(awaited)


@pytest.mark.parametrize("credentials", [("u:p", "x"), ("\ud800", "x"), ("u", "\ud800")])
def test_bad_credentials_are_told_alike(credentials: tuple[str, str]) -> None:
    """Goal: what no server could read back is told by name when a client is made. Method: a colon
    in the user's name, half characters.
    """
    said = []
    for kind in (Client, AsyncClient):
        with pytest.raises(BadCredentials, match=r"^credentials: ") as error:
            kind(["http://127.0.0.1:1"], credentials=credentials)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_credentials_are_sent_alike() -> None:
    """Goal: user and password arrive, from the endpoint or given, with every character they may
    have. Method: a server that tells what it was sent.
    """
    sent: list[str] = []

    def behave(_path: str, headers: Message) -> Reply:
        sent.append(headers["Authorization"])
        return Reply(b'{"node":{"key":"/k"}}')

    def key(client: Any) -> Any:
        return client.get("/k")

    with answering(behave) as url:
        for ask in (heard, awaited):
            ask(key, url.replace("//", "//us%40er:p%3A%C3%BC@"))
            ask(key, url, credentials=("us@er", "p:\u00fc"))
            ask(key, url.replace("//", "//nobody:x@"), credentials=("us@er", "p:\u00fc"))
    assert {base64.b64decode(value.removeprefix("Basic ")).decode() for value in sent} == {
        "us@er:p:\u00fc"
    }


def test_a_redirection_with_odd_characters() -> None:
    """Goal: where a server sends us may have characters no request line can have. Method: a space
    and bytes beyond ASCII in the Location.
    """
    asked: list[str] = []

    def behave(path: str, _headers: Message) -> Reply:
        asked.append(path)
        if len(asked) % 2:
            return Reply(b"", 307, location="/v2/keys/\u00e9 x?a=\u00e9 b")
        return Reply(b'{"node":{"key":"/k"}}')

    def key(client: Any) -> Any:
        return client.get("/k")

    with answering(behave) as url:
        found = heard(key, url)
        assert found == awaited(key, url)
        assert asked[1] == asked[3]


def test_the_ring() -> None:
    """Goal: one dead endpoint of two is no failure, not even for what must not happen twice: nobody
    has heard it. Method: both orders.
    """
    dead = f"http://127.0.0.1:{free_port()}"
    with Pyetcd() as server:
        outcomes = set()
        for seed in range(8):
            luck = random.Random(seed)
            with Client([dead, server.url], luck=luck) as client:
                first = client.endpoints[0]
                assert client.set("/k", "v").action == "set"
                assert client.get("/k").node.value == "v"
            with Client([dead, server.url], luck=random.Random(seed)) as client:
                try:
                    client.set(f"/new{seed}", "v", prev_exist=False)
                    outcomes.add((first == dead, "done"))
                except ClientError as error:
                    outcomes.add((first == dead, type(error).__name__))
        assert outcomes == {(True, "done"), (False, "done")}


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("method", "kinds"), [("lock", (Lock, AsyncLock)), ("keep", (Lease, AsyncLease))]
)
def test_what_is_kept_has_its_options_by_name(client: Any, method: str, kinds: Any) -> None:
    """Goal: a type checker sees an option that is misspelt. Method: the parameters of a client's
    method are those of what it makes.
    """

    def parameters(made: Any) -> list[tuple[object, ...]]:
        found = [*inspect.signature(made).parameters.values()][1:]
        return [(each.name, each.kind, each.default) for each in found]

    assert parameters(getattr(client, method)) == parameters(kinds[client is AsyncClient])
