"""What is asked of a server: method, path, query and body, as bytes on the wire have them.

Laws: pure. Escaping, the order of parameters and which of them are always there are Go's and
etcdctl's (contract/etcdctl.md, section 4), so that proxies and logs see the same requests.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs

from golang import booleans
from pyetcdctl.errors import BadText

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

KEYS: Final = "/v2/keys"
MEMBERS: Final = "/v2/members"
LEADER: Final = "/v2/members/leader"
AUTH: Final = "/v2/auth"
HEALTH: Final = "/health"

_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
)
_VISIBLE: Final = frozenset(range(0x21, 0x7F))
_PATH_SAFE: Final = _UNRESERVED | frozenset(b"$&+,/:;=@")
_FRAGMENT_SAFE: Final = _PATH_SAFE | frozenset(b"?!()*")

UINT64: Final = 1 << 64


class Request(NamedTuple):
    """One request, without the endpoint it goes to."""

    method: str
    path: str
    query: str = ""
    body: str | None = None
    content_type: str = ""
    # Must not happen twice: not made at another endpoint once it may have been heard (failover).
    once: bool = False
    # etcdctl's way to that: tried at one endpoint only.
    one_shot: bool = False
    # A long poll: silence is no failure.
    waits: bool = False
    # How long it may take in all (s); then it is DeadlineExceeded. See total_s.
    within_s: float | None = None
    # Told the index of the head that begins its answer: up to there nothing has happened.
    on_head: Callable[[int], None] | None = None
    # An index that has been seen: a member that has not come to it is IndexBehind, told by the head
    # of its answer, for which a long poll does not wait.
    known_index: int = 0
    # About members, users and roles: statuses that are no failure; no other one is a success.
    succeeds: tuple[int, ...] = (200,)
    # Statuses whose body says what is wrong, None for all.
    explained: tuple[int, ...] | None = None

    @property
    def data(self) -> bytes | None:
        """The body as it is sent."""
        return None if self.body is None else self.body.encode("utf-8", "surrogateescape")

    def total_s(self, patience_s: float | None) -> float | None:
        """How long it may take in all by a client that waits so long (s, None for ever), which is
        not meant for a long poll.
        """
        limits_s = (None if self.waits else patience_s, self.within_s)
        return min((limit_s for limit_s in limits_s if limit_s is not None), default=None)


def once(request: Request) -> Request:
    """The request as one that must not happen twice, although its answer may be lost."""
    return request._replace(once=True, one_shot=False)


def waits(query: str) -> bool:
    """Whether a query is a long poll's; etcdctl looks at it anew where it is redirected to."""
    said = parse_qs(query, keep_blank_values=True).get("wait", [""])[0]
    return said in booleans.TRUE


def escape_path(path: str) -> str:
    """Escape a path as Go's net/url does."""
    return _escape(path, _PATH_SAFE)


def escape_fragment(fragment: str) -> str:
    """Escape what is behind a `#` as Go's net/url does."""
    return _escape(fragment, _FRAGMENT_SAFE)


def escape_odd(target: str) -> str:
    """Escape what no request line can have in it, of a target that is escaped already."""
    return _escape(target, _VISIBLE)


def is_text(text: str) -> bool:
    """Whether a text can be sent: no half of a surrogate pair is in it."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _escape(text: str, safe: frozenset[int]) -> str:
    if not is_text(text):
        raise BadText(f"{text!r} cannot be sent: it has half of a surrogate pair in it")
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in data)


def encode(parameters: dict[str, str]) -> str:
    """Encode parameters as Go's url.Values does: sorted by name, a space as a plus."""
    return "&".join(f"{_quote(name)}={_quote(value)}" for name, value in sorted(parameters.items()))


def _quote(text: str) -> str:
    return _escape(text, _UNRESERVED | {0x20}).replace(" ", "+")


