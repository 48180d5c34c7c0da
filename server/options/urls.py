"""A listen or advertise URL, read by the rules of Go's net/url and of etcd's pkg/types.

Laws: what parses and with which error text equals etcd 3.4's `types.NewURLs`; a parsed `Url` has
an allowed scheme and a `host:port`, and no path. `text` is the form that is compared, hashed into
member ids and shown. Whether the port can be bound is not known here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from golang.quoting import go_quote

SCHEMES = frozenset({"http", "https", "unix", "unixs"})

_SCHEME = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*):(?P<rest>.*)", re.ASCII | re.DOTALL)
_PORT = re.compile(r"(?::[0-9]*)?", re.ASCII)
_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_HOST_ESCAPE = re.compile(r"%[0-7][0-9a-fA-F]", re.ASCII)
_BAD_HOST_CHAR = re.compile(r"[^A-Za-z0-9!$&'()*+,;=:\[\]<>\"_.~%\-\x80-\U0010ffff-]")
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", re.ASCII)


class BadUrl(ValueError):
    """The text is not a URL etcd would take; the message is etcd's."""


@dataclass(frozen=True, slots=True)
class Url:
    """One URL of an option: where to listen, or what to tell others."""

    scheme: str
    host: str
    """The host without brackets; empty in `http://:2379`."""
    port: str
    """The digits after the last colon; may be empty or out of range."""
    text: str

    @property
    def is_unix(self) -> bool:
        """Whether it names a unix socket (`host:port` is then its file name)."""
        return self.scheme in ("unix", "unixs")

    @property
    def is_tls(self) -> bool:
        """Whether TLS is spoken on it."""
        return self.scheme in ("https", "unixs")

    @property
    def authority(self) -> str:
        """Host and port as the URL has them: `[::1]:2379`, or a unix socket's file name."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def moved_to(self, host: str, port: str) -> "Url":
        """The same scheme at another host and port, and nothing else, as etcd does it."""
        moved = Url(self.scheme, host, port, "")
        return Url(self.scheme, host, port, f"{self.scheme}://{moved.authority}")


def parse_urls(texts: Iterable[str]) -> tuple[Url, ...]:
    """URLs sorted by their text, as etcd keeps them; raises BadUrl for the first bad one."""
    urls = [parse_url(text) for text in texts]
    return tuple(sorted(urls, key=lambda url: url.text))


def parse_url(text: str) -> Url:
    """One URL; surrounding blanks do not count."""
    text = text.strip()
    before_fragment, _, fragment = text.partition("#")
    try:
        scheme, authority, path, query = _split(before_fragment)
    except _ParseError as error:
        raise BadUrl(f"parse {go_quote(before_fragment)}: {error}") from None
    if scheme not in SCHEMES:
        raise BadUrl(f"URL scheme must be http, https, unix, or unixs: {text}")
    host_port = _split_host_port(authority.rpartition("@")[2])
    if host_port is None:
        raise BadUrl(f'URL address does not have the form "host:port": {text}')
    if path:
        raise BadUrl(f"URL must not contain a path: {text}")
    kept = f"{scheme}://{authority}{query}" + (f"#{fragment}" if fragment else "")
    return Url(scheme, host_port[0].replace("%25", "%"), host_port[1], kept)


class _ParseError(Exception):
    """What Go's url.Parse would say."""


def _split(text: str) -> tuple[str, str, str, str]:
    """Scheme, authority, path, and the query with its question mark."""
    if any(char < " " or char == "\x7f" for char in text):
        raise _ParseError("net/url: invalid control character in URL")
    scheme, rest = _scheme_of(text)
    rest, mark, query = rest.partition("?")
    query = mark + query
    if not rest.startswith("/"):
        if scheme:
            return scheme, "", "", query  # opaque, as mailto:x
        if ":" in rest.partition("/")[0]:
            raise _ParseError("first path segment in URL cannot contain colon")
    authority, path = "", rest
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, tail = rest[2:].partition("/")
        path = slash + tail
        _check_authority(authority)
    _check_escapes(path)
    return scheme, authority, path, query


def _scheme_of(text: str) -> tuple[str, str]:
    if text.startswith(":"):
        raise _ParseError("missing protocol scheme")
    match = _SCHEME.fullmatch(text)
    return (match["scheme"].lower(), match["rest"]) if match else ("", text)


def _check_authority(authority: str) -> None:
    userinfo, at, host = authority.rpartition("@")
    port = ""
    if host.startswith("["):
        if "]" not in host:
            raise _ParseError("missing ']' in host")
        port = host[host.rindex("]") + 1 :]
    elif ":" in host:
        port = host[host.rindex(":") :]
    if not _PORT.fullmatch(port):
        raise _ParseError(f"invalid port {go_quote(port)} after host")
    _check_escapes(host)
    if bad_escape := _HOST_ESCAPE.search(host):
        zone = host.startswith("[") and bad_escape[0] == "%25"
        if not zone:
            raise _ParseError(f"invalid URL escape {go_quote(bad_escape[0])}")
    if bad := _BAD_HOST_CHAR.search(host):
        raise _ParseError(f"invalid character {go_quote(bad[0])} in host name")
    if at and not _USERINFO.fullmatch(userinfo):
        raise _ParseError("net/url: invalid userinfo")


def _check_escapes(text: str) -> None:
    if bad := _ESCAPE.search(text):
        raise _ParseError(f"invalid URL escape {go_quote(bad[0])}")


def _split_host_port(authority: str) -> tuple[str, str] | None:
    """Go's net.SplitHostPort."""
    host, colon, port = authority.rpartition(":")
    if not colon:
        return None
    if host.startswith("["):
        if not host.endswith("]") or host.count("]") > 1 or host.count("[") > 1:
            return None
        return host[1:-1], port
    if ":" in host or "[" in authority or "]" in authority:
        return None
    return host, port
