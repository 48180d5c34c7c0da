"""The parameters of /v2/keys: form values in, a typed request out.

Law: every parameter is checked for every method, in etcd's order; the first failure is the answer
(contract/keys.md section 4.4). Nothing here touches the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from golang import booleans
from kvstore import KEY_BYTES_MAX, KEY_DEPTH_MAX
from kvstore import commands as c
from kvstore.errors import (
    INDEX_NAN,
    INVALID_FIELD,
    PREV_VALUE_REQUIRED,
    REFRESH_TTL_REQUIRED,
    REFRESH_VALUE,
    TTL_NAN,
    EtcdError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UINT64_MAX: Final = (1 << 64) - 1
_BOOLS: Final = {
    **{word.encode(): True for word in booleans.TRUE},
    **{word.encode(): False for word in booleans.FALSE},
}


@dataclass(frozen=True, slots=True)
class Read:
    """GET or HEAD without wait."""

    key: bytes
    recursive: bool = False
    in_order: bool = False
    quorum: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """GET with wait; `since` is waitIndex, 0 for "from now on"."""

    key: bytes
    recursive: bool
    stream: bool
    since: int


@dataclass(frozen=True, slots=True)
class Write:
    """A command for the log, and whether the reply should leave out the nodes."""

    command: c.KeyCommand
    no_value: bool


KeyRequest: TypeAlias = Read | Watch | Write


@dataclass(frozen=True, slots=True)
class _Fields:
    """All parameters, checked."""

    prev_index: int
    wait_index: int
    recursive: bool
    in_order: bool
    wait: bool
    dir: bool
    quorum: bool
    stream: bool
    prev_value: bytes
    no_value: bool
    ttl: int | None
    prev_exist: bool | None
    refresh: bool
    value: bytes


def parse(method: str, key: bytes, form: Mapping[bytes, bytes]) -> KeyRequest:
    """Return what a request with an allowed method asks for; raises EtcdError 201 to 212."""
    if len(key) > KEY_BYTES_MAX or key.count(b"/") > KEY_DEPTH_MAX:
        cause = b"key is longer than %d bytes or %d segments" % (KEY_BYTES_MAX, KEY_DEPTH_MAX)
        raise EtcdError(INVALID_FIELD, cause)
    if not form:
        return _PLAIN[method](key)
    if method == "PUT" and len(form) == 1 and b"value" in form:
        return Write(c.Set(key, form[b"value"]), no_value=False)
    fields = _fields(method, form)
    match method:
        case "PUT":
            return Write(_put(key, fields), fields.no_value)
        case "POST":
            create = c.CreateInOrder(key, fields.value, fields.dir, fields.ttl)
            return Write(create, fields.no_value)
        case "DELETE":
            return Write(_delete(key, fields), no_value=False)
        case "GET" if fields.wait and not fields.quorum:
            return Watch(key, fields.recursive, fields.stream, fields.wait_index)
        case _:
            quorum = fields.quorum and method == "GET"
            return Read(key, fields.recursive, fields.in_order, quorum)


_PLAIN: Final[dict[str, Callable[[bytes], KeyRequest]]] = {
    "GET": Read,
    "HEAD": Read,
    "PUT": lambda key: Write(c.Set(key), no_value=False),
    "POST": lambda key: Write(c.CreateInOrder(key), no_value=False),
    "DELETE": lambda key: Write(c.Delete(key), no_value=False),
}


def _put(key: bytes, fields: _Fields) -> c.KeyCommand:
    conditional = fields.prev_index > 0 or fields.prev_value != b""
    if fields.prev_exist is False:
        return c.Create(key, fields.value, fields.dir, fields.ttl)
    if conditional:
        return c.CompareAndSwap(
            key,
            fields.value,
            fields.prev_value,
            fields.prev_index,
            fields.ttl,
            fields.refresh,
        )
    if fields.prev_exist:
        return c.Update(key, fields.value, fields.ttl, fields.refresh)
    return c.Set(key, fields.value, fields.dir, fields.ttl, fields.refresh)


def _delete(key: bytes, fields: _Fields) -> c.KeyCommand:
    if fields.prev_index > 0 or fields.prev_value:
        return c.CompareAndDelete(key, fields.prev_value, fields.prev_index)
    return c.Delete(key, fields.dir, fields.recursive)


def _fields(method: str, form: Mapping[bytes, bytes]) -> _Fields:
    # The order of these lines is the order in which etcd checks.
    prev_index = _uint64(form, b"prevIndex", INDEX_NAN)
    wait_index = _uint64(form, b"waitIndex", INDEX_NAN)
    recursive = _bool(form, b"recursive")
    in_order = _bool(form, b"sorted")
    wait = _bool(form, b"wait")
    is_dir = _bool(form, b"dir")
    quorum = _bool(form, b"quorum")
    stream = _bool(form, b"stream")
    if wait and method != "GET":
        raise EtcdError(INVALID_FIELD, b'"wait" can only be used with GET requests')
    prev_value = form.get(b"prevValue")
    if prev_value == b"":
        raise EtcdError(PREV_VALUE_REQUIRED, b'"prevValue" cannot be empty')
    no_value = _bool(form, b"noValueOnSuccess")
    ttl = _uint64(form, b"ttl", TTL_NAN) if form.get(b"ttl") else None
    prev_exist = _bool(form, b"prevExist", quoted=False) if b"prevExist" in form else None
    refresh = _bool(form, b"refresh", quoted=False)
    value = form.get(b"value", b"")
    if refresh and value:
        raise EtcdError(REFRESH_VALUE, b"A value was provided on a refresh")
    if refresh and ttl is None:
        raise EtcdError(REFRESH_TTL_REQUIRED, b"No TTL value set")
    return _Fields(
        prev_index=prev_index,
        wait_index=wait_index,
        recursive=recursive,
        in_order=in_order,
        wait=wait,
        dir=is_dir,
        quorum=quorum,
        stream=stream,
        prev_value=prev_value or b"",
        no_value=no_value,
        ttl=ttl,
        prev_exist=prev_exist,
        refresh=refresh,
        value=value,
    )


def _uint64(form: Mapping[bytes, bytes], name: bytes, code: int) -> int:
    text = form.get(name)
    if text is None:
        return 0
    # Twenty digits are the most a uint64 has; leading zeros may come before them.
    digits = text.lstrip(b"0")
    if text.isdigit() and len(digits) <= 20:
        number = int(text[-20:])
        if number <= _UINT64_MAX:
            return number
    raise EtcdError(code, b'invalid value for "%b"' % name)


def _bool(form: Mapping[bytes, bytes], name: bytes, *, quoted: bool = True) -> bool:
    text = form.get(name)
    if text is None:
        return False
    value = _BOOLS.get(text)
    if value is None:
        shown = b'"%b"' % name if quoted else name
        raise EtcdError(INVALID_FIELD, b"invalid value for " + shown)
    return value
