"""Where the servers are: a ring of base URLs, walked from the one that answered last.

Laws: texts are read as Go's net/url reads them (contract/etcdctl.md, section 2): nothing is trimmed
and no scheme is guessed for `host:port`. The order is shuffled, so that clients spread over the
members; the first that answers is kept until it fails. A password is not shown, as Go's Redacted()
does it, unless the user of a URL is only text.
"""

from __future__ import annotations

import random
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from golang.quoting import go_quote
from pyetcdctl import arguments, requests
from pyetcdctl import authority as authority_of
from pyetcdctl.errors import BadEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DEFAULT: Final = ("http://127.0.0.1:2379", "http://127.0.0.1:4001")

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# A password, where one can be; and wherever one can have been meant to be.
_PASSWORD: Final = re.compile(r"((?:^|//)[^/?#:]*):(?!//)[^/?#]*@")
_MEANT: Final = re.compile(r"((?:^|//)[^/?#:]*):(?!//).*@", re.DOTALL)
_HIDDEN: Final = r"\1:xxxxx@"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def has_scheme(text: str) -> bool:
    """Whether a URL says how it is to be gone to."""
    return _SCHEME.match(text) is not None


def redacted(text: str) -> str:
    """A URL, or what was meant to be one, as it may be shown."""
    try:
        Endpoint.parse(text)
    except BadEndpoint:
        return _MEANT.sub(_HIDDEN, text, count=1)
    return _PASSWORD.sub(_HIDDEN, text, count=1)


class Endpoint(NamedTuple):
    """One base URL in its parts; `text` is how it is printed."""

    text: str
    scheme: str
    authority: str
    credentials: tuple[str, str] | None
    host: str
    port: int | None
    path: str
    query: str
    # Printed, never sent; with its escapes resolved.
    fragment: str = ""

    @property
    def address(self) -> str:
        """Host and port, as Go prints and dials them; of a Unix socket that is the file's name."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme in ("https", "unixs") else 80
        port = self.port if self.port is not None else usual
        return f"{host}:{port}"

    @property
    def host_header(self) -> str:
        """What requests say in their Host header."""
        host = self.host.partition("%")[0] if ":" in self.host else self.host
        shown = f"[{host}]" if ":" in host else host
        return shown if self.port is None else f"{shown}:{self.port}"

    @staticmethod
    def parse(text: str) -> Endpoint:
        """Read a base URL; raises BadEndpoint with Go's words."""
        if _CONTROL.search(text):
            raise BadEndpoint(f"parse {go_quote(text)}: net/url: invalid control character in URL")
        match = _SCHEME.match(text)
        if match is not None:
            scheme, rest = match[1].lower(), text[match.end() :]
            if not rest.startswith("/"):
                return Endpoint(f"{scheme}:{rest}", scheme, "", None, "", None, "", "")
        elif text.startswith(":"):
            raise BadEndpoint(f"parse {go_quote(text)}: missing protocol scheme")
        elif ":" in text.partition("/")[0]:
            raise BadEndpoint(
                f"parse {go_quote(text)}: first path segment in URL cannot contain colon"
            )
        else:
            scheme, rest = "http", text if text.startswith("//") else f"//{text}"
        rest, _, fragment = rest.partition("#")
        rest, _, query = rest.partition("?")
        if not rest.startswith("//"):
            rest = f"//{rest}"
        authority, slash, path = rest[2:].partition("/")
        try:
            credentials, host, port = authority_of.parse(authority)
            authority_of.unescape(path)
            fragment = authority_of.unescape(fragment)
        except ValueError as error:
            raise BadEndpoint(f"parse {go_quote(text)}: {error}") from None
        whole = f"{scheme}://{authority}{slash}{path}" + (f"?{query}" if query else "")
        path = f"{slash}{path}"
        endpoint = Endpoint(
            whole, scheme, authority, credentials, host, port, path, query, fragment
        )
        return endpoint._replace(text=whole + endpoint._ending)

    @staticmethod
    def discreet(text: str) -> Endpoint:
        """Read a base URL whose password is sent, and not shown; raises BadEndpoint, which does not
        show it either.
        """
        with suppress(BadEndpoint):
            endpoint = Endpoint.parse(text)
            return endpoint._replace(text=redacted(endpoint.text))
        # Not while the other error is there, which has it.
        Endpoint.parse(redacted(text))
        raise BadEndpoint(f"parse {go_quote(redacted(text))}: net/url: invalid userinfo")

    @property
    def _ending(self) -> str:
        return f"#{requests.escape_fragment(self.fragment)}" if self.fragment else ""

    def url(self, request: requests.Request) -> str:
        """The whole URL of a request to it."""
        prefix = authority_of.unescape(self.path)
        path = requests.clean(f"{prefix}/{request.path}") if prefix else request.path
        query = request.query or self.query
        target = requests.escape_path(path) + (f"?{query}" if query else "")
        # Go forgets a colon without a port.
        return f"{self.scheme}://{self.authority.removesuffix(':')}{target}{self._ending}"


class Ring:
    """The endpoints in their order, and which one answered last."""

    def __init__(
        self,
        texts: Iterable[str],
        luck: random.Random | None = None,
        read: Callable[[str], Endpoint] = Endpoint.discreet,
    ) -> None:
        """Raises BadEndpoint, as `read` does of a text."""
        self._luck = luck or random.Random()
        self._pinned = 0
        self._read = read
        self._endpoints = self._shuffled([read(text) for text in arguments.endpoints(texts)])

    def __len__(self) -> int:
        return len(self._endpoints)

    @property
    def texts(self) -> list[str]:
        """The base URLs in their order, as they are shown."""
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
        endpoints = [self._read(text) for text in texts]
        if sorted(endpoints) != sorted(self._endpoints):
            self._endpoints, self._pinned = self._shuffled(endpoints), 0

    def _shuffled(self, endpoints: list[Endpoint]) -> list[Endpoint]:
        self._luck.shuffle(endpoints)
        return endpoints