def clean(path: str) -> str:
    """Resolve `//`, `.` and `..`; a slash at the end stays."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def key_path(key: str) -> str:
    """The path of a key, not escaped."""
    return clean(f"{KEYS}/{key}") if key else KEYS


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _form(value: str | None, ttl: int | None) -> str:
    fields = {} if value is None else {"value": value}
    if ttl:
        fields["ttl"] = str(ttl)
    return encode(fields)


def get(key: str, *, recursive: bool, sort: bool, quorum: bool) -> Request:
    """Read a key or a directory."""
    query = {"quorum": _flag(quorum), "recursive": _flag(recursive), "sorted": _flag(sort)}
    return Request("GET", key_path(key), encode(query))


def put(
    key: str,
    value: str | None,
    *,
    ttl: int | None = None,
    prev_value: str | None = None,
    prev_index: int | None = None,
    prev_exist: bool | None = None,
    directory: bool = False,
    refresh: bool = False,
    one_shot: bool = False,
) -> Request:
    """Write a key or a directory; `ttl` in seconds, without one it lives for ever."""
    query: dict[str, str] = {}
    if directory:
        query["dir"] = "true"
    if prev_value:
        query["prevValue"] = prev_value
    if prev_index:
        query["prevIndex"] = str(prev_index % UINT64)
    if prev_exist is not None:
        query["prevExist"] = _flag(prev_exist)
    if refresh:
        query["refresh"] = "true"
    body = _form(None if directory or refresh else value, ttl)
    return Request("PUT", key_path(key), encode(query), body, FORM, one_shot=one_shot)


def post(key: str, value: str, *, ttl: int | None = None) -> Request:
    """Create a key in order in a directory."""
    return Request("POST", key_path(key), "", _form(value, ttl), FORM)


def delete(
    key: str,
    *,
    directory: bool = False,
    recursive: bool = False,
    prev_value: str | None = None,
    prev_index: int | None = None,
) -> Request:
    """Remove a key or a directory."""
    query: dict[str, str] = {}
    if directory:
        query["dir"] = "true"
    if recursive:
        query["recursive"] = "true"
    if prev_value:
        query["prevValue"] = prev_value
    if prev_index:
        query["prevIndex"] = str(prev_index % UINT64)
    return Request("DELETE", key_path(key), encode(query), None, FORM, one_shot=True)


def wait(key: str, *, recursive: bool, wait_index: int) -> Request:
    """Wait for one event, from an index on; 0 is now."""
    query = {
        "recursive": _flag(recursive),
        "wait": "true",
        "waitIndex": str(wait_index % UINT64),
    }
    return Request("GET", key_path(key), encode(query), waits=True)


def plain(method: str, path: str, content: Any = None) -> Request:
    """Ask about members, users or roles; `content` is sent as JSON. A name at the end of the path
    is part of it, as etcdctl joins them: `//`, `.` and `..` are resolved.
    """
    path = posixpath.normpath(path)
    if content is None:
        return Request(method, path)
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    if not is_text(body):
        raise BadText(f"{body!r} cannot be sent: it has half of a surrogate pair in it")
    return Request(method, path, "", body, JSON)


def members() -> Request:
    """List the members."""
    return plain("GET", MEMBERS)._replace(explained=())


def leader() -> Request:
    """Who leads."""
    return plain("GET", LEADER)._replace(explained=())


def add_member(peer_urls: Sequence[str]) -> Request:
    """Add a member."""
    content = {"peerURLs": list(peer_urls)}
    return plain("POST", MEMBERS, content)._replace(succeeds=(201,), explained=(409,))


def remove_member(member_id: str) -> Request:
    """Remove a member; one that is gone already is no failure."""
    request = plain("DELETE", f"{MEMBERS}/{member_id}")
    return request._replace(succeeds=(204, 410), explained=())


def update_member(member_id: str, peer_urls: Sequence[str]) -> Request:
    """Give a member other peer URLs."""
    content = {"peerURLs": list(peer_urls)}
    request = plain("PUT", f"{MEMBERS}/{member_id}", content)
    return request._replace(succeeds=(204,), explained=(404, 409))
