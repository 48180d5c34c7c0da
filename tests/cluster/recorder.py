"""Sends requests and writes down what became of them.

Law: exactly one `Op` for each request, whatever happens; an answer is taken for definite only
if it is a v2 answer that says so: 2xx, or an errorCode of the store.
"""

from collections.abc import Callable

import orjson

from tests.cluster.client import Answer, Broken, Client, Late, NotSent
from tests.cluster.history import Op, Outcome, event_from, leaves, node_from
from tests.cluster.member import now

ANSWER_S = 9.5
"""The server's own limit is 5 s + 2 x the election time-out (1 s)."""
RAFT_ERROR = 300


async def perform(
    client: Client,
    op: Op,
    method: str,
    target: str,
    form: dict[str, str] | None = None,
    *,
    store: Callable[[Op], None],
) -> Answer | None:
    """Do the request and fill in the op; the answer, if it was a definite one."""
    op.start = now()
    try:
        answer = await client.ask(method, target, form, timeout_s=ANSWER_S)
    except NotSent as failure:
        op.outcome, op.note = Outcome.NOT_SENT, str(failure)
    except Broken as failure:
        op.note = str(failure)
    except Late as failure:
        op.late, op.note = True, str(failure)
    else:
        op.end = now()
        op.connection = client.connection
        read(op, answer)
        store(op)
        return answer if op.outcome in (Outcome.OK, Outcome.REFUSED) else None
    op.end = now()
    store(op)
    return None


def read(op: Op, answer: Answer) -> None:
    """Fill in what an answer says."""
    try:
        found = answer.json()
    except (orjson.JSONDecodeError, AssertionError):
        op.note = f"{answer.status} {answer.body[:200]!r}"
        return
    if answer.status in (200, 201):
        op.outcome = Outcome.OK
        op.index = answer.index
        return
    code = found.get("errorCode")
    op.error = code if isinstance(code, int) else 0
    op.note = f"{answer.status} {found.get('cause', found)}"
    if answer.status < 500 and op.error not in (0, RAFT_ERROR):
        op.outcome = Outcome.REFUSED
        op.index = answer.index


def read_write(op: Op, answer: Answer) -> None:
    """Fill in the event of a write that was done."""
    if op.outcome is Outcome.OK:
        op.event = event_from(answer.json())


def read_node(op: Op, answer: Answer) -> None:
    """Fill in what a read found; a missing key is an answer too."""
    if op.outcome is Outcome.OK:
        node = answer.json()["node"]
        assert isinstance(node, dict)
        op.node = node_from(node)
    elif op.outcome is Outcome.REFUSED and op.error == 100:
        op.outcome, op.node = Outcome.OK, None


def read_listing(op: Op, answer: Answer) -> None:
    """Fill in what a recursive read found; a missing directory is an empty one."""
    if op.outcome is Outcome.OK:
        node = answer.json()["node"]
        assert isinstance(node, dict)
        op.listing = leaves(node)
    elif op.outcome is Outcome.REFUSED and op.error == 100:
        op.outcome, op.listing = Outcome.OK, {}
