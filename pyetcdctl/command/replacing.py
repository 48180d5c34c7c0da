"""member replace: a broken member out, a new one of its name in.

Laws: nothing is changed unless the others can keep the quorum from the removal until the new
member runs: more than half of the whole cluster must be healthy without the one that goes. What is
done is told as it is done; if it cannot be finished, what is left to do is said as a command. It
talks to the healthy members alone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NoReturn

from pyetcdctl.command import output, starting
from pyetcdctl.command.formatted import HEALTHY, health_of
from pyetcdctl.command.members import check_peer_urls, start_lines
from pyetcdctl.command.session import BAD_ARGUMENTS, Exit, fail_plainly
from pyetcdctl.endpoints import Endpoint
from pyetcdctl.errors import BadEndpoint, ClientError

if TYPE_CHECKING:
    from pyetcdctl.answers import Member
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session

_DEADLINE_S: Final = 30.0
"""How long to ask again: a cluster refuses changes for some seconds after it has changed."""
_POLL_S: Final = 0.5


def replace(session: Session) -> None:
    """Replace a member."""
    if not 1 <= len(session.operands) <= 2:
        fail_plainly("Provide the name or ID of a member, and its new peerURL if it has one")
    urls = check_peer_urls(session.operands[1].split(",")) if len(session.operands) == 2 else []
    first = session.client()
    try:
        members = first.members()
    except ClientError as error:
        fail_plainly(error)
    gone = _found(session.operands[0], members)
    others = _healthy_others(first, members, gone)
    urls = urls or list(gone.peer_urls)
    _check_urls(urls, members, gone)
    _check_names(members, gone)
    client = session.client(sync=False, endpoints=[url for m in others for url in m.client_urls])
    _remove(client, gone)
    added = _add(client, gone, urls)
    try:
        members = client.members()
    except ClientError as error:
        fail_plainly(f"The new member is added, but the members cannot be listed: {error}")
    output.out(start_lines(gone.name, added.id, members))
    output.out(starting.told(gone, added, members))


def _found(wanted: str, members: list[Member]) -> Member:
    found = [member for member in members if wanted in (member.id, member.name)]
    if len(found) == 1 and found[0].name:
        return found[0]
    if found and not found[0].name:
        fail_plainly(
            f"The member {wanted} was never started and has no name: use `member remove {wanted}`, "
            "then `member add`"
        )
    if found:
        fail_plainly(f"There are {len(found)} members named {wanted}: use an ID")
    known = ", ".join(f"{member.name or '(unstarted)'} ({member.id})" for member in members)
    fail_plainly(f'There is no member "{wanted}"; the members are {known}')


def _healthy_others(client: Client, members: list[Member], gone: Member) -> list[Member]:
    """Those that are well besides the one that goes; ends the run if they are too few."""
    healthy = []
    for member in members:
        health = health_of(client, member)
        reason = f" ({health.why})" if health.why else ""
        output.out(f"member {member.id} {member.name or '(unstarted)'} is {health.state}{reason}\n")
        if health.state == HEALTHY and member != gone:
            healthy.append(member)
    quorum = len(members) // 2 + 1
    if len(healthy) < quorum:
        fail_plainly(
            f"Refused: without {gone.name} {len(healthy)} of {len(members)} members are healthy, "
            f"but the quorum is {quorum} until the new member runs. "
            + (
                "Add a member first (`member add`)."
                if len(healthy) == len(members) - 1
                else "Mend another member first."
            )
        )
    return healthy


def _check_urls(urls: list[str], members: list[Member], gone: Member) -> None:
    for url in (*gone.peer_urls, *gone.client_urls):
        try:
            Endpoint.parse(url)
        except BadEndpoint as error:
            fail_plainly(f"Refused: a URL of {gone.name} cannot be read: {error}")
    for member in members:
        for url in set(urls) & set(member.peer_urls):
            if member != gone:
                fail_plainly(f"The peerURL {url} is that of the member {member.name or member.id}")


def _check_names(members: list[Member], gone: Member) -> None:
    """The new member has to be told the names of all, and takes two of one name for one member."""
    others = [member for member in members if member != gone]
    for member in others:
        if not member.name:
            fail_plainly(
                f"Refused: the member {member.id} was never started and has no name, which the new "
                f"one has to be told. Start it, or remove it (`member remove {member.id}`)."
            )
        if sum(member.name == each.name for each in members) > 1:
            fail_plainly(
                f"Refused: there are two members named {member.name}, which the new one would take "
                "for one. Give one of them another name first."
            )


def _remove(client: Client, gone: Member) -> None:
    deadline_s = time.monotonic() + _DEADLINE_S
    while True:
        trouble = "it is still listed"
        try:
            client.remove_member(gone.id)
        except ClientError as error:
            trouble = str(error)
        try:
            if all(member.id != gone.id for member in client.members()):
                break
        except ClientError as error:
            trouble = str(error)
        if time.monotonic() > deadline_s:
            fail_plainly(f"The member {gone.id} could not be removed: {trouble}")
        time.sleep(_POLL_S)
    output.out(f"Removed member {gone.id} from cluster\n")


def _add(client: Client, gone: Member, urls: list[str]) -> Member:
    """Add the new one. Whoever has its peer URLs after an answer that was lost is it."""
    deadline_s = time.monotonic() + _DEADLINE_S
    while True:
        try:
            added = client.add_member(urls)
            break
        except ClientError as error:
            trouble = error
        listed = _listed(client, urls)
        if listed is not None:
            added = listed
            break
        if time.monotonic() > deadline_s:
            _stranded(gone, urls, trouble)
        time.sleep(_POLL_S)
    output.out(f"Added member named {gone.name} with ID {added.id} to cluster\n")
    return added


def _listed(client: Client, urls: list[str]) -> Member | None:
    try:
        members = client.members()
    except ClientError:
        return None
    return next((member for member in members if set(member.peer_urls) == set(urls)), None)


def _stranded(gone: Member, urls: list[str], trouble: ClientError) -> NoReturn:
    output.err(
        f"The member {gone.id} is removed, but the new one could not be added: {trouble}\n"
        f"When the cluster is well again: member add {gone.name} {','.join(urls)}\n"
    )
    raise Exit(BAD_ARGUMENTS)
