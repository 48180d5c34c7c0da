"""The commands about users (contract/etcdctl.md, section 9.15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyetcdctl import answers
from pyetcdctl.command import access, output
from pyetcdctl.command.access import USERS, ask, client_of
from pyetcdctl.command.session import ask_password, fail_plainly

if TYPE_CHECKING:
    from pyetcdctl.command.session import Session

_NAME: Final = "Please provide a username"
_NEW: Final = "New password: "


def list_users(session: Session) -> None:
    """Print all names."""
    access.no_operands(session)
    listed = ask(client_of(session), "GET", USERS, read=_listed)
    output.out("".join(f"{user}\n" for user in listed))


def _listed(body: bytes) -> list[str]:
    return access.names(answers.load(body), "users", "user")


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
    # One space more for each role, as etcdctl has it.
    output.out(f"User: {user}\nRoles: {' ' * len(roles)}{' '.join(roles)}\n")


def _user(body: bytes) -> tuple[str, list[str]]:
    answer = answers.load(body)
    return answers.field(answer, "user", ""), access.names(answer, "roles", "role")


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
    ask(client_of(session), "PUT", f"{USERS}/{name}", content, succeeds=(200,))
    output.out(f"User {name} updated\n")


def passwd(session: Session) -> None:
    """Give a user another password."""
    name = access.one_operand(session, _NAME)
    client = client_of(session)
    content = {"user": name, "password": ask_password(_NEW), "roles": None}
    # 201: there was no such user. etcdctl takes this for a failure, though there is one now.
    ask(client, "PUT", f"{USERS}/{name}", content, succeeds=(200,))
    output.out("Password updated\n")
