"""cluster-health (contract/etcdctl.md, section 9.12)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from golang.json_text import BadJson
from golang.quoting import go_quote
from golang.structs import BOOL, TEXT, Struct, WrongType, unmarshal
from pyetcdctl.command import output
from pyetcdctl.command.session import NOT_HEALTHY, SERVER_ERROR, Exit, fail
from pyetcdctl.command.watches import end_quietly_on_interrupt
from pyetcdctl.errors import BadEndpoint, ClientError

if TYPE_CHECKING:
    from pyetcdctl.answers import Member
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session

_PERIOD_S: Final = 10.0
_LISTING_S: Final = 5.0

_NOW: Final = Struct("struct { Health string }", {"Health": TEXT})
_EARLIER: Final = Struct("struct { Health bool }", {"Health": BOOL})


def cluster_health(session: Session) -> None:
    """Ask every member how it is; exit 5 if one of them is not well."""
    client, members = begun(session)
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


def begun(session: Session) -> tuple[Client, list[Member]]:
    """A client, and whom to ask how they are; ends the run with 4 if nobody lists the members."""
    if session.flags["forever"]:
        end_quietly_on_interrupt()
    client = session.client(sync=False, total_timeout=False)
    timeout_s = session.settings["timeout"]
    if timeout_s > 0:
        # Each endpoint may take its time to begin; for the end of a list etcdctl waits for ever.
        total_s = timeout_s * len(client.endpoints) + _LISTING_S
        client.limit(timeout_s=timeout_s, total_timeout_s=total_s)
    try:
        return client, client.members()
    except ClientError as error:
        output.out("cluster may be unhealthy: failed to list members\n")
        fail(error, SERVER_ERROR)


def _check(client: Client, member: Member) -> bool:
    if not member.client_urls:
        output.out(f"member {member.id} is unreachable: no available published client urls\n")
        return False
    for url in member.client_urls:
        try:
            body = client.health(url)
        except ClientError as error:
            why = f'Get "{url}/health": {error}'
            if isinstance(error, BadEndpoint):
                why = str(error).replace(go_quote(url), go_quote(f"{url}/health"), 1)
            output.out(f"failed to check the health of member {member.id} on {url}: {why}\n")
            continue
        try:
            is_healthy = _says_so(body)
        except BadJson as bad:
            output.out(f"failed to check the health of member {member.id} on {url}: {bad}\n")
            continue
        word = "healthy" if is_healthy else "unhealthy"
        output.out(f"member {member.id} is {word}: got {word} result from {url}\n")
        return is_healthy
    urls = " ".join(member.client_urls)
    output.out(f"member {member.id} is unreachable: [{urls}] are all unreachable\n")
    return False


def _says_so(body: bytes) -> bool:
    """Whether it says "true", or true, which is what older servers do; raises BadJson in Go's words
    for what is neither one nor the other."""
    try:
        return bool(unmarshal(body, _NOW)["Health"] == "true")
    except WrongType:
        return bool(unmarshal(body, _EARLIER)["Health"])
