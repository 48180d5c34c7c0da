"""cluster-health (contract/etcdctl.md, section 9.12)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from pyetcdctl.command import output
from pyetcdctl.command.members import in_order
from pyetcdctl.command.session import NOT_HEALTHY, SERVER_ERROR, Exit, fail
from pyetcdctl.command.watches import end_quietly_on_interrupt
from pyetcdctl.errors import ClientError

if TYPE_CHECKING:
    from pyetcdctl.answers import Member
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session

_PERIOD_S: Final = 10.0


def cluster_health(session: Session) -> None:
    """Ask every member how it is; exit 5 if one of them is not well."""
    if session.flags["forever"]:
        end_quietly_on_interrupt()
    client = session.client(sync=False, total_timeout=False)
    try:
        members = in_order(client.members())
    except ClientError as error:
        output.out("cluster may be unhealthy: failed to list members\n")
        fail(error, SERVER_ERROR)
    while True:
        healthy = [_check(client, member) for member in members]
        if all(healthy):
            output.out("cluster is healthy\n")
        elif any(healthy):
            output.out("cluster is degraded\n")
        else:
            output.out("cluster is unavailable\n")
        if not session.flags["forever"]:
            if not all(healthy):
                raise Exit(NOT_HEALTHY)
            return
        output.out(f"\nnext check after {_PERIOD_S:.0f} second...\n\n")
        time.sleep(_PERIOD_S)


def _check(client: Client, member: Member) -> bool:
    if not member.client_urls:
        output.out(f"member {member.id} is unreachable: no available published client urls\n")
        return False
    for url in member.client_urls:
        try:
            body = client.health(url)
        except ClientError as error:
            output.out(
                f"failed to check the health of member {member.id} on {url}: "
                f'Get "{url}/health": {error}\n'
            )
            continue
        try:
            health = json.loads(body)
        except (ValueError, RecursionError):
            output.out(
                f"failed to check the health of member {member.id} on {url}: "
                f"{_not_json(body.decode('utf-8', 'replace'))}\n"
            )
            continue
        is_healthy = isinstance(health, dict) and health.get("health") in ("true", True)
        word = "healthy" if is_healthy else "unhealthy"
        output.out(f"member {member.id} is {word}: got {word} result from {url}\n")
        return is_healthy
    urls = " ".join(member.client_urls)
    output.out(f"member {member.id} is unreachable: [{urls}] are all unreachable\n")
    return False


def _not_json(text: str) -> str:
    """What Go's decoder says of a text that is no JSON."""
    stripped = text.lstrip()
    if not stripped:
        return "EOF"
    return f"invalid character '{stripped[0]}' looking for beginning of value"
