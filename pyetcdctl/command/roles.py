"""The commands about roles (contract/etcdctl.md, section 9.16)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyetcdctl import requests
from pyetcdctl.command import access, output
from pyetcdctl.command.access import ROLES, ask, client_of
from pyetcdctl.command.session import fail_plainly
from pyetcdctl.errors import ClientError, Refused

if TYPE_CHECKING:
    from pyetcdctl.command.session import Session

_NAME: Final = "Please provide a role name"


def list_roles(session: Session) -> None:
    """Print all names."""
    access.no_operands(session)
    client = client_of(session)
    try:
        body = client.plain(requests.plain("GET", ROLES), bytes)
    except Refused as refused:
        fail_plainly(f"unexpected status code {refused.status}")
    except ClientError as error:
        fail_plainly(error)
    answer = access.entry(access.loaded(body))
    output.out("".join(f"{_name(role)}\n" for role in answer.get("roles") or ()))


def _name(role: object) -> object:
    return role.get("role", "") if isinstance(role, dict) else role


def add(session: Session) -> None:
    """Create a role."""
    name = access.one_operand(session, _NAME)
    client = client_of(session)
    try:
        client.plain(requests.plain("GET", f"{ROLES}/{name}"), bytes)
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
    role = access.entry(ask(client_of(session), "GET", f"{ROLES}/{name}"))
    rights = (role.get("permissions") or {}).get("kv") or {}
    lines = [f"Role: {role.get('role', '')}", "KV Read:"]
    lines += [f"\t{path}" for path in rights.get("read") or ()]
    lines.append("KV Write:")
    lines += [f"\t{path}" for path in rights.get("write") or ()]
    output.out("".join(f"{line}\n" for line in lines))


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
    canonical = requests.clean(path) if path.startswith("/") else path
    canonical = canonical.rstrip("/") or "/" if path.startswith("/") else f"/{path.rstrip('/')}"
    if path != canonical:
        fail_plainly(f"Not canonical path; please use `--path={canonical}`")
    chosen = [session.flags[name] for name in ("read", "write", "readwrite")]
    if chosen.count(True) != 1:
        fail_plainly("Please specify exactly one of --read, --write or --readwrite")
    name = access.one_operand(session, _NAME)
    client = client_of(session)
    ask(client, "GET", f"{ROLES}/{name}")
    reads, writes, both = chosen
    rights = {
        "read": [path] if reads or both else None,
        "write": [path] if writes or both else None,
    }
    ask(client, "PUT", f"{ROLES}/{name}", {**_content(name), kind: {"kv": rights}})
    output.out(f"Role {name} updated\n")
