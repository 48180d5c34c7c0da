"""The commands about users (contract/etcdctl.md, section 9.15)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from golang.json_text import BadJson
from golang.structs import TEXT, List, Struct, WrongType, unmarshal
from pyetcdctl import answers
from pyetcdctl.command import access, output
from pyetcdctl.command.access import USERS, ask, client_of
from pyetcdctl.command.session import ask_password, fail_plainly
from pyetcdctl.errors import BadAnswer

if TYPE_CHECKING:
    from pyetcdctl.command.session import Session

_NAME: Final = "Please provide a username"
_NEW: Final = "New password: "

_USER: Final = Struct(
    "client.User",
    {
        "user": TEXT,
        "password": TEXT,
        "roles": List(TEXT),
        "grant": List(TEXT),
        "revoke": List(TEXT),
    },
)
_USER_WITH_ROLES: Final = Struct("client.userListEntry", {"user": TEXT, "roles": List(access.ROLE)})
_USERS: Final = Struct(
    r'struct { Users []client.userListEntry "json:\"users\"" }', {"users": List(_USER_WITH_ROLES)}
)


def list_users(session: Session) -> None:
    """Print all names."""
    access.no_operands(session)
    listed = ask(client_of(session), "GET", USERS, read=_listed)
    output.out("".join(f"{user}\n" for user in listed))


def _listed(body: bytes) -> list[str]:
    return [user["user"] for user in answers.unmarshalled(body, _USERS)["users"] or ()]


def add(session: Session) -> None:
    """Create a user."""
    name, given, password = access.one_operand(session, _NAME).partition(":")
    client = client_of(session)
    if not given:
        password = ask_password(_NEW)
    ask(client, "PUT", f"{USERS}/{name}", {"user": name, "password": password, "roles": None})
    output.out(f"User {name} created\n")


def get(session: Session) -> None:
    """Print a user's roles."""
    name = access.one_operand(session, _NAME)
    user, roles = ask(client_of(session), "GET", f"{USERS}/{name}", read=_user)
    output.out(f"User: {user}\nRoles: {' '.join(roles)}\n")


def _user(body: bytes) -> tuple[str, list[str]]:
    """Its name and roles. Roles may be names, or objects, as etcd has them: then etcdctl puts their
    names behind the empty ones that the first reading has left it.
    """
    try:
        user = unmarshal(body, _USER)
    except WrongType as wrong:
        with suppress(WrongType):
            user = unmarshal(body, _USER_WITH_ROLES)
            names = [role["role"] for role in user["roles"] or ()]
            return user["user"], (wrong.filled["roles"] or []) + names
        raise BadAnswer(str(wrong)) from None
    except BadJson as bad:
        raise BadAnswer(str(bad)) from None
    return user["user"], user["roles"] or []


def remove(session: Session) -> None:
    """Remove a user."""
    name = access.one_operand(session, _NAME)
    ask(client_of(session), "DELETE", f"{USERS}/{name}")
    output.out(f"User {name} removed\n")


def grant(session: Session) -> None:
    """Give a user roles."""
    _change(session, "grant")


def revoke(session: Session) -> None:
    """Take roles from a user."""
    _change(session, "revoke")


def _change(session: Session, kind: str) -> None:
    roles = session.flags["roles"]
    if not roles:
        fail_plainly("No roles specified; please use `--roles`")
    name = access.one_operand(session, _NAME)
    content = {"user": name, "roles": None, kind: roles}
    ask(client_of(session), "PUT", f"{USERS}/{name}", content, read=_user, succeeds=(200,))
    output.out(f"User {name} updated\n")


def passwd(session: Session) -> None:
    """Give a user another password."""
    name = access.one_operand(session, _NAME)
    client = client_of(session)
    content = {"user": name, "password": ask_password(_NEW), "roles": None}
    # 201: there was no such user. etcdctl takes this for a failure, though there is one now.
    ask(client, "PUT", f"{USERS}/{name}", content, read=_user, succeeds=(200,))
    output.out("Password updated\n")
