"""What the commands about users, roles and authentication share.

Laws (contract/etcdctl.md, sections 9.15 to 9.17): operands are checked before anything is asked;
every error is printed bare and is exit 1; `--debug` names the endpoints twice, as etcdctl does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from golang.structs import TEXT, List, Pointer, Struct
from pyetcdctl import requests
from pyetcdctl.command.session import fail_plainly
from pyetcdctl.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session

_T = TypeVar("_T")

USERS: Final = f"{requests.AUTH}/users"
ROLES: Final = f"{requests.AUTH}/roles"
ENABLE: Final = f"{requests.AUTH}/enable"

_RIGHTS: Final = Struct("client.rwPermission", {"read": List(TEXT), "write": List(TEXT)})
_PERMISSIONS: Final = Struct("client.Permissions", {"kv": _RIGHTS})
ROLE: Final = Struct(
    "client.Role",
    {
        "role": TEXT,
        "permissions": _PERMISSIONS,
        "grant": Pointer(_PERMISSIONS),
        "revoke": Pointer(_PERMISSIONS),
    },
)
"""A role as etcdctl reads it."""


def no_operands(session: Session) -> None:
    """End the run if there is an operand."""
    if session.operands:
        fail_plainly("No arguments accepted")


def one_operand(session: Session, complaint: str) -> str:
    """The only operand."""
    if len(session.operands) != 1:
        fail_plainly(complaint)
    return session.operands[0]


def client_of(session: Session) -> Client:
    """A client for these commands."""
    client = session.client()
    session.print_endpoints(client)
    return client


def _unread(_body: bytes) -> Any:
    """Nothing is read in most answers, whatever they are."""


def ask(
    client: Client,
    method: str,
    path: str,
    content: Any = None,
    *,
    read: Callable[[bytes], _T] = _unread,
    succeeds: tuple[int, ...] | None = None,
) -> _T:
    """Ask, and return what `read` makes of the answer's body. `succeeds`: the statuses of success,
    if they are not those of most such requests.
    """
    request = requests.plain(method, path, content)
    usual = (200,) if method == "GET" else (200, 201)
    try:
        return client.plain(request._replace(succeeds=succeeds or usual), read)  # type: ignore[no-any-return]
    except ClientError as error:
        fail_plainly(error)
