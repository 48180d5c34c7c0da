"""A password in a URL is sent, and shown to nobody."""

from __future__ import annotations

import asyncio
import base64
import socket
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from pyetcdctl import AsyncClient, BadEndpoint, Client, ClientError
from pyetcdctl.endpoints import Endpoint
from tests.pyetcdctl.answering import Reply, answering
from tests.pyetcdctl.test_both_clients import awaited, heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

SECRET = "swordfish"
PLAIN = b'{"action":"get","node":{"key":"/a","value":"v"}}'
REPLIES = {
    "no leader": Reply(b"", 503),
    "a failure": Reply(b"", 502),
    "another port": Reply(b"", 307, headers=(("Location", f"http://u:{SECRET}@127.0.0.1:x/"),)),
    "an odd escape": Reply(b"", 307, headers=(("Location", f"http://u:{SECRET}%zz@127.0.0.1/"),)),
    "nowhere": Reply(b"", 307, headers=(("Location", f"//u:{SECRET}@127.0.0.1/"),)),
}
SHOWN = {
    f"http://u:{SECRET}@127.0.0.1:1": "http://u:xxxxx@127.0.0.1:1",
    f"http://u:{SECRET}@127.0.0.1:1/p:q@r?x:y@z": "http://u:xxxxx@127.0.0.1:1/p:q@r?x:y@z",
    f"http://u@v:{SECRET}@[::1]:1#f": "http://u@v:xxxxx@[::1]:1#f",
    f"http://:{SECRET}@h": "http://:xxxxx@h",
    "http://u:@h": "http://u:xxxxx@h",
    "http://u@h:1": "http://u@h:1",
    "http://h:1/p:q@r": "http://h:1/p:q@r",
    f"u:{SECRET}@h:1": "u:xxxxx@h:1",
    f"//u:{SECRET}@h": "http://u:xxxxx@h",
}
NO_URLS = {
    f"http://u:{SECRET}%zz@h:1": '"http://u:xxxxx@h:1": net/url: invalid userinfo',
    f"http://u:{SECRET}/x@h:1": '"http://u:xxxxx@h:1": net/url: invalid userinfo',
    f"http://u:{SECRET}\n@h:1": '"http://u:xxxxx@h:1": net/url: invalid userinfo',
    f"http://u:{SECRET}@h:x": '"http://u:xxxxx@h:x": invalid port ":x" after host',
    f"1u:{SECRET}@h:1": '"1u:xxxxx@h:1": first path segment in URL cannot contain colon',
}


def behaving(reply: Reply) -> Callable[[str, Message], Reply]:
    """A server that wants the password, and says this."""
    wanted = "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode()

    def behave(_target: str, headers: Message) -> Reply:
        return reply if headers["Authorization"] == wanted else Reply(b"{}", 401)

    return behave


@pytest.mark.parametrize("what", REPLIES)
def test_what_fails_does_not_show_it(what: str) -> None:
    """Goal: errors name the endpoint as Go's Redacted() does. Method: servers that fail in each way
    that is told with an endpoint; both clients.
    """
    with answering(behaving(REPLIES[what])) as plain:
        url = plain.replace("//", f"//u:{SECRET}@")
        for ask in (heard, awaited):
            told = ask(lambda client: client.get("/a"), url, timeout_s=0.3)
            assert isinstance(told, tuple)
            assert issubclass(told[0], ClientError)
            assert SECRET not in told[1]
            assert "u:xxxxx@" in told[1] or what == "nowhere"


def test_silence_does_not_show_it() -> None:
    """Goal: the same of a time-out. Method: a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://u:{SECRET}@127.0.0.1:{silent.getsockname()[1]}"
        for ask in (heard, awaited):
            told = ask(lambda client: client.get("/a"), url, timeout_s=0.1)
            assert isinstance(told, tuple)
            shown = url.replace(SECRET, "xxxxx")
            assert f"endpoint {shown} exceeded header timeout" in told[1]


def made(kind: type[Any], endpoints: Any) -> list[str]:
    """The endpoints of a client of these."""
    client = kind(endpoints)
    shown: list[str] = client.endpoints
    asyncio.run(client.close()) if kind is AsyncClient else client.close()
    return shown


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", SHOWN)
def test_a_client_does_not_show_it(kind: type[Any], url: str) -> None:
    """Goal: the list of endpoints can be logged. Method: passwords, and what looks like one."""
    assert made(kind, [url]) == [SHOWN[url]]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url_does_not_show_it(kind: type[Any], url: str) -> None:
    """Goal: nor does what is wrong with a URL, wherever the fault is. Method: faults in the
    password and elsewhere; all that a traceback shows.
    """
    with pytest.raises(BadEndpoint) as refused:
        made(kind, [url])
    assert str(refused.value) == f"parse {NO_URLS[url]}"
    with pytest.raises(
        BadEndpoint, match="a list of URLs is wanted, and not one text"
    ) as not_a_list:
        made(kind, url)
    for error in (refused.value, not_a_list.value):
        assert SECRET not in "".join(traceback.format_exception(error))
        assert SECRET not in str(error.__context__)


def test_who_is_told_of_requests() -> None:
    """Goal: nor is it in what `on_request` is told. Method: with the URL's user, and where that is
    only text, as for the command line.
    """
    with answering(lambda _target, _headers: Reply(PLAIN)) as plain:
        url = plain.replace("//", f"//u:{SECRET}@")
        for is_used in (True, False):
            told: list[str] = []
            with Client(
                [url],
                credentials_of_urls=is_used,
                on_request=lambda _method, url, _body, told=told: told.append(url),
            ) as client:
                client.get("/a")
                assert client.endpoints == [url.replace(SECRET, "xxxxx") if is_used else url]
            assert [SECRET in each for each in told] == [not is_used]


def test_another_password_is_another_endpoint() -> None:
    """Goal: what is shown alike is not taken for the same. Method: members publish a new one."""
    with answering(behaving(Reply(PLAIN))) as plain:
        urls = [plain.replace("//", f"//u:{word}@") for word in ("old", SECRET)]
        with Client(urls[:1]) as client:
            client._ring.replace(urls[1:])
            assert client.get("/a").node.value == "v"
    assert Endpoint.parse(urls[1]).text == urls[1]
