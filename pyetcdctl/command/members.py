"""The commands about members (contract/etcdctl.md, section 9.11)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from golang.quoting import go_quote
from pyetcdctl.command import output
from pyetcdctl.command.session import BAD_ARGUMENTS, Exit, fail_plainly
from pyetcdctl.endpoints import Endpoint
from pyetcdctl.errors import BadEndpoint, ClientError

if TYPE_CHECKING:
    from pyetcdctl.answers import Member
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session

_SCHEMES: Final = ("http", "https", "unix", "unixs")
_NAME_HINT: Final = (
    "For more details, read the documentation at https://github.com/etcd-io/etcd/blob/master"
    "/Documentation/runtime-configuration.md#remove-a-member"
)


def list_members(session: Session) -> None:
    """Print a line for each member."""
    if session.operands:
        fail_plainly("No arguments accepted")
    client = session.client()
    try:
        members = client.members()
    except ClientError as error:
        fail_plainly(error)
    try:
        leader = client.leader()
    except ClientError as error:
        fail_plainly(f"Failed to get leader:  {error}")
    output.out("".join(_line(member, leader) for member in members))


def _line(member: Member, leader: Member) -> str:
    peers = ",".join(member.peer_urls)
    if not member.name:
        return f"{member.id}[unstarted]: peerURLs={peers}\n"
    leads = "true" if member.id == leader.id else "false"
    clients = ",".join(member.client_urls)
    return (
        f"{member.id}: name={member.name} peerURLs={peers} clientURLs={clients} isLeader={leads}\n"
    )


def check_peer_urls(texts: list[str]) -> list[str]:
    """Peer URLs as the server will see them; ends the run if one cannot be."""
    return sorted(_peer_url(text.strip()) for text in texts)


def _peer_url(text: str) -> str:
    try:
        url = Endpoint.parse(text)
    except BadEndpoint as error:
        fail_plainly(error)
    if url.scheme not in _SCHEMES or "://" not in text:
        fail_plainly(f"URL scheme must be http, https, unix, or unixs: {text}")
    if not re.fullmatch(r"(\[[^]]*\]|[^:]*):\d*", url.authority.rpartition("@")[2]):
        fail_plainly(f'URL address does not have the form "host:port": {text}')
    if url.path:
        fail_plainly(f"URL must not contain a path: {text}")
    return text


def add(session: Session) -> None:
    """Add a member, and say how to start it."""
    if len(session.operands) != 2:
        fail_plainly("Provide a name and a single member peerURL")
    name = session.operands[0]
    client = session.client()
    urls = check_peer_urls([session.operands[1]])
    try:
        member = client.add_member(urls)
    except ClientError as error:
        fail_plainly(error)
    output.out(f"Added member named {name} with ID {member.id} to cluster\n")
    try:
        members = client.members()
    except ClientError as error:
        fail_plainly(error)
    output.out(start_lines(name, member.id, members))


def start_lines(name: str, member_id: str, members: list[Member]) -> str:
    """The variables a new member is started with."""
    cluster = ",".join(
        f"{name if member.id == member_id else member.name}={url}"
        for member in members
        for url in member.peer_urls
    )
    return (
        f"\nETCD_NAME={go_quote(name)}\n"
        f"ETCD_INITIAL_CLUSTER={go_quote(cluster)}\n"
        'ETCD_INITIAL_CLUSTER_STATE="existing"\n'
    )


def remove(session: Session) -> None:
    """Remove a member."""
    if len(session.operands) != 1:
        fail_plainly("Provide a single member ID")
    wanted = session.operands[0]
    client = session.client()
    try:
        members = client.members()
    except ClientError as error:
        fail_plainly(f"Error while verifying ID against known members: {error}")
    _check_known(wanted, members)
    try:
        client.remove_member(wanted)
    except ClientError as error:
        output.err(f"Received an error trying to remove member {wanted}: {error}")
        raise Exit(BAD_ARGUMENTS) from None
    output.out(f"Removed member {wanted} from cluster\n")


def _check_known(wanted: str, members: list[Member]) -> None:
    if any(member.id == wanted for member in members):
        return
    for member in members:
        if member.name == wanted:
            output.err(
                f"Found a member named {member.name}; if this is correct, please use its ID, eg:\n"
                f"\tetcdctl member remove {member.id}\n{_NAME_HINT}\n\n"
            )
    fail_plainly(f"Couldn't find a member in the cluster with an ID of {wanted}.")


def update(session: Session) -> None:
    """Give a member other peer URLs."""
    if len(session.operands) != 2:
        fail_plainly(
            "Provide an ID and a list of comma separated peerURL "
            "(0xabcd http://example.com,http://example1.com)"
        )
    member_id, urls = session.operands
    client = session.client()
    _update(client, member_id, check_peer_urls(urls.split(",")))
    output.out(f"Updated member with ID {member_id} in cluster\n")


def _update(client: Client, member_id: str, urls: list[str]) -> None:
    try:
        client.update_member(member_id, urls)
    except ClientError as error:
        fail_plainly(error)
