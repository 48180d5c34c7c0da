"""Where the servers are: a ring of base URLs, walked from the one that answered last.

Laws: texts are read as Go's net/url reads them (contract/etcdctl.md, section 2): nothing is trimmed
and no scheme is guessed for `host:port`. The order is shuffled, so that clients spread over the
members; the first that answers is kept until it fails.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pyetcdctl import requests
from pyetcdctl.errors import BadEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT: Final = ("http://127.0.0.1:2379", "http://127.0.0.1:4001")

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Endpoint(NamedTuple):
    """One base URL in its parts; `text` is how it is printed."""

    text: str
    scheme: str
    authority: str
    user: str
    host: str
    port: int | None
    path: str
    query: str

    @property
    def address(self) -> str:
        """Host and port, as Go prints them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = self.port if self.port is not None else 443 if self.scheme == "https" else 80
        return f"{host}:{port}"

    @staticmethod
    def parse(text: str) -> Endpoint:
        """Read a base URL; raises BadEndpoint with Go's words."""
        if _CONTROL.search(text):
            raise BadEndpoint(f'parse "{text}": net/url: invalid control character in URL')
        match = _SCHEME.match(text)
        if match is not None:
            scheme, rest = match[1].lower(), text[match.end() :]
            if not rest.startswith("/"):
                return Endpoint(f"{scheme}:{rest}", scheme, "", "", "", None, "", "")
        elif text.startswith(":"):
            raise BadEndpoint(f'parse "{text}": missing protocol scheme')
        elif ":" in text.partition("/")[0]:
            raise BadEndpoint(f'parse "{text}": first path segment in URL cannot contain colon')
        else:
            scheme, rest = "http", f"//{text}"
        rest, _, query = rest.partition("#")[0].partition("?")
        if not rest.startswith("//"):
            rest = f"//{rest}"
        authority, slash, path = rest[2:].partition("/")
        user, _, place = authority.rpartition("@")
        host, port = _place(text, place)
        whole = f"{scheme}://{authority}{slash}{path}" + (f"?{query}" if query else "")
        return Endpoint(whole, scheme, authority, user, host, port, f"{slash}{path}", query)

    def url(self, request: requests.Request) -> str:
        """The whole URL of a request to it."""
        path = requests.clean(f"{self.path}/{request.path}") if self.path else request.path
        query = request.query or self.query
        target = requests.escape_path(path) + (f"?{query}" if query else "")
        return f"{self.scheme}://{self.authority}{target}"


def _place(text: str, place: str) -> tuple[str, int | None]:
    """Split host from port."""
    if place.startswith("["):
        host, closed, port = place[1:].partition("]")
        if not closed:
            raise BadEndpoint(f"parse \"{text}\": missing ']' in host")
        port = port.removeprefix(":") if port.startswith(":") else port
    else:
        host, _, port = place.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) < 10):
        raise BadEndpoint(f'parse "{text}": invalid port ":{port}" after host')
    return host, int(port) if port else None


class Ring:
    """The endpoints in their order, and which one answered last."""

    def __init__(self, texts: Iterable[str], luck: random.Random | None = None) -> None:
        """Raises BadEndpoint."""
        if isinstance(texts, str):
            raise BadEndpoint(f"endpoints: a list of URLs is wanted, and not the text {texts!r}")
        self._luck = luck or random.Random()
        self._pinned = 0
        self._endpoints = self._shuffled([Endpoint.parse(text) for text in texts])

    def __len__(self) -> int:
        return len(self._endpoints)

    @property
    def texts(self) -> list[str]:
        """The base URLs in their order."""
        return [endpoint.text for endpoint in self._endpoints]

    def walk(self) -> Iterator[Endpoint]:
        """All of them once, from the pinned one on."""
        count, first = len(self._endpoints), self._pinned
        for step in range(count):
            yield self._endpoints[(first + step) % count]

    def pin(self, endpoint: Endpoint) -> None:
        """Begin with this one from now on."""
        self._pinned = self._endpoints.index(endpoint)

    def replace(self, texts: Iterable[str]) -> None:
        """Take the members' own URLs; the same ones stay in their order."""
        endpoints = [Endpoint.parse(text) for text in texts]
        if sorted(e.text for e in endpoints) != sorted(self.texts):
            self._endpoints, self._pinned = self._shuffled(endpoints), 0

    def _shuffled(self, endpoints: list[Endpoint]) -> list[Endpoint]:
        self._luck.shuffle(endpoints)
        return endpoints
