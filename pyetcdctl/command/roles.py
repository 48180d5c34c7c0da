"""The commands about roles (contract/etcdctl.md, section 9.16)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from golang.structs import List, Struct
from pyetcdctl import answers, requests
from pyetcdctl.command import access, output
from pyetcdctl.command.access import ROLES, ask, client_of
from pyetcdctl.command.session import fail_plainly
from pyetcdctl.errors import ClientError

if TYPE_CHECKING:
    from pyetcdctl.command.session import Session

_NAME: Final = "Please provide a role name"

_ROLES: Final = Struct(
    r'struct { Roles []client.Role "json:\"roles\"" }', {"roles": List(access.ROLE)}
)


def list_roles(session: Session) -> None:
    """Print all names."""
    access.no_operands(session)
    request = requests.plain("GET", ROLES)._replace(explained=())
    try:
        listed = client_of(session).plain(request, _listed)
    except ClientError as error:
        fail_plainly(error)
    output.out("".join(f"{role}\n" for role in listed))


def _listed(body: bytes) -> list[str]:
    return [role["role"] for role in answers.unmarshalled(body, _ROLES)["roles"] or ()]


def add(session: Session) -> None:
    """Create a role."""
    name = access.one_operand(session, _NAME)
    client = client_of(session)
    try:
        client.plain(requests.plain("GET", f"{ROLES}/{name}"), _role)
    except ClientError:
        pass
    else:
        fail_plainly(f"Role {name} already exists")
    ask(client, "PUT", f"{ROLES}/{name}", _content(name))
    output.out(f"Role {name} created\n")


def _content(name: str) -> dict[str, Any]:
    return {"role": name, "permissions": {"kv": {"read": None, "write": None}}}


def get(session: Session) -> None:
    """Print what a role may do."""
    name = access.one_operand(session, _NAME)
    role = ask(client_of(session), "GET", f"{ROLES}/{name}", read=_role)
    rights = role["permissions"]["kv"]
    lines = [f"Role: {role['role']}", "KV Read:"]
    lines += [f"\t{path}" for path in rights["read"] or ()]
    lines.append("KV Write:")
    lines += [f"\t{path}" for path in rights["write"] or ()]
    output.out("".join(f"{line}\n" for line in lines))


def _role(body: bytes) -> Any:
    return answers.unmarshalled(body, access.ROLE)


def remove(session: Session) -> None:
    """Remove a role."""
    name = access.one_operand(session, _NAME)
    ask(client_of(session), "DELETE", f"{ROLES}/{name}")
    output.out(f"Role {name} removed\n")


def grant(session: Session) -> None:
    """Let a role do more."""
    _change(session, "grant")


def revoke(session: Session) -> None:
    """Let a role do less."""
    _change(session, "revoke")


def _change(session: Session, kind: str) -> None:
    path = session.flags["path"]
    if not path:
        fail_plainly("No path specified; please use `--path`")
    canonical = requests.clean(path)
    if path != canonical:
        fail_plainly(f"Not canonical path; please use `--path={canonical}`")
    chosen = [session.flags[name] for name in ("read", "write", "readwrite")]
    if chosen.count(True) != 1:
        fail_plainly("Please specify exactly one of --read, --write or --readwrite")
    name = access.one_operand(session, _NAME)
    client = client_of(session)
    before = ask(client, "GET", f"{ROLES}/{name}", read=_role)
    reads, writes, both = chosen
    rights = {
        "read": [path] if reads or both else None,
        "write": [path] if writes or both else None,
    }
    content = {**_content(name), kind: {"kv": rights}}
    if ask(client, "PUT", f"{ROLES}/{name}", content, read=_role, succeeds=(200,)) == before:
        output.out(f"Role unchanged; already {'granted' if kind == 'grant' else 'revoked'}")
    output.out(f"Role {name} updated\n")
