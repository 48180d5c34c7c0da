"""`member list` and `cluster-health` with `-o yaml` and `-o table`.

Laws: exit codes are those of the commands as etcdctl has them. With --forever a terminal shows one
table that changes; anything else gets one after the other.
"""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from pyetcdctl.command import formats, output
from pyetcdctl.command.session import NOT_HEALTHY, Exit, fail_plainly
from pyetcdctl.errors import ClientError

if TYPE_CHECKING:
    from rich.table import Table

    from pyetcdctl.answers import Member
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session

_PERIOD_S: Final = 10.0
HEALTHY: Final = "healthy"


def list_members(session: Session) -> None:
    """The members, and which of them leads."""
    if session.operands:
        fail_plainly("No arguments accepted")
    client = session.client()
    try:
        members, leader = client.members(), client.leader()
    except ClientError as error:
        fail_plainly(error)
    if session.settings["output"] == formats.YAML:
        listed = [_fields(member, leader) for member in members]
        output.out(formats.as_yaml({"members": listed}))
        return
    columns = ["ID", "NAME", "STATE", "PEER URLS", "CLIENT URLS", "LEADER"]
    rows = [
        [
            member.id,
            member.name,
            "started" if member.name else "unstarted",
            " ".join(member.peer_urls),
            " ".join(member.client_urls),
            "yes" if member.id == leader.id else "",
        ]
        for member in members
    ]
    output.out(formats.rendered(formats.table(columns, rows)))


def _fields(member: Member, leader: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "name": member.name,
        "peerURLs": list(member.peer_urls),
        "clientURLs": list(member.client_urls),
        "isLeader": member.id == leader.id,
    }


class Health(NamedTuple):
    """How a member is, at which URL, and why."""

    member: Member
    state: str
    url: str
    why: str


def health_of(client: Client, member: Member) -> Health:
    """Ask a member how it is, at its client URLs one after the other."""
    why = "it has published no client URLs" if member.name else "it was never started"
    for url in member.client_urls:
        try:
            answer = json.loads(client.health(url))
        except ClientError as error:
            why = str(error)
            continue
        except (ValueError, RecursionError):
            why = "its answer is no JSON"
            continue
        is_healthy = isinstance(answer, dict) and answer.get("health") in ("true", True)
        return Health(member, HEALTHY if is_healthy else "unhealthy", url, "")
    return Health(member, "unreachable", "", why)


def cluster_health(session: Session) -> None:
    """How every member is; exit 5 if one of them is not well."""
    from pyetcdctl.command import health

    client, members = health.begun(session)
    is_yaml = session.settings["output"] == formats.YAML
    if session.flags["forever"]:
        _forever(client, members, is_yaml=is_yaml)
    found = [health_of(client, member) for member in members]
    output.out(_yaml(found) if is_yaml else formats.rendered(_table(found)))
    if not all(health.state == HEALTHY for health in found):
        raise Exit(NOT_HEALTHY)


def _forever(client: Client, members: list[Member], *, is_yaml: bool) -> NoReturn:
    console = formats.console()
    if is_yaml or not console.is_terminal:
        while True:
            found = [health_of(client, member) for member in members]
            separator = "---\n" if is_yaml else ""
            output.out(separator + (_yaml(found) if is_yaml else formats.rendered(_table(found))))
            time.sleep(_PERIOD_S)
    from rich.live import Live

    # The terminal is to be left as it was, with a cursor.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_table([health_of(client, member) for member in members]), refresh=True)
            time.sleep(_PERIOD_S)
    raise Exit(0)


def _table(found: list[Health]) -> Table:
    columns = ["ID", "NAME", "HEALTH", "URL", "REASON"]
    rows = [[each.member.id, each.member.name, each.state, each.url, each.why] for each in found]
    return formats.table(columns, rows)


def _yaml(found: list[Health]) -> str:
    healthy = sum(each.state == HEALTHY for each in found)
    verdict = HEALTHY if healthy == len(found) else "degraded" if healthy else "unavailable"
    members = [
        {"id": each.member.id, "name": each.member.name, "health": each.state}
        | ({"url": each.url} if each.url else {})
        | ({"reason": each.why} if each.why else {})
        for each in found
    ]
    return formats.as_yaml({"cluster": verdict, "members": members})
