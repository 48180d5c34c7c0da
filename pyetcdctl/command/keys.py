"""The commands about keys (contract/etcdctl.md, sections 9.1 to 9.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyetcdctl import requests
from pyetcdctl.command import output
from pyetcdctl.command.session import BAD_ARGUMENTS, Exit

if TYPE_CHECKING:
    from pyetcdctl.answers import Node, Result
    from pyetcdctl.command.session import Session


def _ttl(session: Session) -> int | None:
    return session.flags["ttl"] if session.flags["ttl"] > 0 else None


def get(session: Session) -> None:
    """Print a key's value."""
    client = session.client()
    key = session.key()
    result = session.ask(
        client,
        requests.get(
            key, recursive=False, sort=session.flags["sort"], quorum=session.flags["quorum"]
        ),
    )
    if result.node.dir:
        output.err(f"{result.node.key}: is a directory\n")
        raise Exit(BAD_ARGUMENTS)
    session.print(result)


def set_key(session: Session) -> None:
    """Write a value, perhaps only in the place of another one."""
    client = session.client()
    key = session.key()
    request = requests.put(
        key,
        session.value(),
        ttl=_ttl(session),
        prev_value=session.flags["swap-with-value"],
        prev_index=session.flags["swap-with-index"],
    )
    session.print(session.ask(client, request))


def mk(session: Session) -> None:
    """Create a key."""
    client = session.client()
    key, value, ttl = session.key(), session.value(), _ttl(session)
    if session.flags["in-order"]:
        request = requests.post(key, value, ttl=ttl)
    else:
        request = requests.put(key, value, ttl=ttl, prev_exist=False, one_shot=True)
    session.print(session.ask(client, request))


def update(session: Session) -> None:
    """Write a value in the place of another one."""
    client = session.client()
    key = session.key()
    request = requests.put(key, session.value(), ttl=_ttl(session), prev_exist=True)
    session.print(session.ask(client, request))


def mkdir(session: Session) -> None:
    """Create a directory."""
    _directory(session, prev_exist=False)


def setdir(session: Session) -> None:
    """Create a directory, in the place of a key if there is one."""
    _directory(session, prev_exist=None)


def updatedir(session: Session) -> None:
    """Give a directory another TTL."""
    _directory(session, prev_exist=True)


def _directory(session: Session, *, prev_exist: bool | None) -> None:
    client = session.client()
    key = session.key()
    request = requests.put(
        key,
        None,
        ttl=_ttl(session),
        prev_exist=prev_exist,
        directory=True,
        one_shot=prev_exist is False,
    )
    _print_unless_simple_directory(session, session.ask(client, request), directory=True)


def rm(session: Session) -> None:
    """Remove a key or a directory."""
    client = session.client()
    key = session.key()
    request = requests.delete(
        key,
        directory=session.flags["dir"],
        recursive=session.flags["recursive"],
        prev_value=session.flags["with-value"],
        prev_index=session.flags["with-index"],
    )
    result = session.ask(client, request)
    _print_unless_simple_directory(session, result, directory=result.node.dir)


def rmdir(session: Session) -> None:
    """Remove an empty directory, or a key."""
    client = session.client()
    result = session.ask(client, requests.delete(session.key(), directory=True))
    _print_unless_simple_directory(session, result, directory=result.node.dir)


def _print_unless_simple_directory(session: Session, result: Result, *, directory: bool) -> None:
    """A directory has no value to print."""
    if not directory or session.settings["output"] != "simple":
        session.print(result)


def ls(session: Session) -> None:
    """List a directory."""
    client = session.client()
    key = session.operand(0)
    request = requests.get(
        "/" if key is None else key,
        recursive=session.flags["recursive"],
        sort=session.flags["sort"],
        quorum=session.flags["quorum"],
    )
    if session.flags["tree"]:
        from pyetcdctl.command import trees

        trees.print_below(session, client, request)
        return
    result = session.ask(client, request)
    if session.settings["output"] != "simple":
        session.print(result)
        return
    nodes = result.node.walk() if result.node.dir else [result.node]
    output.out("".join(_line(session, node) for node in nodes))


def _line(session: Session, node: Node) -> str:
    slash = "/" if node.dir and session.flags["p"] else ""
    return f"{node.key}{slash}\n"
